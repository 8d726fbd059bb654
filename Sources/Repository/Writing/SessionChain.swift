package import BackupModel
import ChunkEncryption
import Effects
import ObjectStorage
package import RepositoryFormat
import Synchronization

/// The entries of a session that writes. One task holds it: entries follow each other.
package struct SessionChain: ~Copyable {
    /// Packs after which a checkpoint is due: what a crash leaves for the host's own list to remember.
    package static let packsPerCheckpoint = 16
    /// Index entries of one run.
    static let entriesPerRun = 1 << 18

    private let session: WritingSession
    /// The log as far as it was looked at.
    private var log: ControlLog
    private var number: UInt32 = 0
    private var previous: Hash256

    /// The last entry that was put; `nil` before the first.
    package var last: SessionHead? {
        guard number > 0 else { return nil }
        return SessionHead(writer: session.writer, session: session.session, number: number - 1, hash: previous)
    }

    /// The chain of a session that has no entry yet.
    package init(_ session: WritingSession) {
        self.session = session
        log = session.view.log
        previous = session.slot.hash
    }

    /// Whether enough packs were put since the last entry.
    package var isCheckpointDue: Bool {
        session.pending.withLock { pending in
            pending.packs.count >= session.packsPerCheckpoint || pending.entryCount >= SessionChain.entriesPerRun
        }
    }

    /// Names everything that was put since the last entry, so that the next session finds it.
    ///
    /// - Parameter roots: ids of map leaves that were finished since the last checkpoint.
    /// - Throws: ``RepositoryError``.
    package mutating func checkpoint(roots: [Hash256]) async throws {
        let record = Record(
            kind: Record.checkpointRootsKind, isCritical: false,
            body: .map(["roots": .array(roots.map { .bytes($0.bytes) })]))
        try await put(.checkpoint, records: roots.isEmpty ? [] : [record])
    }

    /// Whether a sweep has closed the epoch that the session stands in, and so waits for its end before it deletes what
    /// it condemned. A store that does not answer now says so at the next look.
    package mutating func isEpochClosed() async -> Bool {
        var (log, chain) = (self.log, session.repository.chain)
        do {
            // Whoever closed it may be enrolled since.
            var reader = TrustReader(session.repository.access)
            try await reader.readOn(&chain)
            try await log.readOn(session.repository.access, chain: chain)
        } catch { return false }
        self.log = log
        return log.next.epoch > session.slot.slot.epoch
    }

    /// Goes on in a new session, in the open epoch: nobody has to wait for this one any more (format page §12).
    ///
    /// All that was captured so far is as good in the new session as what that finds or stores: the last checkpoint
    /// covers it, so that the verdict on the close behind this session pardons it. Nothing else may be taken along, as
    /// what was looked up, or a base that the new session does not show. Everything that `roots` cover has been put.
    ///
    /// - Parameters:
    ///   - roots: ids of structure blobs below which all lies that was captured since the backup began.
    ///   - bases: as for ``WritingSession/begin(_:state:randomness:packsPerCheckpoint:bases:)``.
    /// - Returns: the new session. This one has ended.
    /// - Throws: ``RepositoryError``, as that, and `refused` when a sweep has fenced this session: what it captured is
    ///   nothing to go on with then.
    package mutating func move(
        roots: [Hash256], bases: (RepositoryView) -> [PointID]
    ) async throws -> WritingSession {
        try await checkpoint(roots: SweepRule.movedIsCovered.holds ? roots : [])
        // The slot before the end: behind both, the next close might have condemned for good what is taken along.
        let next = try await WritingSession.begin(
            session.repository, state: session.state, randomness: session.randomness,
            packsPerCheckpoint: session.packsPerCheckpoint, bases: bases, after: session)
        do {
            let moved = Record(
                kind: Record.movedKind, isCritical: true, body: .map(["session": .bytes(next.session.bytes)]))
            try await put(.abandon, inventory: Inventory(), records: [moved])
        } catch {
            next.end()
            throw error
        }
        session.end()
        return next
    }

    /// Makes a restore point true, and remembers on the host what was seen and written.
    ///
    /// All packs that the point leans on have been put.
    /// - Throws: ``RepositoryError``: `refused` when a sweep has fenced the session; `storage`.
    package mutating func commit(_ point: RestorePointRecord) async throws {
        try await confirmKey()
        try await put(.commit, records: [point.record])
        try await confirmStore()
        // The point is true from here on, whatever becomes of the host's own notes: losing them costs a later check.
        do { try remember() } catch {
            session.addLateNote("the point was made, but this host cannot remember that it did: \(error)")
        }
        session.end()
    }

    /// Looks whether the owner has revoked the key while the backup ran: the point would be void, and not be made.
    private func confirmKey() async throws {
        var chain = session.repository.chain
        var reader = TrustReader(session.repository.access)
        try await reader.readOn(&chain)
        if let unread = reader.unread { throw unread }
        try WritingSession.refuseRevoked(session.signer.publicKey.fingerprint, chain: chain)
    }

    /// Looks whether the store is still the one that the session was opened in: a folder can be moved away, or another
    /// one mounted over it, while a backup runs.
    private func confirmStore() async throws {
        let access = session.repository.access
        let identity = try await access.pair(ObjectPaths.storeIdentity(session.slot.slot.incarnation))
        let slot = try await access.bytes(ObjectPaths.slot(session.slot.slot))
        guard identity.candidates.contains(where: { SecureHash.sha256($0) == session.repository.identityHash }),
            slot.map(SecureHash.sha256) == session.slot.hash
        else {
            throw RepositoryError(
                .refused,
                "the store was exchanged or put back while this backup ran, and does not show \(session.slot.slot) any "
                    + "more: the point is not to be relied on; look at the path, and run the backup again")
        }
    }

    private func remember() throws {
        try session.state.keep(
            memory: HostState.Memory(
                owner: session.repository.chain.head, log: session.view.log.head,
                incarnation: session.slot.slot.incarnation, sessions: last.map { [$0] } ?? []))
        for dead in session.adopted + [session.session] { try session.state.forgetFinishedPacks(of: dead) }
    }

    private mutating func put(_ action: SessionEntry.Action, records: [Record]) async throws {
        var inventory = Inventory()
        // First, so that only runs are merged that an earlier entry names, and that nothing is taken yet when it ends.
        inventory.runs = try await session.mergeWhatIsDue()
        let taken = session.pending.withLock { pending in
            defer { pending = WritingSession.Pending() }
            return pending
        }
        inventory.packs = taken.packs
        inventory.runs += try await putRuns(taken)
        try await put(action, inventory: inventory, records: records)
    }

    private mutating func put(
        _ action: SessionEntry.Action, inventory: Inventory, records: [Record]
    ) async throws {
        let draft = SessionEntry.Draft(
            writer: session.writer, session: session.session, number: number, previous: previous,
            slot: session.slot.slot, action: action, heads: session.repository.heads(session.view),
            inventory: inventory, records: records)
        let object = try SessionEntry.compose(
            draft, recipient: try session.keys.recipient(.structure), signer: session.signer,
            randomness: session.randomness)
        let name = ObjectPaths.sessionEntry(writer: session.writer, session: session.session, number: number)
        switch try await session.repository.access.put(name, object.bytes) {
        case .mine:
            number += 1
            previous = object.hash
        case .theirs:
            throw RepositoryError(
                .refused,
                "somebody ended this session at \(name) because it seemed silent; nothing is lost, run the backup "
                    + "again",
                .retry)
        case .unknown: preconditionFailure("a put is asked about until it is decided")
        }
    }

    /// Index runs over the packs; more than one when there are very many blobs.
    private func putRuns(_ pending: WritingSession.Pending) async throws -> [Inventory.Run] {
        var runs: [Inventory.Run] = []
        var packs: [ObjectKey] = []
        var entries: [IndexEntry] = []
        for (position, pack) in pending.entries.enumerated() {
            for (ordinal, entry) in pack.entries.enumerated() where entry.kind != .padding {
                entries.append(
                    IndexEntry(identifier: entry.identifier, pack: UInt32(packs.count), ordinal: UInt32(ordinal)))
            }
            packs.append(pack.key)
            let isLast = position == pending.entries.count - 1
            guard !entries.isEmpty, isLast || entries.count >= SessionChain.entriesPerRun else { continue }
            runs.append(
                try await putRun(entries, packs: packs, replacing: isLast ? pending.replacedRuns : []))
            (packs, entries) = ([], [])
        }
        return runs
    }

    private func putRun(
        _ entries: [IndexEntry], packs: [ObjectKey], replacing replaced: [Hash256]
    ) async throws -> Inventory.Run {
        let run = try await session.put(entries, packs: packs, merged: replaced)
        session.index.take([run], isOwn: true)
        session.release(entries.lazy.map(\.identifier))
        return run.listed
    }
}
