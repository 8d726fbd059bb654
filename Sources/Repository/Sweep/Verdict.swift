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
        let horizon = Set(ledger.horizon.map { SessionName(writer: $0.writer, session: $0.session) })
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
            for root in try CheckpointRoots.of(session, keys: keys) {
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
enum CheckpointRoots {
    static func of(_ session: ReadSession, keys: RepositoryKeys) throws -> [Hash256] {
        let recipient = try keys.recipient(.structure)
        let privateKey = try keys.structurePrivateKey()
        var roots: [Hash256] = []
        for entry in session.entries {
            for (position, record) in entry.records.enumerated() where record.kind == Record.checkpointRootsKind {
                // What does not open names nothing that could be restored.
                guard let opened = try? entry.open(record: position, recipient: recipient, privateKey: privateKey),
                    let fields = try? RecordFields(opened.body, of: "a checkpoint"),
                    let list = try? fields.list("roots")
                else { continue }
                for value in list {
                    if case .bytes(let bytes) = value, let root = Hash256(bytes: bytes) { roots.append(root) }
                }
            }
        }
        return roots
    }
}
