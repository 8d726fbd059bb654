import BackupModel
import ChunkEncryption
import Effects
import Repository
import RepositoryFormat

/// The guest that a backup is of: its id, and what is known from earlier points. A name never identifies anything.
struct KnownGuest {
    let guest: GuestID
    let label: String
    /// Its last point.
    let base: PointID?
    /// Formats of its disks as they were recorded, so that a guest that forges a header later changes nothing.
    let formats: [String: String]
    /// The hypervisor's identity of it; `nil` when image files are read.
    var uuid: String?

    /// Finds a running guest: by the hypervisor's identity of it, so that a renamed guest keeps its history and two of
    /// one name stay two; else by its name, when that is of a guest without such an identity.
    static func find(
        _ name: String, uuid: String?, isNew: Bool, repository: OpenRepository, host: HostContext
    ) async throws -> KnownGuest {
        guard let uuid else {
            return try await find(name, isNew: isNew, repository: repository, host: host)
        }
        if !isNew {
            if let kept = try host.state.guests().first(where: { $0.value.uuid == uuid })?.value {
                return KnownGuest(
                    guest: kept.identifier, label: name, base: kept.base, formats: kept.formats, uuid: uuid)
            }
            if repository.credential.role == .owner {
                let own = try await repository.view().points.filter { $0.record.machine?.uuid == uuid }
                if let last = own.max(by: PointArgument.isOlder)?.record {
                    return KnownGuest(
                        guest: last.guest, label: name, base: last.identifier, formats: [:], uuid: uuid)
                }
            }
        }
        var found = try await find(name, isNew: isNew, repository: repository, host: host)
        if try await isAnother(found.guest, than: uuid, repository: repository, host: host) {
            Console.note(
                "note: guest \(found.guest), also called \(Console.printable(name)), has another UUID than this one "
                    + "(\(Console.printable(uuid))), which is backed up as a new guest with a history of its own")
            found = try await find(name, isNew: true, repository: repository, host: host)
        }
        found.uuid = uuid
        return found
    }

    /// Whether a guest is known to be another one than that with the hypervisor's identity `uuid`.
    private static func isAnother(
        _ guest: GuestID, than uuid: String, repository: OpenRepository, host: HostContext
    ) async throws -> Bool {
        if let known = try host.state.guests().first(where: { $0.value.identifier == guest })?.value.uuid {
            return known != uuid
        }
        guard repository.credential.role == .owner else { return false }
        let known = try await repository.view().points.filter { $0.record.guest == guest }
        return known.compactMap(\.record.machine?.uuid).contains { !$0.isEmpty && $0 != uuid }
    }

    /// Finds the guest by name or id, or makes a new one.
    ///
    /// - Throws: ``CommandFailure``, `refused`, when several guests have the name.
    static func find(
        _ text: String, isNew: Bool, repository: OpenRepository, host: HostContext
    ) async throws -> KnownGuest {
        guard let fresh = GuestID(bytes: Randomness.system.bytes(16)) else {
            preconditionFailure("16 bytes make an id")
        }
        let unknown = KnownGuest(guest: fresh, label: text, base: nil, formats: [:])
        if isNew { return unknown }
        let kept = try host.state.guests()
        if repository.credential.role == .owner {
            let view = try await repository.view()
            let named = view.points.filter { $0.record.label == text || $0.record.guest.hexadecimal == text }
            // Of several guests of one name this host means its own; somebody else's of that name changes nothing.
            let own = kept[text].map(\.identifier)
            let mine = named.filter { $0.record.guest == own }
            let candidates = try mine.isEmpty ? (named.isEmpty ? [] : PointArgument.ofGuest(text, in: named)) : mine
            if let last = candidates.max(by: PointArgument.isOlder) {
                let record = last.record
                // A point of memory alone says nothing of the disks: what an earlier one recorded still holds.
                let disks = candidates.filter { !$0.record.disks.isEmpty }.max(by: PointArgument.isOlder)
                return KnownGuest(
                    guest: record.guest, label: record.label, base: record.identifier,
                    formats: Dictionary((disks?.record.disks ?? []).map { ($0.name, $0.format) }) { first, _ in first })
            }
        }
        if let known = kept[text] {
            return KnownGuest(guest: known.identifier, label: text, base: known.base, formats: known.formats)
        }
        if let known = kept.first(where: { $0.value.identifier.hexadecimal == text }) {
            return KnownGuest(
                guest: known.value.identifier, label: known.key, base: known.value.base, formats: known.value.formats)
        }
        guard let identifier = GuestID(hexadecimal: text) else {
            return try allowed(text, unknown: unknown, repository: repository)
        }
        guard repository.credential.role == .writer else {
            throw CommandFailure(
                .failed, "no guest has the id \(text); give the guest's name, and it gets an id of its own")
        }
        // A writer sees no points: an id that this host does not know is that of a guest it never wrote.
        let guest = try allowed(text, unknown: unknown, repository: repository).guest
        return KnownGuest(
            guest: guest == unknown.guest ? identifier : guest, label: text, base: nil, formats: [:])
    }

    /// The guest that a writer's enrolment leaves, when it names guests: by its id, or the only one by any name.
    private static func allowed(
        _ text: String, unknown: KnownGuest, repository: OpenRepository
    ) throws -> KnownGuest {
        guard repository.credential.role == .writer, let key = repository.credential.signingKey,
            let guests = repository.chain.signer(key.publicKey.fingerprint)?.guests
        else { return unknown }
        let named = guests.filter { $0.hexadecimal == text }
        guard let guest = named.first ?? (guests.count == 1 ? guests.first : nil) else {
            throw CommandFailure(
                .refused,
                "this writer may write \(guests.count) guests; name one by its id: "
                    + guests.map(\.hexadecimal).joined(separator: ", "))
        }
        return KnownGuest(guest: guest, label: text, base: nil, formats: [:])
    }
}
