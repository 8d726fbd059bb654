package import BackupModel
import ChunkEncryption
package import Effects
import ObjectStorage
package import RepositoryFormat
import Synchronization

// A session that writes
// ---------------------
// The order is the contract (design §4.7): remember the session on the host, claim a slot, only then read any index;
// put packs, then the index run that lists them, then the entry that names both. Nothing is visible before its entry
// won its place, and an entry is put only when everything it names is durable.
//
// Packs may be put from several tasks at once. Entries are put by one task, the one that holds the ``SessionChain``.
//
// Several sessions of one host may run at once, each in a process of its own or not. Each holds its lock from before
// its slot is claimed until its end; one that begins ends and takes over those alone whose locks it got
// (``DeadSessions``).

/// A session that has claimed its slot and may add to the repository.
package final class WritingSession: Sendable {
    /// Ends of earlier sessions that one slot states; the rest waits for the next slot.
    static let statedEndLimit = 16
    /// Session ids drawn before a random generator is said to repeat itself.
    static let drawLimit = 64

    struct Pending {
        var packs: [Inventory.Pack] = []
        var entries: [(key: ObjectKey, entries: [PackEntry])] = []
        var entryCount = 0
        /// Runs that the next run makes good.
        var replacedRuns: [Hash256] = []
    }

    /// The repository it writes into.
    package let repository: OpenRepository
    /// Keys of the domain it writes into.
    package let keys: RepositoryKeys
    /// What the repository held when the slot was claimed.
    package let view: RepositoryView
    /// Where its blobs stand.
    package let index: ChunkIndex
    /// Directories and keys of its packs.
    package let shelf: PackShelf
    /// Name of this session.
    package let session: SessionID
    /// The claimed slot.
    package let slot: LogHead
    /// What the host remembers.
    package let state: HostState
    let signer: SigningKey
    let randomness: Randomness
    /// Sessions whose finished packs this one took over, or that it goes on with.
    let adopted: [SessionID]
    let packsPerCheckpoint: Int
    private let claims = Mutex<Set<Hash256>>([])
    let pending: Mutex<Pending>
    private let storedByteCount = Mutex<UInt64>(0)
    private let putRuns = Mutex<Set<Hash256>>([])
    /// Its own lock, and those of the sessions that it took over.
    private let locks: Mutex<[any HeldLock]>
    private let notesAfterCommit = Mutex<[String]>([])

    private init(
        repository: OpenRepository, keys: RepositoryKeys, view: RepositoryView, index: ChunkIndex, shelf: PackShelf,
        session: SessionID, slot: LogHead, state: HostState, signer: SigningKey, randomness: Randomness,
        adopted: [SessionID], pending: Pending, locks: [any HeldLock], packsPerCheckpoint: Int
    ) {
        self.packsPerCheckpoint = packsPerCheckpoint
        self.repository = repository
        self.keys = keys
        self.view = view
        self.index = index
        self.shelf = shelf
        self.session = session
        self.slot = slot
        self.state = state
        self.signer = signer
        self.randomness = randomness
        self.adopted = adopted
        self.pending = Mutex(pending)
        self.locks = Mutex(locks)
    }

    /// Nothing more will be put: from here on the next session of this host may take this one for ended. What is merely
    /// dropped ends as well.
    package func end() { locks.withLock { $0 = [] } }

    /// Name of this session's writer.
    package var writer: WriterID { WriterID(fingerprint: signer.publicKey.fingerprint) }

    /// What people should know of a point that was made; it is true all the same.
    package var lateNotes: [String] { notesAfterCommit.withLock { $0 } }
    /// Adds to ``lateNotes``.
    package func addLateNote(_ note: String) { notesAfterCommit.withLock { $0.append(note) } }

    /// Bytes of packs and runs put so far.
    package var stored: UInt64 { storedByteCount.withLock { $0 } }

    /// Refuses to sign what nobody would believe.
    static func refuseRevoked(_ key: Hash256, chain: OwnerChain) throws {
        guard chain.revocations[key] != nil else { return }
        throw RepositoryError(
            .refused,
            "the owner has revoked the key \(key.abbreviated) of this host: what it signs now is void; if the host is "
                + "still yours, the owner gives it a new one: `dozo key enroll --renew` on it, or `dozo key enroll "
                + "--role writer --to FILE` for a key file")
    }

    /// Begins a session.
    ///
    /// Other sessions with the same host state may run at the same time, of other guests; of one guest the caller makes
    /// sure that only one does.
    /// - Parameters:
    ///   - packsPerCheckpoint: packs after which ``SessionChain/isCheckpointDue``.
    ///   - bases: chooses the points that the session builds on, from what the repository shows.
    /// - Throws: ``RepositoryError``: `refused` when the store went back, or when the host's key was used by a copy of
    ///   the host; `roleLacksKey` when the credential may not write; `storage`; `damaged`.
    package static func begin(
        _ repository: OpenRepository, state: HostState, randomness: Randomness,
        packsPerCheckpoint: Int = SessionChain.packsPerCheckpoint,
        bases: (RepositoryView) -> [PointID] = { _ in [] }
    ) async throws -> WritingSession {
        try await begin(
            repository, state: state, randomness: randomness, packsPerCheckpoint: packsPerCheckpoint, bases: bases,
            after: nil)
    }

    /// As ``begin(_:state:randomness:packsPerCheckpoint:bases:)``, for a backup that has another session already.
    ///
    /// - Parameter earlier: that session, which is about to end (``SessionChain/move(roots:bases:)``).
    static func begin(
        _ repository: OpenRepository, state: HostState, randomness: Randomness, packsPerCheckpoint: Int,
        bases: (RepositoryView) -> [PointID], after earlier: WritingSession?
    ) async throws -> WritingSession {
        try repository.requireFeatures(for: .read)
        try repository.requireFeatures(for: .write)
        guard let signer = repository.credential.signingKey, [.owner, .writer].contains(repository.credential.role)
        else {
            throw RepositoryError(
                .roleLacksKey,
                "this \(repository.credential.role.rawValue) credential may not add restore points; use a writer's")
        }
        var repository = repository
        // Before the store is looked at: another session of this host may commit meanwhile.
        let remembered = try await state.recall(&repository)
        // It was opened long ago: keys that were enrolled since have written what is read now.
        if earlier != nil { try await repository.readOn() }
        try refuseRevoked(signer.publicKey.fingerprint, chain: repository.chain)
        let keys = try repository.keys()
        var log = try await repository.readLog()
        let before = try await repository.view(of: log)
        try refuseUnread(before, repository)
        try state.check(before, chain: repository.chain, remembering: remembered)
        try refuseHidden(before)
        try refuseCopies(before, state: state, signer: signer)
        let (session, lock) = try beginOnHost(before, state: state, randomness: randomness)
        let dead = try DeadSessions(before, state: state, signer: signer.publicKey.fingerprint, besides: session)
        let settled = try await settle(
            dead, in: before, repository: repository, keys: keys, signer: signer, randomness: randomness)
        let claim = SlotClaim(repository: repository, signer: signer, sessions: before.sessions)
        let slot = try await claim.open(
            session: session, bases: bases(before), ended: settled, heads: repository.heads(before), log: &log)
        // Only now: what is read before the claim may be swept away by somebody who has not seen it.
        let view = try await repository.view(of: log)
        try refuseUnread(view, repository)
        // Again: of a host and its copy that begin at the same time, the later slot sees the earlier one.
        try refuseCopies(view, state: state, signer: signer)
        let shelf = PackShelf(repository.access, keys: keys)
        let index = try await ChunkIndex(
            repository.access, view: view, keys: keys, shelf: shelf, filters: state.filters,
            damage: state.damage())
        var adoption = await adopt(dead, view, index: index, shelf: shelf, slot: slot)
        try await makeGood(index, view: view, shelf: shelf, in: &adoption.pending)
        let begun = WritingSession(
            repository: repository, keys: keys, view: view, index: index, shelf: shelf, session: session, slot: slot,
            state: state, signer: signer, randomness: randomness.bound(to: slot.hash),
            adopted: adoption.sessions + (earlier.map { $0.adopted + [$0.session] } ?? []),
            pending: adoption.pending, locks: [lock] + dead.locks, packsPerCheckpoint: packsPerCheckpoint)
        if let earlier {
            begun.storedByteCount.withLock { $0 = earlier.stored }
            begun.notesAfterCommit.withLock { $0 = earlier.lateNotes }
        }
        return begun
    }

    /// A store that does not show what others have seen went back, or lost it: what is written now would not fit it.
    /// What cannot be read now may be read later: nobody writes behind it before.
    static func refuseUnread(_ view: RepositoryView, _ repository: OpenRepository) throws {
        if let unread = repository.unread ?? view.unread { throw unread }
    }

    static func refuseHidden(_ view: RepositoryView) throws {
        guard let first = view.hidden.first else { return }
        let more = view.hidden.count > 1 ? " and \(view.hidden.count - 1) more" : ""
        throw RepositoryError(
            .refused,
            "\(first)\(more) is known to exist and is not shown: the store hides it, lost it or went back to an "
                + "earlier state; nothing was written; `dozo verify` says who has seen it; when it is lost for good, "
                + "an empty file in its place lets hosts go on")
    }

    private static func refuseCopies(_ view: RepositoryView, state: HostState, signer: SigningKey) throws {
        let foreign = try state.foreignSessions(in: view, writer: signer.publicKey.fingerprint)
        guard let first = foreign.first else { return }
        throw RepositoryError(
            .refused,
            "session \(first) was written with this host's key and was never begun here: the state folder was "
                + "copied to another machine or put back to an earlier state; enrol this host anew "
                + "(`dozo key enroll --renew`) before it writes again")
    }

    /// Draws an id that no session has, as far as the repository and this host know, and begins its session on the
    /// host.
    ///
    /// A machine that was resumed twice draws twice the same; entries under an id that has some would lose against
    /// them.
    private static func beginOnHost(
        _ view: RepositoryView, state: HostState, randomness: Randomness
    ) throws -> (session: SessionID, lock: any HeldLock) {
        let taken = Set(view.sessions.map(\.session)).union(try state.begunSessions())
        for _ in 0..<drawLimit {
            guard let session = SessionID(bytes: randomness.bytes(16)) else {
                preconditionFailure("16 bytes make an id")
            }
            if !taken.contains(session), let lock = try state.begin(session) { return (session, lock) }
        }
        throw RepositoryError(
            .refused,
            "the random generator of this machine repeats itself: \(drawLimit) session ids that it gave are taken; "
                + "nothing was written")
    }

    /// Ends this writer's dead sessions, so that nothing of them can still appear, and says which ends no slot states
    /// yet.
    private static func settle(
        _ dead: DeadSessions, in view: RepositoryView, repository: OpenRepository, keys: RepositoryKeys,
        signer: SigningKey,
        randomness: Randomness
    ) async throws -> [LogSlot.Ended] {
        var ended: [LogSlot.Ended] = []
        for session in dead.unstated {
            var head = session.head
            // An end before a spoiled place would void what stood there, should it come back.
            if !session.hasEnded, !session.endsWithCommit {
                head = try await abandon(
                    session, view: view, repository: repository, keys: keys, signer: signer, randomness: randomness)
            }
            if let head { ended.append(LogSlot.Ended(session: head.session, number: head.number, hash: head.hash)) }
        }
        return ended
    }

    /// Puts `abandon` under the next number; whatever stands there afterwards is the session's end, or leaves it open.
    private static func abandon(
        _ session: ReadSession, view: RepositoryView, repository: OpenRepository, keys: RepositoryKeys,
        signer: SigningKey, randomness: Randomness
    ) async throws -> SessionHead? {
        let number = session.next
        let draft = SessionEntry.Draft(
            writer: session.writer, session: session.session, number: number, previous: session.lastHash,
            slot: session.slot.slot, action: .abandon, heads: repository.heads(view), inventory: Inventory(),
            records: [])
        let object = try SessionEntry.compose(
            draft, recipient: try keys.recipient(.structure), signer: signer, randomness: randomness)
        let name = ObjectPaths.sessionEntry(writer: session.writer, session: session.session, number: number)
        // Should an entry of the dead session have arrived after all, it won; the next session meets it and states the
        // end.
        guard case .mine = try await repository.access.put(name, object.bytes) else { return nil }
        return SessionHead(writer: session.writer, session: session.session, number: number, hash: object.hash)
    }

    /// Takes over packs that dead sessions of this host finished and never named (format page §11, "Adoption").
    private static func adopt(
        _ dead: DeadSessions, _ view: RepositoryView, index: ChunkIndex, shelf: PackShelf, slot: LogHead
    ) async -> (sessions: [SessionID], pending: Pending) {
        let named = Set(view.packs.map(\.key))
        var pending = Pending()
        for (_, packs) in dead.withPacks {
            for pack in packs where !named.contains(pack.key) {
                guard slot.slot.epoch <= pack.key.generation + 1,
                    !view.condemned.contains(Ledger.Condemned(kind: .pack, key: pack.key)),
                    let contents = try? await shelf.contents(of: pack.key),
                    UInt64(contents.footer.packByteCount) == pack.byteCount
                else { continue }
                index.add(pack.key, entries: contents.entries)
                pending.packs.append(
                    Inventory.Pack(
                        key: pack.key, byteCount: pack.byteCount, objectClass: pack.objectClass,
                        domain: contents.header.domain))
                pending.entries.append((pack.key, contents.entries))
                pending.entryCount += contents.entries.count
            }
        }
        return (dead.withPacks.map(\.session), pending)
    }

    /// Packs whose directories are listed anew at once: about 60 MB of entries.
    private static let makeGoodLimit = 2_048

    /// Lists anew the packs of lost index runs, and those that no run lists: the next run of this session takes the
    /// place of lost ones. What is condemned and not judged yet is among them (wording F): it may be pardoned, and
    /// would be found by nobody.
    private static func makeGood(
        _ index: ChunkIndex, view: RepositoryView, shelf: PackShelf, in pending: inout Pending
    ) async throws {
        guard !index.lostRuns.isEmpty || !index.unlistedPacks.isEmpty else { return }
        // More would not fit into memory; it is said by every verification.
        var packs = index.unlistedPacks
        var condemned = Set<ObjectKey>()
        if !index.lostRuns.isEmpty {
            let listed = index.listedPacks
            condemned = Set(view.log.ledger?.condemnedFresh.filter { $0.kind == .pack }.map(\.key) ?? [])
                .subtracting(listed)
            packs += condemned.sorted()
        }
        guard packs.count <= makeGoodLimit else { return }
        // Where other runs list everything already, one pack is listed twice, for a run of none there is not.
        if packs.isEmpty { packs = view.packs.prefix(1).map(\.key) }
        var isWhole = !index.missesDirectories
        for pack in packs {
            guard let entries = try? await shelf.contents(of: pack).entries else {
                // Of what is condemned some is deleted by now.
                if condemned.contains(pack), try await index.access.byteCount(pack.packName) == nil { continue }
                isWhole = false
                continue
            }
            pending.entries.append((pack, entries))
            pending.entryCount += entries.count
        }
        // A run that may only have been out of reach for a moment is not replaced by one that says less.
        if isWhole { pending.replacedRuns = index.lostRuns.map(\.hash) }
    }

    /// Refuses a guest that this writer's enrolment does not list: its point would be void for everybody.
    ///
    /// - Throws: ``RepositoryError``, `refused`.
    package func requireRight(toWrite guest: GuestID) throws {
        let enrolment = repository.chain.signer(signer.publicKey.fingerprint)
        guard enrolment?.mayWrite(guest: guest) ?? false else {
            throw RepositoryError(
                .refused,
                "this host's key may not write guest \(guest); it is enrolled for "
                    + "\((enrolment?.guests ?? []).map(\.hexadecimal).joined(separator: ", ")); nothing was stored")
        }
    }

    // MARK: Adding blobs

    /// Whether the caller must store the blob: nobody in this session has claimed it, and the repository lacks it.
    ///
    /// After `true` the caller stores the blob or fails the whole session.
    package func claim(_ identifier: Hash256) async throws -> Bool {
        guard claims.withLock({ $0.insert(identifier).inserted }) else { return false }
        guard try await index.contains(identifier) else { return true }
        release([identifier])
        return false
    }

    /// Blobs that are claimed and that the index does not show yet: at most what a checkpoint names, and those of
    /// the packs being filled.
    package var claimCount: Int { claims.withLock { $0.count } }

    /// Forgets claims on blobs that the index shows: so many are held as one checkpoint names, and no more.
    func release(_ identifiers: some Sequence<Hash256>) {
        claims.withLock { claims in
            for identifier in identifiers { claims.remove(identifier) }
        }
    }

    /// What a worker needs to fill packs of one class.
    package func packSettings(_ objectClass: ObjectClass, targetByteCount: Int) throws -> PackBuilder.Settings {
        PackBuilder.Settings(
            recipient: try keys.recipient(objectClass), indexKey: try keys.indexKey(), signer: signer,
            randomness: randomness, targetByteCount: targetByteCount)
    }

    /// Puts a finished pack and remembers on the host that it is there. Durable when it returns.
    ///
    /// - Throws: ``RepositoryError``: `storage`; `damaged` when the name holds other bytes.
    package func put(_ pack: FinishedPack, objectClass: ObjectClass) async throws {
        let key = ObjectKey(hash: pack.hash, generation: slot.slot.epoch)
        guard case .mine = try await repository.access.put(key.packName, pack.bytes) else {
            throw RepositoryError(
                .damaged, "\(key.packName) holds other bytes than those it is named after; run `dozo verify`", .repair)
        }
        try state.finished(
            HostState.FinishedPack(key: key, byteCount: UInt64(pack.bytes.count), objectClass: objectClass), in: session
        )
        storedByteCount.withLock { $0 += UInt64(pack.bytes.count) }
        pending.withLock { pending in
            pending.packs.append(
                Inventory.Pack(
                    key: key, byteCount: UInt64(pack.bytes.count), objectClass: objectClass, domain: keys.domain.id))
            pending.entries.append((key, pack.entries))
            pending.entryCount += pack.entries.count
        }
    }

    /// Unpredictable bytes from the source that the session was begun with.
    package func randomBytes(_ count: Int) -> [UInt8] { randomness.bytes(count) }

    /// Index runs that this session has put.
    var ownRuns: Set<Hash256> { putRuns.withLock { $0 } }
    /// Remembers an index run that was put.
    func didPut(run: Hash256) { putRuns.withLock { _ = $0.insert(run) } }

    func count(stored byteCount: Int) { storedByteCount.withLock { $0 += UInt64(byteCount) } }
}
