package import BackupModel
package import Effects
import ObjectStorage
package import RepositoryFormat

// What maintainers say
// --------------------
// Forgets, releases and results of verifications are records in a session of their own that adds nothing; holds and
// undos are slots. Both are the word of a maintainer or of the owner. None of them removes anything: a sweep acts on
// them when it composes a ledger.

/// Says something about points as a maintainer or the owner.
package struct MaintenanceSession {
    /// Points that one slot names: it stays within the limit of a slot.
    package static let pointsPerSlot = 128

    private let repository: OpenRepository
    private let randomness: Randomness
    private let recipient: DomainRecipient
    private let signer: MaintainerKey

    /// - Throws: ``RepositoryError``: `roleLacksKey`, `unsupported`, `refused` for a revoked key.
    package init(_ repository: OpenRepository, randomness: Randomness) throws {
        try self.init(repository, signer: MaintainerKey(repository), randomness: randomness)
    }

    /// What it says counts as far as the key may say it.
    init(_ repository: OpenRepository, signer: MaintainerKey, randomness: Randomness) throws {
        self.signer = signer
        recipient = try repository.keys().recipient(.structure)
        self.repository = repository
        self.randomness = randomness
    }

    /// Says that points need not be kept.
    ///
    /// - Parameters:
    ///   - time: nanoseconds since 1970, UTC.
    ///   - undoTime: nanoseconds from then for which no sweep lets them go.
    ///   - rules: by which it was decided, in UTF-8, at most ``ForgetRecord/ruleByteLimit`` bytes; empty for a decision
    ///     by hand.
    /// - Returns: where the record stands.
    /// - Throws: ``RepositoryError``: `refused` for a store that hides something; `storage`.
    @discardableResult
    package func forget(
        _ points: [PointID], at time: UInt64, reason: String, undoTime: UInt64 = 0, rules: [UInt8] = []
    ) async throws -> SessionHead {
        let (sum, overflows) = time.addingReportingOverflow(undoTime)
        let until = undoTime == 0 ? 0 : overflows ? .max : sum
        let records = stride(from: 0, to: points.count, by: ForgetRecord.pointLimit).map { start in
            let piece = points[start..<min(points.count, start + ForgetRecord.pointLimit)]
            return ForgetRecord(
                points: Array(piece), at: time, reason: reason, undoUntil: until, rules: rules
            ).record
        }
        return try await say(records)
    }

    /// Asks that the locks of points be over; it counts once enough persons stand behind it.
    ///
    /// - Parameters:
    ///   - points: at least one unless standing locks are meant.
    ///   - standing: whether standing locks shall be over as well.
    ///   - time: nanoseconds since 1970, UTC.
    /// - Returns: where the record stands.
    @discardableResult
    package func unlock(
        _ points: [PointID], standing: Bool = false, at time: UInt64, reason: String
    ) async throws -> SessionHead {
        if standing, points.isEmpty {
            return try await say([UnlockRecord(points: [], endsStandingLocks: true, at: time, reason: reason).record])
        }
        let records = stride(from: 0, to: points.count, by: UnlockRecord.pointLimit).map { start in
            UnlockRecord(
                points: Array(points[start..<min(points.count, start + UnlockRecord.pointLimit)]),
                endsStandingLocks: standing, at: time, reason: reason
            ).record
        }
        return try await say(records)
    }

    /// Lets no sweep remove points before a date; a date before an earlier one's changes nothing.
    ///
    /// They are held first, so that no sweep that is under way can let them go beside the word; the record that locks
    /// them releases the hold.
    /// - Parameter until: nanoseconds since 1970, UTC.
    /// - Throws: ``RepositoryError``: `noSuchPoint` for one that is gone. Whatever is thrown, what was held stays held.
    package func lock(_ points: [PointID], until: UInt64, at time: UInt64, reason: String) async throws {
        try await lock([until: points], at: time, reason: reason)
    }

    /// As ``lock(_:until:at:reason:)``, points by their dates; at least one point.
    package func lock(_ dates: [UInt64: [PointID]], at time: UInt64, reason: String) async throws {
        let ordered = dates.sorted { $0.key < $1.key }
        let slots = try await hold(ordered.flatMap(\.value))
        let locks = ordered.flatMap { until, points in
            stride(from: 0, to: points.count, by: LockRecord.pointLimit).map { start in
                LockRecord(
                    points: Array(points[start..<min(points.count, start + LockRecord.pointLimit)]), until: until,
                    at: time, reason: reason
                ).record
            }
        }
        try await say(locks + [ReleaseRecord(slots: slots.map(\.slot), at: time, reason: reason).record])
    }

    /// Says what a verification found of points.
    ///
    /// - Parameter time: nanoseconds since 1970, UTC.
    /// - Throws: ``RepositoryError``: `refused` for a store that hides something; `storage`.
    package func attest(
        whole: [PointID], damaged: [PointID], level: AttestationRecord.Level, at time: UInt64
    ) async throws {
        // Of an id that stands in two points one may be whole and the other not: then it is not.
        let wrong = Set(damaged)
        let results = Set(whole).subtracting(wrong).map { ($0, true) } + wrong.map { ($0, false) }
        let records = stride(from: 0, to: results.count, by: AttestationRecord.pointLimit).map { start in
            let piece = results[start..<min(results.count, start + AttestationRecord.pointLimit)]
            return AttestationRecord(
                level: level, at: time, whole: piece.filter(\.1).map(\.0), damaged: piece.filter { !$0.1 }.map(\.0)
            ).record
        }
        guard !records.isEmpty else { return }
        try await say(records)
    }

    /// Lets no sweep remove any point, of now and of later, before so long after its run has ended.
    ///
    /// - Parameter duration: nanoseconds, at most ``StandingLockRecord/longest``.
    /// - Throws: ``RepositoryError``: `noSuchPoint` when a sweep has let a forgotten one go meanwhile.
    package func lockAll(for duration: UInt64, at time: UInt64, reason: String) async throws {
        // Only what is forgotten can go before a sweep reads of the lock.
        let view = try await read().1
        let forgotten = view.points.map(\.record.identifier).filter { view.said.forget(of: $0) != nil }
        let slots = forgotten.isEmpty ? [] : try await hold(forgotten)
        let released = slots.isEmpty ? [] : [ReleaseRecord(slots: slots.map(\.slot), at: time, reason: reason).record]
        try await say([StandingLockRecord(duration: duration, at: time, reason: reason).record] + released)
    }

    /// Says that holds hold nothing any more.
    @discardableResult
    package func release(_ slots: [SlotNumber], at time: UInt64, reason: String) async throws -> SessionHead {
        try await say([ReleaseRecord(slots: slots, at: time, reason: reason).record])
    }

    /// Makes points stay, until the hold is released.
    ///
    /// - Returns: the slots that hold them.
    /// - Throws: ``RepositoryError``: `noSuchPoint` for one that is gone, and was when the slot was claimed.
    package func hold(_ points: [PointID]) async throws -> [LogHead] { try await claim(points) { .hold($0) } }

    /// Takes forgets of points back.
    ///
    /// - Throws: ``RepositoryError``: `noSuchPoint` for one that is gone.
    package func undo(_ points: [PointID]) async throws -> [LogHead] { try await claim(points) { .undo($0) } }

    private func claim(_ points: [PointID], _ claim: ([PointID]) -> LogSlot.Claim) async throws -> [LogHead] {
        var slots: [LogHead] = []
        for start in stride(from: 0, to: points.count, by: MaintenanceSession.pointsPerSlot) {
            let piece = Array(points[start..<min(points.count, start + MaintenanceSession.pointsPerSlot)])
            var (log, before) = try await read()
            let slot = try await SlotClaim(repository: repository, signer: signer.key, sessions: before.sessions)
                .claim(claim(piece), heads: repository.heads(before), log: &log)
            // Only now: what was read before the claim may have been left out by a ledger since.
            let shown = Set(try await repository.view(of: log).points.map(\.record.identifier))
            if let gone = piece.first(where: { !shown.contains($0) }) {
                throw RepositoryError(
                    .noSuchPoint,
                    "point \(gone) is gone: a sweep has left it out of what lives on; nothing brings it back"
                )
            }
            slots.append(slot)
        }
        return slots
    }

    private func read() async throws -> (ControlLog, RepositoryView) {
        let log = try await repository.readLog()
        let view = try await repository.view(of: log)
        if let unread = repository.unread ?? view.unread { throw unread }
        if let first = view.hidden.first {
            throw RepositoryError(
                .refused,
                "\(first) is known to exist and is not shown; nothing was written; `dozo verify` says who has "
                    + "seen it")
        }
        return (log, view)
    }

    /// Says anything, in a session of its own that adds nothing.
    ///
    /// - Parameter records: as many as an entry takes; of kinds that only other versions know as well.
    /// - Throws: ``RepositoryError``: `refused` for a store that hides something; `storage`.
    @discardableResult
    package func say(_ records: [Record]) async throws -> SessionHead {
        var (log, before) = try await read()
        let taken = Set(before.sessions.map(\.session))
        guard let session = SessionID(bytes: randomness.bytes(16)), !taken.contains(session) else {
            throw RepositoryError(.refused, "the random generator of this machine repeats itself; nothing was written")
        }
        let slot = try await SlotClaim(repository: repository, signer: signer.key, sessions: before.sessions)
            .open(session: session, bases: [], ended: [], heads: repository.heads(before), log: &log)
        let draft = SessionEntry.Draft(
            writer: signer.writer, session: session, number: 0, previous: slot.hash, slot: slot.slot, action: .commit,
            heads: repository.heads(before), inventory: Inventory(), records: records)
        let object = try SessionEntry.compose(
            draft, recipient: recipient, signer: signer.key, randomness: randomness.bound(to: slot.hash))
        let name = ObjectPaths.sessionEntry(writer: signer.writer, session: session, number: 0)
        guard case .mine = try await repository.access.put(name, object.bytes) else {
            throw RepositoryError(
                .refused, "a sweep ended this session before it had said anything; say it again", .retry)
        }
        return SessionHead(writer: signer.writer, session: session, number: 0, hash: object.hash)
    }
}
