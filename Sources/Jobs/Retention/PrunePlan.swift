package import BackupModel
package import Foundation

// What a prune does
// -----------------
// Of all points of a repository, those that go and those that stay, each with its reasons. A pure function of what is
// known of the points, of the policies and of two times: the command, the agent and a simulation call the same, and
// what `--dry-run` prints is what is done.

/// What a prune of a repository comes to.
package struct PrunePlan: Hashable, Sendable {
    /// A point, and what is known of it beside what retention asks.
    package struct Candidate: Hashable, Sendable {
        /// What retention knows of it.
        package var point: RetainedPoint
        /// Whose it is.
        package var guest: GuestID
        /// What the guest was called then.
        package var label: String
        /// The policy that it was made for; `nil` when none is recorded.
        package var policy: String?
        /// When its run ended, by its writer's clock: nanoseconds since 1970.
        package var storedAt: UInt64
        /// Whether it is forgotten already and waits for a sweep.
        package var isForgotten = false

        /// A point that nobody has forgotten.
        package init(point: RetainedPoint, guest: GuestID, label: String, storedAt: UInt64) {
            self.point = point
            self.guest = guest
            self.label = label
            self.storedAt = storedAt
        }
    }

    /// The rules of a policy that covers guests of the repository.
    package struct Policy: Hashable, Sendable {
        /// Its name.
        package var name: String
        /// What it keeps.
        package var rules: RetentionRules
        /// For how long no sweep lets its points go, in seconds after their runs; 0 for not at all.
        package var lock = 0
        /// By whose clock.
        package var zone: TimeZone
        /// Points a day that its schedule asks for, at most.
        package var runsPerDay: Int
        /// Names of guests that it covers.
        package var names: Set<String>
        /// Patterns of names of guests that it covers.
        package var patterns: [NamePattern]
        /// Whether it chooses guests by tags too, which a repository does not know: then it covers those whose newest
        /// point was made for it.
        package var choosesByTag: Bool

        /// Rules for guests by name.
        package init(name: String, rules: RetentionRules, zone: TimeZone, names: Set<String> = []) {
            self.name = name
            self.rules = rules
            self.zone = zone
            self.names = names
            runsPerDay = 1
            patterns = []
            choosesByTag = false
        }

        func covers(_ label: String, madeFor recorded: String?) -> Bool {
            names.contains(label) || patterns.contains { $0.matches(label) } || choosesByTag && recorded == name
        }
    }

    /// What becomes of a point.
    package enum Fate: String, Hashable, Sendable {
        /// A rule keeps it, or something that no rule has a say in.
        case stays
        /// No rule keeps it, and it is forgotten by this prune.
        case goes
        /// No rule keeps it, and it stays for now: its guest got too many points.
        case waits
        /// It was forgotten before.
        case forgotten
    }

    /// What a policy says of a point.
    package struct Opinion: Hashable, Sendable {
        /// The policy's name.
        package let policy: String
        /// Everything of it that keeps the point.
        package let reasons: [RetentionReason]
        /// Why its rules do not.
        package let misses: [RetentionMiss]
    }

    /// A point and what becomes of it.
    package struct Verdict: Hashable, Sendable {
        /// The point.
        package let candidate: Candidate
        /// What becomes of it.
        package let fate: Fate
        /// What each policy says, in the order of ``Guest/policies``; empty of what is forgotten, or not covered.
        package let opinions: [Opinion]
    }

    /// The points of one guest.
    package struct Guest: Hashable, Sendable {
        /// Which guest.
        package let guest: GuestID
        /// What its newest point calls it.
        package let label: String
        /// Names of the policies that cover it, sorted; without any, everything stays.
        package let policies: [String]
        /// What keeps anything of it from being forgotten; `nil` when nothing does.
        package let flood: PointFlood?
        /// Its points, newest first.
        package let verdicts: [Verdict]
        /// Points that a policy locks for longer than they are, by the new dates: nanoseconds since 1970, whole days.
        package let locks: [UInt64: [PointID]]
    }

    /// Points that are to be locked, by their dates.
    package var locks: [UInt64: [PointID]] {
        guests.reduce(into: [:]) { all, guest in all.merge(guest.locks) { $0 + $1 } }
    }

    /// Guests by their label, then by their id.
    package let guests: [Guest]

    /// Points that go.
    package var goes: [PointID] {
        guests.flatMap(\.verdicts).filter { $0.fate == .goes }.map(\.candidate.point.id)
    }

    /// Decides about all points of a repository.
    ///
    /// - Parameters:
    ///   - candidates: all points, in the order of the control log.
    ///   - policies: those of this repository.
    ///   - now: the clock of whoever decides; nanoseconds since 1970.
    ///   - lockTime: what locks are measured by; see ``Retention/decide(_:now:lockTime:)``.
    ///   - wanted: guests to decide about; `nil` for all. The points of the others are looked at all the same, for ids
    ///     that stand twice.
    ///   - acceptsMany: somebody has looked at guests that got many points, and they are right.
    package init(
        _ candidates: [Candidate], policies: [Policy], now: UInt64, lockTime: UInt64, wanted: Set<GuestID>? = nil,
        acceptsMany: Bool = false
    ) {
        let ordered = policies.sorted { $0.name < $1.name }
        var counts: [PointID: Int] = [:]
        for candidate in candidates { counts[candidate.point.id, default: 0] += 1 }
        let chosen = candidates.filter { wanted?.contains($0.guest) ?? true }
        let marked = chosen.map { candidate in
            var candidate = candidate
            candidate.point.standsTwice = counts[candidate.point.id] != 1
            return candidate
        }
        guests = Dictionary(grouping: marked, by: \.guest).map { guest, own in
            PrunePlan.decide(
                guest, own, policies: ordered, now: now, lockTime: lockTime, acceptsMany: acceptsMany)
        }.sorted { ($0.label, $0.guest) < ($1.label, $1.guest) }
    }

    private static func decide(
        _ guest: GuestID, _ candidates: [Candidate], policies: [Policy], now: UInt64, lockTime: UInt64,
        acceptsMany: Bool
    ) -> Guest {
        guard let newest = candidates.last else { preconditionFailure("a guest is found by its points") }
        let recorded = candidates.last { $0.policy != nil && !$0.point.isDistrusted }?.policy
        let covering = policies.filter { $0.covers(newest.label, madeFor: recorded) }
        var (candidates, locks) = (candidates, [UInt64: [PointID]]())
        for index in candidates.indices {
            guard let until = PrunePlan.lock(of: candidates[index], by: covering, now: now), until > now
            else { continue }
            // Whole days: so few records do for many points. A point that nobody believes locks nothing for long.
            let isNew = !candidates[index].point.standsTwice && !candidates[index].point.isDistrusted
            guard until > candidates[index].point.lockedUntil ?? 0, isNew else { continue }
            let (rounded, overflows) = until.addingReportingOverflow(PrunePlan.day - 1)
            let date = overflows ? until : rounded / PrunePlan.day * PrunePlan.day
            candidates[index].point.lockedUntil = date
            locks[date, default: []].append(candidates[index].point.id)
        }
        let left = candidates.filter { !$0.isForgotten }.map(\.point)
        var opinions: [PointID: [Opinion]] = [:]
        var kept = Set<PointID>()
        for policy in covering {
            let retention = Retention(rules: policy.rules, zone: policy.zone)
            for verdict in retention.decide(left, now: now, lockTime: lockTime) {
                if verdict.isKept { kept.insert(verdict.point.id) }
                // Of one that stands twice the second record gets the same.
                if opinions[verdict.point.id]?.last?.policy == policy.name { continue }
                opinions[verdict.point.id, default: []].append(
                    Opinion(policy: policy.name, reasons: verdict.reasons, misses: verdict.misses))
            }
        }
        var flood: PointFlood?
        if !covering.isEmpty, !acceptsMany {
            flood = PointFlood.last(
                candidates.map(\.storedAt), scheduled: covering.reduce(0) { $0 + $1.runsPerDay }, now: now)
        }
        let verdicts = candidates.map { candidate in
            let fate: Fate =
                if candidate.isForgotten {
                    .forgotten
                } else if covering.isEmpty
                    || kept.contains(candidate.point.id)
                { .stays } else { flood == nil ? .goes : .waits }
            return Verdict(candidate: candidate, fate: fate, opinions: opinions[candidate.point.id] ?? [])
        }
        return Guest(
            guest: guest, label: newest.label, policies: covering.map(\.name), flood: flood,
            verdicts: verdicts.sorted { left, right in
                let (one, other) = (left.candidate.point, right.candidate.point)
                return (one.time, one.takenAt, one.id) > (other.time, other.takenAt, other.id)
            }, locks: locks)
    }

    private static let day: UInt64 = 86_400_000_000_000

    /// Until when the policies want a point to be locked; `nil` for not at all. A run that ended ahead of the
    /// clock ended now.
    private static func lock(of candidate: Candidate, by policies: [Policy], now: UInt64) -> UInt64? {
        guard let longest = policies.map(\.lock).max(), longest > 0 else { return nil }
        let (sum, overflows) = min(candidate.storedAt, now).addingReportingOverflow(UInt64(longest) * 1_000_000_000)
        return overflows ? nil : sum
    }
}
