package import BackupModel
package import Effects
package import ObjectStorage
import RepositoryFormat

// The sweep
// ---------
// Frees what no restore point needs, beside running backups, without a lock, a clock or a listing in any argument for
// its safety (design §4.8; format page §12; docs/models). It carries out the last close: ends the sessions below it,
// judges what it condemned, deletes the dead; then it composes the next close, claims it, and carries that out as well.
// It may die between any two calls, wake a week later, run beside others: whoever carries out a close comes to the same
// verdict, and a key that was deleted never comes back.

/// One run of the sweep.
package struct Sweep {
    /// What an operator chooses.
    package struct Settings: Sendable {
        /// Nanoseconds for which a session says nothing before it is ended from outside: longer than any backup takes
        /// between two of its checkpoints. Decides when space is freed, and nothing else.
        package var patience: UInt64 = 12 * 3600 * 1_000_000_000
        /// Nanoseconds for which a forgotten point can still be had back.
        package var undoTime: UInt64 = 0
        /// Bytes of packs that one run reads to copy what is needed out of those that are mostly dead; 0 for none.
        package var rewriteByteLimit: UInt64 = 4 << 30
        /// Nanoseconds since 1970, by the host's clock.
        package var now: UInt64

        /// The usual settings.
        package init(now: UInt64) { self.now = now }

        /// Whether a point goes that was forgotten so. One that was forgotten in the future waits.
        package func isDue(_ forget: SaidOfPoints.Forget) -> Bool {
            forget.at <= now && now - forget.at >= undoTime && forget.undoUntil <= now
        }
    }

    /// What a run remembers for the next on the same host: it only spares work and decides when to look again.
    package struct Memory: Hashable, Sendable {
        /// How far a running session was when it was first seen there.
        package struct Seen: Hashable, Sendable {
            /// Number of its next entry.
            package let next: UInt32
            /// Nanoseconds since 1970.
            package let at: UInt64
        }

        /// Running sessions below a close.
        package var seen: [SessionID: Seen] = [:]

        /// Nothing remembered.
        package init() {}
    }

    /// How a run came out.
    package struct Report: Hashable, Sendable {
        /// Points that are gone.
        package var dropped: [PointID] = []
        /// Packs and runs that were deleted.
        package var deleted = 0
        /// Bytes of them, as far as they were stated.
        package var freedByteCount: UInt64 = 0
        /// Keys that could not be deleted, with why; a later sweep tries again.
        package var left: [String] = []
        /// Sessions from outside of which nothing is freed before they end.
        package var waitsFor: [SessionID] = []
        /// Sessions that were ended from outside.
        package var fenced: [SessionID] = []
        /// Whether an epoch was closed.
        package var hasClosed = false
        /// Packs that are condemned and wait for sessions to end.
        package var condemned = 0
        /// Maps (roots, nodes and leaves) that were read to learn what points need.
        package var readMaps = 0
        /// Packs of which what is needed was copied, so that they can go.
        package var rewritten = 0
        /// Bytes of the packs that it was copied to.
        package var copiedByteCount: UInt64 = 0
        /// Index runs that a merged one takes the place of.
        package var mergedRuns = 0
        /// Names of packs that are damaged, and so were not copied from.
        package var damaged: [String] = []
        /// Maps that were not read, because the last sweep of this host had kept what they lean on.
        package var keptMaps = 0
        /// How packs of locked points are protected in the store; `nil` where nobody has locked anything ever, and when
        /// the run did not get so far.
        package var protection: Protection?
    }

    /// Closes lost to other sweeps before a run gives up.
    private static let attemptLimit = 16

    private let repository: OpenRepository
    private let store: any SweepableStore
    private let keys: RepositoryKeys
    private let state: HostState?
    /// What this host remembered before the log was read; of the owner, before the sweep began.
    private var remembered: HostState.Memory?
    private let settings: Settings
    private let signer: MaintainerKey
    private let settling: SessionSettling
    private var memory: Memory
    private var report = Report()
    /// Keys whose deletion was answered in this run.
    private var deleted: Set<Ledger.Condemned> = []
    /// The last close of the log as it was read last.
    private var lastSeenClose: LogHead?
    /// Points as they were opened, by the entries that committed them: once, however often the log is read.
    private var opened: [Hash256: OpenedPoints] = [:]
    /// Slots that withdrawn revocations alone make void, as they were read last.
    private var regained: [ReadSlot] = []
    /// Sessions of the open epoch that have said nothing for the patience.
    private var silent: Set<SessionID> = []
    private let randomness: Randomness
    private let progress: (UInt64, UInt64) -> Void
    /// Whether this run has merged and copied, or tried to: once is enough.
    private var hasUpkept = false

    private init(
        _ repository: OpenRepository, store: any SweepableStore, state: HostState?, remembered: HostState.Memory?,
        memory: Memory, settings: Settings, randomness: Randomness, progress: @escaping (UInt64, UInt64) -> Void
    ) throws {
        self.repository = repository
        self.remembered = remembered
        self.store = store
        self.state = state
        self.memory = memory
        self.settings = settings
        self.randomness = randomness
        self.progress = progress
        keys = try repository.keys()
        signer = try MaintainerKey(repository)
        settling = SessionSettling(
            repository: repository, signer: signer, recipient: try keys.recipient(.structure), randomness: randomness)
    }

    /// Sweeps once.
    ///
    /// - Parameters:
    ///   - repository: opened with a maintainer's or the owner's credential.
    ///   - store: the same store, which also deletes.
    ///   - state: what this host remembers of the repository; `nil` for a look from nowhere.
    ///   - memory: of the last run; changed for the next.
    ///   - progress: told of the bytes of packs that were read to be copied from, and of those to read in all.
    /// - Throws: ``RepositoryError``: `refused` when anything is missing, hidden or not understood; `damaged`;
    ///   `storage`.
    ///   Whatever is thrown, nothing that a point needs was deleted.
    package static func run(
        _ repository: OpenRepository, store: any SweepableStore, state: HostState?, memory: inout Memory,
        settings: Settings, randomness: Randomness, progress: @escaping (UInt64, UInt64) -> Void = { _, _ in }
    ) async throws -> Report {
        var repository = repository
        let remembered = try await state?.recall(&repository)
        var sweep = try Sweep(
            repository, store: store, state: state, remembered: remembered, memory: memory, settings: settings,
            randomness: randomness, progress: progress)
        defer { memory = sweep.memory }
        do { try await sweep.run() } catch let error as RepositoryError where error.code == .damaged {
            // What this sweep still needed may be what another has let go meanwhile.
            guard try await sweep.wasOvertaken() else { throw error }
            throw RepositoryError(
                .refused,
                "another host has swept meanwhile, further than this one: sweep again; nothing that a point "
                    + "needs was deleted", .retry)
        }
        return sweep.report
    }

    /// Thrown before anything was closed: whoever sweeps reads on what the owner has stated, and begins again.
    package static let ownerHasStated = RepositoryError(
        .refused, "the owner has stated something while this sweep ran: sweep again", .retry)

    /// Whether an epoch was closed that this run has not seen.
    private func wasOvertaken() async throws -> Bool { try await repository.readLog().lastClose != lastSeenClose }

    private mutating func run() async throws {
        for _ in 0..<Sweep.attemptLimit {
            // Before the log is read: what another process sees meanwhile is no reason to refuse. What the owner states
            // meanwhile is met when the epoch is closed.
            if var memory = try state?.memory() {
                memory.owner = remembered?.owner ?? repository.chain.head
                remembered = memory
            }
            var log = try await repository.readLog()
            lastSeenClose = log.lastClose
            let sessions = try await settled(log)
            var verdict: Verdict?
            if log.lastClose != nil {
                guard let judged = try await carriedOut(log: log, sessions: sessions) else { return }
                verdict = judged
            }
            if report.hasClosed { return }
            switch try await close(&log, sessions: sessions, verdict: verdict) {
            case .nothing: return
            // The new close is carried out by going round once more, over what can be read by then.
            case .closed: report.hasClosed = true
            case .lost, .upkept: continue
            }
        }
        if !report.hasClosed {
            throw RepositoryError(
                .storage, "other hosts were faster at the control log \(Sweep.attemptLimit) times; sweep again", .retry)
        }
    }

    // MARK: Settling

    /// All sessions, those that ended with a commit fenced behind it, and silent ones below the last close.
    private mutating func settled(_ log: ControlLog) async throws -> [ReadSession] {
        let view = try await repository.view(of: log, opened: &opened)
        try SweepRefusal.requireWhole(view, repository)
        // Before anything is put: a store that went back would get fences that its newer state knows nothing of.
        if SweepRule.wentBackStops.holds {
            try state?.check(view, chain: repository.chain, remembering: remembered)
        }
        try remember(log)
        regained = view.regained
        var sessions = view.sessions
        for position in sessions.indices where sessions[position].endsWithCommit && !sessions[position].hasEnded {
            sessions[position] = try await settling.fence(sessions[position], log: log, view: view)
        }
        silent = []
        let goingOn = try MovedBackups.goingOn(sessions, below: log, keys: keys)
        for position in sessions.indices where !sessions[position].hasEnded {
            let isDead = try isOwnAndDead(sessions[position])
            guard isSilent(sessions[position]) || isDead else { continue }
            // A close that comes is what makes it end; until then it may still be waited for. But the verdict on the
            // last one asks what becomes of a backup that has moved.
            guard let close = log.lastClose,
                sessions[position].slot.slot < close.slot || goingOn.contains(sessions[position].name)
            else {
                silent.insert(sessions[position].session)
                continue
            }
            sessions[position] = try await settling.fence(sessions[position], log: log, view: view)
            report.fenced.append(sessions[position].session)
        }
        let open = Set(sessions.filter { !$0.hasEnded }.map(\.session))
        memory.seen = memory.seen.filter { open.contains($0.key) }
        return sessions
    }

    /// Whether it is a session of a sweep of this host whose process is gone: there is nothing to be patient about.
    private func isOwnAndDead(_ session: ReadSession) throws -> Bool {
        guard let state, session.writer == signer.writer, try state.begunSessions().contains(session.session) else {
            return false
        }
        return try state.takeOver(session.session) != nil
    }

    /// Whether a session has said nothing for the patience.
    private mutating func isSilent(_ session: ReadSession) -> Bool {
        guard let seen = memory.seen[session.session], seen.next == session.next, seen.at <= settings.now else {
            memory.seen[session.session] = Memory.Seen(next: session.next, at: settings.now)
            return settings.patience == 0
        }
        return settings.now - seen.at >= settings.patience
    }

    // MARK: The last close

    /// Judges the last close and deletes what is dead. - Returns: `nil` while sessions below it run.
    private mutating func carriedOut(log: ControlLog, sessions: [ReadSession]) async throws -> Verdict? {
        guard let close = log.lastClose else { return nil }
        var sessions = sessions
        if !SweepRule.sessionsAreSlots.holds {
            let shown = try await repository.access.hint(under: "s/")
            sessions.removeAll { session in !shown.contains { $0.contains(session.session.hexadecimal) } }
        }
        let running = sessions.filter { $0.slot.slot < close.slot && !$0.hasEnded }
        guard running.isEmpty || !SweepRule.sessionsEndFirst.holds else {
            report.waitsFor = running.map(\.session)
            report.condemned = log.ledger?.condemnedFresh.count ?? 0
            return nil
        }
        let verdict = try await Verdict(repository, log: log, sessions: sessions, keys: keys)
        for condemned in verdict.dead.sorted(by: { $0.key < $1.key }) where !deleted.contains(condemned) {
            try Task.checkCancellation()
            do throws(StorageError) {
                let byteCount = try await delete(condemned)
                deleted.insert(condemned)
                if let byteCount {
                    report.deleted += 1
                    report.freedByteCount += byteCount
                }
            } catch {
                guard error.code != .interrupted else { throw CancellationError() }
                report.left.append(error.sentence)
            }
        }
        return verdict
    }

    /// Deletes an object. - Returns: its size, when the store showed it before.
    private func delete(_ condemned: Ledger.Condemned) async throws(StorageError) -> UInt64? {
        let object = ObjectAccess.name(condemned.kind == .pack ? condemned.key.packName : condemned.key.runName)
        // Only to count: that a store does not show an object proves nothing, and it is deleted all the same.
        let byteCount = try await store.byteCount(of: object)
        try await PackProtection.delete(object, from: store)
        return byteCount
    }

    // MARK: The next close

    private enum Closing { case nothing, closed, lost, upkept }

    private mutating func close(
        _ log: inout ControlLog, sessions: [ReadSession], verdict: Verdict?
    ) async throws -> Closing {
        let view = try RepositoryView(
            log: log, sessions: sessions, chain: repository.chain, keys: keys, opened: opened,
            absent: SweepRule.deadIsAbsent.holds ? verdict?.dead ?? [] : [], regained: regained)
        let kept = try state?.sweepMarks().flatMap { try KeptMarks($0, keys: keys) }
        let composition = try await LedgerComposition(
            repository, view: view, keys: keys, damage: try state?.damage() ?? HostState.Damage(), kept: kept,
            circumstances: LedgerComposition.Circumstances(
                verdict: verdict, deleted: deleted, silent: silent, isDue: settings.isDue,
                times: LockTime.decision(
                    in: view, own: signer.writer, revoked: repository.revokedWriters, now: settings.now),
                rewriteByteLimit: settings.rewriteByteLimit))
        report.readMaps += composition.maps.read
        report.keptMaps += composition.maps.kept
        let marks = try composition.marks.content(keys: keys)
        if let state, marks != kept?.content { state.keep(sweepMarks: marks) }
        if !hasUpkept, !composition.upkeep.isEmpty {
            hasUpkept = true
            try await upkeep(composition.upkeep, log: &log, view: view)
            return .upkept
        }
        guard composition.isWorthClosing else {
            try await protect(composition)
            return .nothing
        }
        if !SweepRule.nothingGoesBeforeTheClose.holds {
            for pack in composition.ledger.condemnedFresh { _ = try? await delete(pack) }
        }
        let object = SignedObject(
            kind: .ledger, repository: repository.chain.repository, body: composition.ledger.body,
            signedBy: signer.key)
        guard object.bytes.count <= FormatLimits.recordByteCount else {
            throw RepositoryError(
                .exhausted,
                "the ledger would have \(object.bytes.count) bytes, more than the format's "
                    + "\(FormatLimits.recordByteCount): forget points in smaller steps")
        }
        guard case .mine = try await repository.access.put(ObjectPaths.ledger(object.hash), object.bytes) else {
            throw RepositoryError(
                .damaged, "\(ObjectPaths.ledger(object.hash)) holds other bytes than it is named after", .repair)
        }
        // The owner may have revoked a key meanwhile: what it signed counts for nobody who composes from now on.
        var chain = repository.chain
        var reader = TrustReader(repository.access)
        try await reader.readOn(&chain)
        guard chain.head == repository.chain.head else {
            throw Sweep.ownerHasStated
        }
        let claim = SlotClaim(repository: repository, signer: signer.key, sessions: sessions)
        guard
            try await claim.attempt(
                .close(ledger: object.hash), heads: repository.heads(view), log: &log) != nil
        else { return .lost }
        report.dropped = composition.dropped
        try remember(log)
        try await protect(composition)
        return .closed
    }

    /// Has the store protect what locked points lean on, as far as it can.
    private mutating func protect(_ composition: LedgerComposition) async throws {
        guard let locked = composition.locked else { return }
        report.protection = try await PackProtection.apply(locked: locked.packs, others: locked.others, in: store)
    }

    /// Merges and copies; what cannot be done stays as it is.
    private mutating func upkeep(_ plan: UpkeepPlan, log: inout ControlLog, view: RepositoryView) async throws {
        let upkeep = Upkeep(
            repository: repository, keys: keys, signer: signer, state: state, randomness: randomness,
            progress: progress)
        guard let done = try await upkeep.run(plan, log: &log, view: view) else { return }
        report.rewritten += done.rewritten
        report.copiedByteCount += done.copiedByteCount
        report.mergedRuns += done.mergedRuns
        report.damaged += done.damaged
        if !SweepRule.copiedFromGoesByClose.holds {
            for pack in plan.sources { _ = try? await delete(Ledger.Condemned(kind: .pack, key: pack)) }
        }
    }

    /// Keeps on this host how far the log went: a store that shows less at the next run went back.
    private func remember(_ log: ControlLog) throws {
        guard let state else { return }
        var seen = HostState.Memory(of: repository)
        seen.log = log.head
        try state.keep(memory: seen)
    }
}
