import BackupModel
import Foundation
import Jobs
import TestKit
import Testing

/// What a prune of a repository comes to: a pure function, against tables and against a plain definition.
@Suite("prune plan")
struct PrunePlanTests {
    static let now = RetentionTests.time("2028-03-20T00:00:00Z")
    static let hour: UInt64 = 3_600_000_000_000
    static let day: UInt64 = 24 * hour

    static func guest(_ number: UInt8) -> GuestID { GuestID(bytes: [UInt8](repeating: number, count: 16))! }

    static func candidate(
        _ number: Int, _ label: String = "web01", guest: UInt8 = 1, at time: UInt64
    ) -> PrunePlan.Candidate {
        PrunePlan.Candidate(
            point: RetainedPoint(id: RetentionTests.id(number), takenAt: time), guest: Self.guest(guest), label: label,
            storedAt: time)
    }

    /// One a night, the last on the night before ``now``.
    static func nights(_ count: Int, from first: Int = 0, _ label: String = "web01", guest: UInt8 = 1)
        -> [PrunePlan.Candidate]
    {
        (0..<count).map { candidate(first + $0, label, guest: guest, at: now - UInt64(count - $0) * day + hour) }
    }

    static func policy(
        _ name: String, _ names: Set<String> = ["web01"], _ change: (inout RetentionRules) -> Void
    ) -> PrunePlan.Policy {
        PrunePlan.Policy(
            name: name, rules: RetentionTests.rules(change), zone: RetentionTests.berlin, names: names)
    }

    static func plan(
        _ candidates: [PrunePlan.Candidate], _ policies: [PrunePlan.Policy], acceptsMany: Bool = false
    ) -> PrunePlan {
        PrunePlan(candidates, policies: policies, now: now, lockTime: now, acceptsMany: acceptsMany)
    }

    static func fates(_ plan: PrunePlan) -> [PointID: PrunePlan.Fate] {
        Dictionary(
            plan.guests.flatMap(\.verdicts).map { ($0.candidate.point.id, $0.fate) },
            uniquingKeysWith: { one, _ in one })
    }

    @Test("a point that any covering policy keeps stays, and each policy says why or why not")
    func severalPolicies() {
        let points = Self.nights(6)
        let plan = Self.plan(
            points, [Self.policy("short") { $0.last = 1 }, Self.policy("long") { $0.last = 3 }])
        #expect(plan.guests.map(\.policies) == [["long", "short"]])
        #expect(Set(plan.goes) == Set((0..<3).map(RetentionTests.id)))
        for verdict in plan.guests[0].verdicts {
            #expect(verdict.opinions.map(\.policy) == ["long", "short"])
            if verdict.fate == .goes {
                #expect(verdict.opinions.allSatisfy { $0.reasons.isEmpty && !$0.misses.isEmpty })
            }
        }
    }

    @Test("a policy locks the points of its guests for its time after their runs, in whole days, and none twice")
    func locks() {
        var points = Self.nights(6) + Self.nights(2, from: 10, "db01", guest: 2)
        // Already locked for longer; dated ahead; standing twice.
        points[5].point.lockedUntil = Self.now + 30 * Self.day
        points[4].storedAt = Self.now + 900 * Self.day
        var locking = Self.policy("locking") { $0.last = 1 }
        locking.lock = 3 * 86_400 + 5
        let plan = Self.plan(points, [locking, Self.policy("other") { $0.last = 1 }])
        // Ended on the nights before: 6, 5 and 4 days ago it is over.
        #expect(plan.locks.values.flatMap(\.self).sorted() == [3, 4].map(RetentionTests.id).sorted())
        #expect(plan.locks.keys.allSatisfy { $0 % Self.day == 0 && $0 > Self.now && $0 <= Self.now + 4 * Self.day })
        #expect(Self.fates(plan)[RetentionTests.id(3)] == .stays && Self.fates(plan)[RetentionTests.id(0)] == .goes)
        var again = points
        for (until, ids) in plan.locks {
            for index in again.indices where ids.contains(again[index].point.id) {
                again[index].point.lockedUntil = until
            }
        }
        #expect(Self.plan(again, [locking]).locks.isEmpty)
        #expect(Self.plan(points, [Self.policy("other") { $0.last = 1 }]).locks.isEmpty)
    }

    @Test("a guest that no policy covers keeps everything")
    func uncovered() {
        let plan = Self.plan(
            Self.nights(5) + Self.nights(5, from: 10, "db01", guest: 2), [Self.policy("one") { $0.last = 1 }])
        #expect(plan.guests.map(\.label) == ["db01", "web01"])
        #expect(plan.guests[0].policies.isEmpty)
        #expect(plan.guests[0].verdicts.allSatisfy { $0.fate == .stays })
        #expect(plan.goes.count == 4)
    }

