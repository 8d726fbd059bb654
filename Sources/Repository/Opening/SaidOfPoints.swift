package import BackupModel
import ChunkEncryption
package import RepositoryFormat

/// What was said about points (format page §11, "Attestation", "Forgotten", "Locked", "Approvals"): forgets, releases,
/// undos, locks, unlocks and results of verifications by maintainers and the owner, holds and pins also by writers,
/// approvals by whoever may.
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
        /// The entry that says it, for whoever is to approve it.
        package let request: Approvals.Request
        /// The rules by which it was decided; `nil` for a decision by hand.
        package let rules: Approvals.Request?
    }

    /// Something that needs persons behind it: an entry with forgets and unlocks.
    package struct Asked: Sendable {
        /// The entry.
        package let request: Approvals.Request
        /// Slot of its session.
        package let slot: SlotNumber
        /// What it says, in the order of its records.
        package internal(set) var forgets: [ForgetRecord] = []
        /// What it says, in the order of its records.
        package internal(set) var unlocks: [UnlockRecord] = []

        /// The rules by which all of its forgets were decided; `nil` when there is one by hand, or an unlock.
        package var rules: [UInt8]? {
            guard unlocks.isEmpty, let rules = forgets.first?.rules, !rules.isEmpty,
                forgets.allSatisfy({ $0.rules == rules })
            else { return nil }
            return rules
        }
    }

    /// A date before which no sweep lets a point go, and where it was said.
    private struct Lock {
        let slot: SlotNumber
        let until: UInt64
    }

    /// An unlock of a point.
    private struct Unlock {
        let slot: SlotNumber
        let request: Approvals.Request
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
    /// The forgets of each point that has one, undone or not, by their slots. Where approvals were never asked for, the
    /// last alone.
    private var forgets: [PointID: [Forget]] = [:]
    /// Who stands behind them.
    package private(set) var approvals: Approvals
    /// What may need persons, in the order it was read; empty where they were never asked for.
    package private(set) var asked: [Asked] = []
    private let repository: RepositoryID
    private var released: Set<SlotNumber> = []
    private var undone: [PointID: SlotNumber] = [:]
    /// The locks of each point; where approvals were never asked for, the latest alone.
    private var locks: [PointID: [Lock]] = [:]
    private var unlocks: [PointID: [Unlock]] = [:]
    /// Locks of all points: `until` is the time behind the end of a point's run.
    private var standingLocks: [Lock] = []
    private var standingUnlocks: [Unlock] = []
    /// Whether anything was ever locked, whatever has become of it.
    var hasLocks: Bool { !locks.isEmpty || !standingLocks.isEmpty }
    /// When each point was last found whole, by level.
    private var wholeness: [PointID: [AttestationRecord.Level: Wholeness]] = [:]
    /// Where it was last said that a point is damaged.
    private var damage: [PointID: SlotNumber] = [:]
    /// Holds and pins, also those that were released.
    private var holds: [PointID: [Hold]] = [:]

    /// Kinds of records that this program knows.
    private static let knownKinds: Set<UInt32> = [
        Record.restorePointKind, Record.checkpointRootsKind, Record.forgetKind, Record.releaseKind,
        Record.attestationKind, Record.lockKind, Record.approvalKind, Record.unlockKind, Record.standingLockKind,
        Record.movedKind,
    ]

    init(_ chain: OwnerChain) {
        approvals = Approvals(chain)
        repository = chain.repository
    }

    /// Critical records of an entry that this program does not know, a sentence each.
    static func unknown(in entry: SessionEntry) -> [String] {
        entry.records.enumerated().filter { $1.isCritical && !knownKinds.contains($1.kind) }.map { position, record in
            let name = ObjectPaths.sessionEntry(writer: entry.writer, session: entry.session, number: entry.number)
            return "record \(position) of \(name) is of kind \(record.kind), which a newer program wrote"
        }
    }

    /// Takes what a commit says.
    ///
    /// - Parameters:
    ///   - signer: who signed it; the owner can open guest bytes, a maintainer cannot.
    ///   - approves: whether approvals in it count, if the signer approves at all.
    /// - Returns: what does not open.
    mutating func take(
        _ entry: SessionEntry, slot: SlotNumber, by signer: Enrolment, approves: Bool = true, keys: RepositoryKeys
    ) throws -> [RepositoryFinding] {
        var kinds: Set<UInt32> =
            signer.role.closesEpochs
            ? [
                Record.forgetKind, Record.releaseKind, Record.attestationKind, Record.lockKind, Record.unlockKind,
                Record.standingLockKind,
            ] : []
        if signer.approves, approves { kinds.insert(Record.approvalKind) }
        guard entry.records.contains(where: { kinds.contains($0.kind) }) else { return [] }
        let recipient = try keys.recipient(.structure)
        let privateKey = try keys.structurePrivateKey()
        let name = ObjectPaths.sessionEntry(writer: entry.writer, session: entry.session, number: entry.number)
        var findings: [RepositoryFinding] = []
        var asked = Asked(
            request: Approvals.Request(hash: entry.hash, signer: signer.key.fingerprint), slot: slot)
        for (position, record) in entry.records.enumerated() where kinds.contains(record.kind) {
            do throws(FormatError) {
                let opened = try entry.open(record: position, recipient: recipient, privateKey: privateKey)
                guard opened.kind != Record.attestationKind else {
                    take(try AttestationRecord(opened, name: name), slot: slot, isOwner: signer.role == .owner)
                    continue
                }
                let time = try take(opened, name: name, asked: &asked)
                let session = SessionName(writer: entry.writer, session: entry.session)
                sayings.append(Saying(session: session, entry: entry.number, at: time))
            } catch { findings.append(RepositoryFinding(object: name, sentence: error.sentence)) }
        }
        if approvals.isAskedFor, !asked.forgets.isEmpty || !asked.unlocks.isEmpty { self.asked.append(asked) }
        return findings
    }

    /// Takes a record of a kind that counts. - Returns: when it was said.
    private mutating func take(_ record: Record, name: String, asked: inout Asked) throws(FormatError) -> UInt64 {
        switch record.kind {
        case Record.forgetKind:
            let forget = try ForgetRecord(record, name: name)
            take(forget, asked)
            asked.forgets.append(forget)
            return forget.at
        case Record.lockKind:
            let lock = try LockRecord(record, name: name)
            for point in lock.points { take(Lock(slot: asked.slot, until: lock.until), of: point) }
            return lock.at
        case Record.standingLockKind:
            let lock = try StandingLockRecord(record, name: name)
            standingLocks.append(Lock(slot: asked.slot, until: lock.duration))
            return lock.at
        case Record.unlockKind:
            let unlock = try UnlockRecord(record, name: name)
            if unlock.endsStandingLocks {
                standingUnlocks.append(Unlock(slot: asked.slot, request: asked.request))
            }
            for point in unlock.points {
                unlocks[point, default: []].append(Unlock(slot: asked.slot, request: asked.request))
            }
            asked.unlocks.append(unlock)
            return unlock.at
        case Record.approvalKind:
            let approval = try ApprovalRecord(record, name: name)
            approvals.take(approval, signer: asked.request.signer)
            return approval.at
        default:
            let release = try ReleaseRecord(record, name: name)
            released.formUnion(release.slots)
            return release.at
        }
    }

    /// Settles who stands behind what, once everything was taken.
    mutating func decide(_ chain: OwnerChain) { approvals.decide(chain) }

    private mutating func take(_ record: ForgetRecord, _ asked: Asked) {
        let digest =
            record.rules.isEmpty
            ? nil
            : Approvals.Request(
                hash: ForgetRecord.digest(
                    ofRules: record.rules, repository: repository, signer: asked.request.signer),
                signer: asked.request.signer)
        let forget = Forget(
            slot: asked.slot, at: record.at, reason: record.reason, undoUntil: record.undoUntil,
            request: asked.request, rules: digest)
        for point in record.points {
            guard approvals.isAskedFor else {
                if forgets[point]?.last.map({ $0.slot < asked.slot }) ?? true { forgets[point] = [forget] }
                continue
            }
            let place = forgets[point]?.lastIndex { $0.slot <= forget.slot }.map { $0 + 1 } ?? 0
            forgets[point, default: []].insert(forget, at: place)
        }
    }

    private mutating func take(_ lock: Lock, of point: PointID) {
        let all = locks[point] ?? []
        if approvals.isAskedFor {
            locks[point] = all + [lock]
        } else if all.allSatisfy({ $0.until < lock.until }) {
            locks[point] = [lock]
        }
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

    /// Until when no sweep may let a point go, over or not: nanoseconds since 1970; `nil` when nobody locked it, or
    /// when the persons who are asked for have unlocked it.
    package func lock(of point: RestorePointRecord, at times: DecisionTimes) -> UInt64? {
        let own = latest(locks[point.identifier] ?? [], without: unlocks[point.identifier] ?? [], at: times)
        guard let standing = standingLock(at: times) else { return own }
        let (sum, overflows) = point.endedAt.addingReportingOverflow(standing)
        return max(own ?? 0, overflows ? .max : sum)
    }

    /// For how long after its run every point is locked: nanoseconds; `nil` for no such lock.
    package func standingLock(at times: DecisionTimes) -> UInt64? {
        latest(standingLocks, without: standingUnlocks, at: times)
    }

    /// The latest of the locks that no unlock which counts has taken away.
    private func latest(_ locks: [Lock], without unlocks: [Unlock], at times: DecisionTimes) -> UInt64? {
        guard approvals.required != nil, !unlocks.isEmpty else { return locks.map(\.until).max() }
        let lifted = unlocks.filter { approvals.allow($0.request, at: times.approval) }.map(\.slot).max()
        return locks.filter { lock in lifted.map { $0 <= lock.slot } ?? true }.map(\.until).max()
    }

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
        guard let forget = forgets[point]?.last, let undo = undone[point] else { return false }
        return undo > forget.slot
    }

    /// Whether a forget that stands in a session of this slot was taken back.
    func isTakenBack(_ point: PointID, after slot: SlotNumber) -> Bool { undone[point].map { $0 > slot } ?? false }

    /// Whether a point is forgotten, and only persons are missing for it to go.
    package func waits(_ point: PointID, at times: DecisionTimes) -> Bool {
        forget(of: point) != nil && approvedForget(of: point, at: times) == nil
    }

    /// Why a point need not be kept; `nil` for one that is held, that nobody forgot, or whose forget was undone.
    package func forget(of point: PointID) -> Forget? {
        guard holds(of: point).isEmpty || !SweepRule.holdBeatsForget.holds else { return nil }
        return forgetBehindHolds(of: point)
    }

    /// As ``forget(of:)``, also of a point that is held: what counts once the hold is released.
    package func forgetBehindHolds(of point: PointID) -> Forget? {
        guard let forget = forgets[point]?.last,
            undone[point].map({ $0 < forget.slot }) ?? true || !SweepRule.undoBeatsForget.holds
        else { return nil }
        return forget
    }

    /// The forget by which a sweep may let a point go, if it is due: as ``forget(of:)``, and where persons are asked
    /// for the last one that they stand behind. `nil` for one that waits for them.
    package func approvedForget(of point: PointID, at times: DecisionTimes) -> Forget? {
        guard let last = forget(of: point) else { return nil }
        guard approvals.required != nil, SweepRule.approvalsAreAsked.holds else { return last }
        let undo = undone[point]
        return forgets[point]?.last { forget in
            guard undo.map({ $0 < forget.slot }) ?? true else { return false }
            if approvals.allow(forget.request, at: times.approval) { return true }
            // A clock that jumps makes rules forget what they keep.
            return forget.at <= times.lock && forget.rules.map { approvals.allow($0, at: times.approval) } ?? false
        }
    }
}
