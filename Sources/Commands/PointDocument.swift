import BackupModel
import Repository
import RepositoryFormat

/// A restore point as JSON. The names are frozen at the first release.
struct PointDocument: Encodable {
    struct Disk: Encodable {
        let name: String
        let size_bytes: UInt64
        let format: String
        /// How its changes were found; absent for image files.
        let trust: String?
    }

    let id: String
    let guest: String
    let guest_id: String
    let taken_at: String
    let disks: [Disk]
    let memory: Bool
    /// The format of the stream that the memory came as.
    let memory_format: String?
    let consistency: String
    let trust: String
    /// How deep it was found whole: `packs`, `tags` or `content`; `damaged` when it was found so since; else `none`.
    let verified_level: String
    /// When it last was, at that level; absent without one.
    let verified_at: String?
    let base: String?
    let host: String
    let writer: String
    /// Words by which rules find it.
    let tags: [String]
    /// The policy that it was made for; absent when none is recorded.
    let policy: String?
    /// Which wording of that policy; absent when not known.
    let policy_revision: String?
    /// What started its run; absent when not known.
    let started_by: String?
    /// Since when it need not be kept; absent unless it was forgotten. One that is held stays all the same.
    let forgotten_at: String?
    /// Whether it is forgotten, and waits for the approval of persons.
    let waits_for_approval: Bool
    /// Whether the owner has revoked the key that made it, from before this point on, and persons have not approved
    /// that: it is listed and restores, and nothing is built on it.
    let revoked_unapproved: Bool
    /// Until when no sweep lets it go; absent when nobody locked it.
    let locked_until: String?
    /// Whether it stays whatever is said of it.
    let held: Bool

    init(_ point: RestorePoint, in view: RepositoryView, at times: DecisionTimes) {
        let record = point.record
        let words = view.said
        id = record.identifier.hexadecimal
        guest = record.label
        guest_id = record.guest.hexadecimal
        taken_at = TimeText.utc(record.takenAt)
        disks = record.disks.map {
            Disk(name: $0.name, size_bytes: $0.byteCount, format: $0.format, trust: $0.trust)
        }
        memory = record.memory != nil
        memory_format = record.memory?.format
        consistency = record.consistency
        trust = record.trust
        let verified = words.verified(record.identifier)
        verified_level = verified?.level.rawValue ?? (words.isDamaged(record.identifier) ? "damaged" : "none")
        verified_at = verified.map { TimeText.utc($0.at) }
        base = record.base?.hexadecimal
        host = record.host
        writer = point.writer.hexadecimal
        tags = record.tags
        func said(_ text: String?) -> String? { text.flatMap { $0.isEmpty ? nil : $0 } }
        policy = said(record.origin?.policy)
        policy_revision = said(record.origin?.revision)
        started_by = said(record.origin?.startedBy)
        forgotten_at = words.forgetBehindHolds(of: record.identifier).map { TimeText.utc($0.at) }
        waits_for_approval = words.waits(record.identifier, at: times)
        revoked_unapproved = view.doubted.contains(record.identifier)
        locked_until = words.lock(of: record, at: times).map(TimeText.utc)
        held = !words.holds(of: record.identifier).isEmpty
    }
}
