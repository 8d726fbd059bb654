package import BackupModel
package import RepositoryFormat

/// What was said about points (format page §11, "Attestation", "Forgotten" and "Locked"): forgets, releases, undos,
/// locks and results of verifications by maintainers and the owner, holds and pins also by writers.
package struct SaidOfPoints: Sendable {
    /// Somebody's word that a point need not be kept.
    package struct Forget: Hashable, Sendable {
        /// Slot of the session that says it; orders forgets and undos without a clock.
        package let slot: SlotNumber
        /// When it was said: nanoseconds since 1970, UTC.
        package let at: UInt64
        /// Why, for people.
        package let reason: String
        /// Until when it can be taken back whatever sweeps run: nanoseconds since 1970, UTC; 0 for no such time.
        package let undoUntil: UInt64
    }

    /// Somebody's word that a point must stay.
    package struct Hold: Hashable, Sendable {
        /// The slot that says it.
        package let slot: SlotNumber
        /// Whether it is a pin: for as long as somebody reads.
        package let isPin: Bool
    }

    /// What verifications found of a point.
    package struct Verified: Hashable, Sendable {
        /// The deepest level at which it was found whole, and since then never damaged.
        package let level: AttestationRecord.Level
        /// When it last was, at that level: nanoseconds since 1970, UTC, by the clock of who verified.
        package let at: UInt64
    }

    /// Whole at a level as it was said last.
    private struct Wholeness {
        var slot: SlotNumber
        var at: UInt64
    }

    /// When somebody said something, and where it stands: what a maintainer has seen then is in the entry's heads.
    struct Saying {
        let session: SessionName
        let entry: UInt32
        /// Nanoseconds since 1970 by the clock of who said it.
        let at: UInt64
    }

    /// All of them.
    private(set) var sayings: [Saying] = []
    /// The last forget of each point that has one, undone or not.
    private var forgets: [PointID: Forget] = [:]
    private var released: Set<SlotNumber> = []
    private var undone: [PointID: SlotNumber] = [:]
    /// The latest date of the locks of each point.
    private var locks: [PointID: UInt64] = [:]
    /// When each point was last found whole, by level.
    private var wholeness: [PointID: [AttestationRecord.Level: Wholeness]] = [:]
    /// Where it was last said that a point is damaged.
    private var damage: [PointID: SlotNumber] = [:]
    /// Holds and pins, also those that were released.
    private var holds: [PointID: [Hold]] = [:]

    /// Kinds of records that this program knows.
    private static let knownKinds: Set<UInt32> = [
        Record.restorePointKind, Record.checkpointRootsKind, Record.forgetKind, Record.releaseKind,
        Record.attestationKind, Record.lockKind,
    ]

    init() {}

    /// Critical records of an entry that this program does not know, a sentence each.
    static func unknown(in entry: SessionEntry) -> [String] {
        entry.records.enumerated().filter { $1.isCritical && !knownKinds.contains($1.kind) }.map { position, record in
            let name = ObjectPaths.sessionEntry(writer: entry.writer, session: entry.session, number: entry.number)
            return "record \(position) of \(name) is of kind \(record.kind), which a newer program wrote"
        }
    }

    /// Takes what a commit says.
    ///
    /// - Parameter isOwner: whether the owner signed it, who can open guest bytes; a maintainer cannot.
    /// - Returns: what does not open.
    mutating func take(
        _ entry: SessionEntry, slot: SlotNumber, isOwner: Bool, keys: RepositoryKeys
    ) throws -> [RepositoryFinding] {
        let kinds: Set<UInt32> = [
            Record.forgetKind, Record.releaseKind, Record.attestationKind, Record.lockKind,
        ]
        guard entry.records.contains(where: { kinds.contains($0.kind) }) else { return [] }
        let recipient = try keys.recipient(.structure)
        let privateKey = try keys.structurePrivateKey()
        let name = ObjectPaths.sessionEntry(writer: entry.writer, session: entry.session, number: entry.number)
        var findings: [RepositoryFinding] = []
        for (position, record) in entry.records.enumerated() where kinds.contains(record.kind) {
            do throws(FormatError) {
                let opened = try entry.open(record: position, recipient: recipient, privateKey: privateKey)
                let session = SessionName(writer: entry.writer, session: entry.session)
                if opened.kind == Record.forgetKind {
                    let forget = try ForgetRecord(opened, name: name)
                    take(forget, slot: slot)
                    sayings.append(Saying(session: session, entry: entry.number, at: forget.at))
                } else if opened.kind == Record.lockKind {
                    let lock = try LockRecord(opened, name: name)
                    for point in lock.points { locks[point] = max(locks[point] ?? 0, lock.until) }
                    sayings.append(Saying(session: session, entry: entry.number, at: lock.at))
                } else if opened.kind == Record.attestationKind {
                    take(try AttestationRecord(opened, name: name), slot: slot, isOwner: isOwner)
                } else {
                    let release = try ReleaseRecord(opened, name: name)
                    released.formUnion(release.slots)
                    sayings.append(Saying(session: session, entry: entry.number, at: release.at))
                }
            } catch { findings.append(RepositoryFinding(object: name, sentence: error.sentence)) }
        }
        return findings
    }

    private mutating func take(_ record: ForgetRecord, slot: SlotNumber) {
        let forget = Forget(slot: slot, at: record.at, reason: record.reason, undoUntil: record.undoUntil)
        for point in record.points where forgets[point].map({ $0.slot < slot }) ?? true { forgets[point] = forget }
    }

    private mutating func take(_ record: AttestationRecord, slot: SlotNumber, isOwner: Bool) {
        for point in record.damaged { damage[point] = max(damage[point] ?? slot, slot) }
        guard let said = record.level else { return }
        let level = isOwner ? said : .packs
        for point in record.whole where wholeness[point]?[level].map({ $0.slot < slot }) ?? true {
            wholeness[point, default: [:]][level] = Wholeness(slot: slot, at: record.at)
        }
    }

    /// Takes what the slots of a log say.
    mutating func take(_ slots: [ReadSlot]) {
        for slot in slots {
            switch slot.content?.claim {
            case .hold(let points):
                for point in points { holds[point, default: []].append(Hold(slot: slot.slot, isPin: false)) }
            case .pin(let points):
                for point in points { holds[point, default: []].append(Hold(slot: slot.slot, isPin: true)) }
            case .undo(let points):
                for point in points { undone[point] = max(undone[point] ?? slot.slot, slot.slot) }
            case .open, .close, nil: break
            }
        }
    }

    /// The holds and pins of a point that still stand.
    package func holds(of point: PointID) -> [Hold] {
        (holds[point] ?? []).filter { !released.contains($0.slot) }
    }

    /// Until when no sweep may let a point go, over or not: nanoseconds since 1970; `nil` when nobody locked it.
    package func lock(of point: PointID) -> UInt64? { locks[point] }

    /// How deep a point was verified; `nil` when nobody did, or it was found damaged since.
    package func verified(_ point: PointID) -> Verified? {
        let standing = wholeness[point]?.filter { _, last in damage[point].map { $0 < last.slot } ?? true }
        return standing?.max { $0.key < $1.key }.map { Verified(level: $0.key, at: $0.value.at) }
    }

    /// Whether the last verification that saw a point found it damaged.
    package func isDamaged(_ point: PointID) -> Bool {
        guard let damage = damage[point] else { return false }
        return wholeness[point]?.values.allSatisfy { $0.slot <= damage } ?? true
    }

    /// Whether somebody has taken the last forget of a point back: then no rule forgets it again, only a person.
    package func isTakenBack(_ point: PointID) -> Bool {
        guard let forget = forgets[point], let undo = undone[point] else { return false }
        return undo > forget.slot
    }

    /// Why a point need not be kept; `nil` for one that is held, that nobody forgot, or whose forget was undone.
    package func forget(of point: PointID) -> Forget? {
        guard let forget = forgets[point],
            undone[point].map({ $0 < forget.slot }) ?? true || !SweepRule.undoBeatsForget.holds,
            holds(of: point).isEmpty || !SweepRule.holdBeatsForget.holds
        else { return nil }
        return forget
    }
}