    @Test("a policy covers by name, by pattern, and where it chooses by tag the guest whose newest point names it")
    func coverage() {
        var points = Self.nights(3, "shop-1")
        points[2].policy = "tagged"
        var byPattern = Self.policy("pattern", []) { $0.last = 2 }
        byPattern.patterns = [NamePattern("shop-*")!]
        var byTag = Self.policy("tagged", []) { $0.last = 3 }
        #expect(Self.plan(points, [byPattern, byTag]).guests[0].policies == ["pattern"])
        byTag.choosesByTag = true
        #expect(Self.plan(points, [byPattern, byTag]).guests[0].policies == ["pattern", "tagged"])
        // An older point that names another: the newest with one counts.
        points[1].policy = "other"
        #expect(Self.plan(points, [byTag]).guests[0].policies == ["tagged"])
        points[2].policy = "other"
        #expect(Self.plan(points, [byTag]).guests[0].policies == [])
        // A revoked writer has no say in it.
        points[2].point.isDistrusted = true
        points[1].policy = "tagged"
        #expect(Self.plan(points, [byTag]).guests[0].policies == ["tagged"])
        // The name that counts is the last one.
        points[2].label = "old-shop"
        #expect(Self.plan(points, [byPattern]).guests[0].policies == [])
    }

    @Test("points that are forgotten already count for no rule and stay forgotten; one that was taken back stays")
    func said() {
        var points = Self.nights(6)
        points[5].isForgotten = true
        points[4].isForgotten = true
        points[0].point.isTakenBack = true
        points[1].point.isHeld = true
        let fates = Self.fates(Self.plan(points, [Self.policy("one") { $0.last = 1 }]))
        #expect(
            (0..<6).map { fates[RetentionTests.id($0)]! } == [.stays, .stays, .goes, .stays, .forgotten, .forgotten])
    }

    @Test("an id that stands in two records is forgotten by no rule, whosever guest the second names")
    func twice() {
        var points = Self.nights(6)
        points.append(Self.candidate(0, "mine", guest: 2, at: Self.now - 400 * Self.day))
        points += Self.nights(2, from: 20, "mine", guest: 2)
        let plan = Self.plan(
            points, [Self.policy("one") { $0.last = 1 }, Self.policy("two", ["mine"]) { $0.last = 1 }])
        #expect(!plan.goes.contains(RetentionTests.id(0)))
        #expect(plan.goes.contains(RetentionTests.id(1)))
        #expect(plan.goes.contains(RetentionTests.id(20)))
        // Also when only the guest is asked about that has the forged one.
        let one = PrunePlan(
            points, policies: [Self.policy("two", ["mine"]) { $0.last = 1 }], now: Self.now, lockTime: Self.now,
            wanted: [Self.guest(2)])
        #expect(one.guests.map(\.label) == ["mine"])
        #expect(one.goes == [RetentionTests.id(20)])
    }

    @Test("a witness dated 1970 that has seen every point makes none of them go")
    func lyingWitness() {
        let honest = Self.nights(40)
        let policies = [Self.policy("days") { $0.periods[.day] = 14 }]
        let without = Set(Self.plan(honest, policies).goes)
        let seen = honest.map { candidate in
            var candidate = candidate
            candidate.point.firstSeen = 1
            return candidate
        }
        #expect(without.count == 26)
        #expect(Self.plan(seen, policies).goes.isEmpty)
        // Nor do the others when it names only some.
        for count in [1, 20, 39] {
            let some = Array(seen[..<count] + honest[count...])
            #expect(Set(Self.plan(some, policies).goes).isSubset(of: without))
        }
    }

    @Test("leap day, summer time: the newest of each day by the policy's clock")
    func calendar() {
        let times = [
            "2028-02-28T22:59:00Z", "2028-02-28T23:01:00Z", "2028-02-29T22:59:00Z", "2028-02-29T23:01:00Z",
            "2028-03-18T22:59:00Z", "2028-03-18T23:01:00Z",
        ].map(RetentionTests.time)
        let points = times.enumerated().map { Self.candidate($0.offset, at: $0.element) }
        let plan = Self.plan(points, [Self.policy("days") { $0.periods[.day] = 9 }])
        // 23:01 UTC is the next day in Berlin: of 29 February, the second and third.
        #expect(plan.goes == [RetentionTests.id(1)])
    }

    // MARK: Floods

    @Test("many points in a day stop forgetting of that guest and no other, until somebody accepts them")
    func flood() {
        let flooded = Self.nights(20) + (0..<60).map { Self.candidate(100 + $0, at: Self.now - UInt64($0 + 1)) }
        let other = Self.nights(20, from: 200, "db01", guest: 2)
        let policies = [Self.policy("all", ["web01", "db01"]) { $0.last = 5 }]
        let plan = Self.plan(flooded + other, policies)
        #expect(plan.guests.map { $0.flood?.count } == [nil, 61])
        #expect(plan.guests[1].flood?.usual == 1)
        #expect(Set(plan.goes) == Set((200..<215).map(RetentionTests.id)))
        #expect(plan.guests[1].verdicts.filter { $0.fate == .waits }.count == 75)
        #expect(Self.plan(flooded + other, policies, acceptsMany: true).goes.count == 75 + 15)
    }

    @Test("forged dates of long ago or far ahead pile up in the day they came in", arguments: [-1, 1])
    func datedFlood(direction: Int) {
        let forged = (0..<60).map { number in
            let distance = UInt64(number + 2) * Self.day
            return Self.candidate(100 + number, at: direction < 0 ? Self.now - distance : Self.now + distance)
        }
        let plan = Self.plan(Self.nights(20) + forged, [Self.policy("one") { $0.last = 5 }])
        // With the night before.
        #expect(plan.guests[0].flood?.count == 61)
        #expect(plan.goes.isEmpty)
    }

    @Test(
        "a flood is more than four times what is usual, more than ten, and less than two weeks ago",
        arguments: [
            (10, 1, 0, false), (11, 1, 0, true), (12, 3, 0, false), (13, 3, 0, true), (60, 1, 13, true),
            (60, 1, 14, false), (60, 96, 0, false), (385, 96, 0, true),
        ])
    func bounds(count: Int, scheduled: Int, age: Int, isFlood: Bool) {
        let old = (0..<30).map { Self.now - UInt64(60 - $0) * Self.day }
        let many = (0..<count).map { Self.now - UInt64(age) * Self.day - UInt64(count - $0) }
        #expect((PointFlood.last(old + many, scheduled: scheduled, now: Self.now) != nil) == isFlood)
    }

    @Test("a guest's own history tells what is usual: ninety a day for a week are no flood on the eighth day")
    func usual() {
        let arrivals = (0..<(8 * 90)).map { Self.now - UInt64(8 * 90 - $0) * (Self.day / 90) }
        #expect(PointFlood.last(arrivals, scheduled: 1, now: Self.now)?.at ?? 0 < Self.now - 6 * Self.day)
    }

    // MARK: Against a plain definition

    @Test("any repository: what goes is what the plain definition lets go", arguments: 0..<200)
    func histories(seed: UInt64) {
        var dice = Dice(seed: seed)
        var candidates: [PrunePlan.Candidate] = []
        for number in 0..<UInt8(1 + dice.roll(below: 4)) {
            for point in RetentionTests.history(&dice) {
                // Some ids stand twice, also in two guests.
                let shift = dice.roll(below: 50) == 0 ? 0 : Int(number) * 1000
                var own = PrunePlan.Candidate(
                    point: point, guest: Self.guest(number), label: "guest\(dice.roll(below: 2))",
                    storedAt: point.takenAt)
                own.point.id = RetentionTests.id(shift + candidates.count % 1000)
                own.isForgotten = dice.roll(below: 8) == 0
                own.point.isTakenBack = dice.roll(below: 20) == 0
                candidates.append(own)
            }
        }
        let policies = (0..<Int(dice.roll(below: 4))).map { number in
            PrunePlan.Policy(
                name: "policy\(number)", rules: RetentionTests.rules(&dice), zone: RetentionTests.berlin,
                names: dice.roll(below: 2) == 0 ? ["guest0"] : ["guest0", "guest1"])
        }
        let plan = PrunePlan(
            candidates, policies: policies, now: RetentionTests.judgedAt, lockTime: 1, acceptsMany: true)
        #expect(Set(plan.goes) == Self.plain(candidates, policies), "seed \(seed)")
        #expect(plan.guests.reduce(0) { $0 + $1.verdicts.count } == candidates.count)
        // Whatever the rules are, a guest that had points that nobody forgot keeps one.
        for guest in plan.guests where guest.verdicts.contains(where: { $0.fate != .forgotten }) {
            #expect(guest.verdicts.contains { $0.fate == .stays }, "seed \(seed)")
        }
        // Done once, it is done.
        let gone = Set(plan.goes)
        let after = candidates.map { candidate in
            var candidate = candidate
            if gone.contains(candidate.point.id) { candidate.isForgotten = true }
            return candidate
        }
        let again = PrunePlan(
            after, policies: policies, now: RetentionTests.judgedAt, lockTime: 1, acceptsMany: true)
        #expect(again.goes.isEmpty, "seed \(seed)")
    }

    static func plain(_ candidates: [PrunePlan.Candidate], _ policies: [PrunePlan.Policy]) -> Set<PointID> {
        let ids = Dictionary(grouping: candidates, by: \.point.id).mapValues(\.count)
        var goes = Set<PointID>()
        for (_, own) in Dictionary(grouping: candidates, by: \.guest) {
            let covering = policies.filter { $0.names.contains(own.last!.label) }
            guard !covering.isEmpty else { continue }
            let open = own.filter { !$0.isForgotten }.map(\.point)
            let plain = open.filter { ids[$0.id] == 1 }
            var kept = Set(open.filter { ids[$0.id] != 1 || $0.isTakenBack }.map(\.id))
            for policy in covering {
                kept.formUnion(RetentionTests.plain(plain, policy.rules, now: RetentionTests.judgedAt))
            }
            goes.formUnion(open.map(\.id).filter { !kept.contains($0) })
        }
        return goes
    }

    @Test("the plain definition would notice a policy that is left out")
    func canary() {
        let points = Self.nights(6)
        let both = [Self.policy("short") { $0.last = 1 }, Self.policy("long") { $0.last = 3 }]
        #expect(Set(Self.plan(points, [both[0]]).goes) != Self.plain(points, both))
    }
}
