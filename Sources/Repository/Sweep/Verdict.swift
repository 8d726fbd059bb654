import BackupModel
import RepositoryFormat

// The verdict on a close
// ----------------------
// It reads only what cannot change any more: the close, its ledger, and the sessions below it, all of which have ended.
// So every sweep of one close comes to the same verdict, however late it wakes, and deletes the same keys. Points of
// the ledger need no look: whoever composed it kept a copy of all they need in a pack that is not condemned.

/// Which keys that a close condemned are dead (format page §12).
struct Verdict {
    /// The close.
    let close: LogHead
    /// Keys to delete; they never come back.
    let dead: Set<Ledger.Condemned>

    /// Judges a close whose sessions have all ended.
    ///
    /// - Parameters:
    ///   - log: read to its end.
    ///   - sessions: all sessions, read after the last of those below the close had ended.
    /// - Throws: ``RepositoryError``: `damaged` when something that a session needs cannot be found or read.
    init(_ repository: OpenRepository, log: ControlLog, sessions: [ReadSession], keys: RepositoryKeys) async throws {
        guard let close = log.lastClose, let ledger = log.ledger else {
            preconditionFailure("there is a close to judge")
        }
        self.close = close
        let condemned = Set(ledger.condemnedFresh + ledger.condemnedCarried)
        let fresh = Set(ledger.condemnedFresh.filter { $0.kind == .pack }.map(\.key))
        let horizon = log.takenOver
        let below = sessions.filter { $0.slot.slot < close.slot }
        let others = below.filter { !horizon.contains($0.name) }
        // Wording K: what a session has put and named is found through its run.
        let named = Set(others.flatMap(\.entries).flatMap(\.inventory.runs).map(\.key))
        let dead = condemned.subtracting(
            ledger.condemnedFresh.filter { $0.kind == .indexRun && named.contains($0.key) })
        guard !fresh.isEmpty, !others.isEmpty, SweepRule.verdictReadsSessions.holds else {
            self.dead = dead
            return
        }
        let view = try RepositoryView(
            log: log.settled, sessions: below, chain: repository.chain, keys: keys, opened: [:],
            // Runs that go are not asked: an earlier sweep of this close may have deleted them.
            absent: Set(ledger.condemnedCarried).union(dead.filter { $0.kind == .indexRun }))
        let shelf = PackShelf(repository.access, keys: keys)
        let index = try await ChunkIndex(repository.access, view: view, keys: keys, shelf: shelf)
        try SweepRefusal.requireWhole(index)
        let blobs = BlobReader(repository.access, keys: keys, index: index, shelf: shelf)
        var walk = NeededWalk(index: index, blobs: blobs, choice: Pardon(fresh: fresh))
        let names = Set(others.map(\.name))
        for point in view.points where names.contains(SessionName(writer: point.writer, session: point.session)) {
            for image in point.record.images {
                try await walk.need(structure: image.root, mayMiss: false, name: image.title)
            }
        }
        for session in others {
            let roots = try CheckpointRoots(session, keys: keys)
            // A backup goes on elsewhere and leans on all of it, as a commit would. First: what was passed over once is
            // not looked at again.
            if let successor = try MovedBackups.successor(of: session, keys: keys),
                try MovedBackups.mayCommit(successor, sessions, keys: keys)
            {
                for root in roots.last {
                    try await walk.need(
                        structure: root, mayMiss: false, name: "a backup that goes on in another session")
                }
            }
            for root in roots.all {
                try await walk.need(structure: root, mayMiss: true, name: "a checkpoint")
            }
        }
        // A copy that was not seen for a moment would make this verdict differ from others'.
        try SweepRefusal.requireWhole(index)
        let pardoned = walk.choice.pardoned
        self.dead = dead.filter { $0.kind != .pack || !pardoned.contains($0.key) }
    }
}

/// Pardons every freshly condemned copy of what has no other.
private struct Pardon: CopyChoice {
    let fresh: Set<ObjectKey>
    private(set) var pardoned: Set<ObjectKey> = []

    init(fresh: Set<ObjectKey>) { self.fresh = fresh }

    mutating func needed(_ places: Few<BlobPlace>) async throws -> Few<BlobPlace> {
        if places.allSatisfy({ fresh.contains($0.pack) }) {
            for place in places { pardoned.insert(place.pack) }
        }
        return places
    }
}

/// The roots that checkpoints of a session name.
struct CheckpointRoots {
    /// Those of all its checkpoints.
    private(set) var all: [Hash256] = []
    /// Those of the last entry that names any: of a session that moved they cover all that it captured.
    private(set) var last: [Hash256] = []

    /// - Throws: ``RepositoryError`` without the structure key.
    init(_ session: ReadSession, keys: RepositoryKeys) throws {
        for entry in session.entries {
            var named: [Hash256] = []
            for fields in try entry.opened(Record.checkpointRootsKind, keys: keys) {
                for value in (try? fields.list("roots")) ?? [] {
                    if case .bytes(let bytes) = value, let root = Hash256(bytes: bytes) { named.append(root) }
                }
            }
            all += named
            if !named.isEmpty { last = named }
        }
    }
}

extension SessionEntry {
    /// The bodies of its records of a kind; what does not open names nothing that could be restored.
    fileprivate func opened(_ kind: UInt32, keys: RepositoryKeys) throws -> [RecordFields] {
        let recipient = try keys.recipient(.structure)
        let privateKey = try keys.structurePrivateKey()
        return records.indices.filter { records[$0].kind == kind }.compactMap { position in
            guard let record = try? open(record: position, recipient: recipient, privateKey: privateKey) else {
                return nil
            }
            return try? RecordFields(record.body, of: "a checkpoint")
        }
    }
}

/// Backups that went from session to session.
enum MovedBackups {
    /// The session in which a backup goes on whose session was abandoned; `nil` when it goes on in none.
    static func successor(of session: ReadSession, keys: RepositoryKeys) throws -> SessionName? {
        guard let end = session.entries.last, end.action == .abandon,
            let moved = try end.opened(Record.movedKind, keys: keys).first,
            let next = (try? moved.bytes("session")).flatMap({ SessionID(bytes: $0) })
        else { return nil }
        return SessionName(writer: session.writer, session: next)
    }

    /// Sessions in which backups go on that were in a session below the last close, and that no ledger has taken over.
    static func goingOn(
        _ sessions: [ReadSession], below log: ControlLog, keys: RepositoryKeys
    ) throws -> Set<SessionName> {
        guard let close = log.lastClose else { return [] }
        let horizon = log.takenOver
        return Set(
            try sessions.filter { $0.slot.slot < close.slot && !horizon.contains($0.name) }
                .compactMap { try successor(of: $0, keys: keys) })
    }

    /// Whether the backup that goes on in a session has made its point or may still do so. What was not read may.
    static func mayCommit(_ name: SessionName, _ sessions: [ReadSession], keys: RepositoryKeys) throws -> Bool {
        var name = name
        // Each moves behind itself, so that there is an end; a store cannot make one that goes in circles.
        for _ in 0...sessions.count {
            guard let session = sessions.first(where: { $0.name == name }) else { return true }
            if session.entries.contains(where: { $0.action == .commit }) || !session.hasEnded { return true }
            guard let next = try successor(of: session, keys: keys) else { return false }
            name = next
        }
        return true
    }
}
