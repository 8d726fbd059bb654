import BackupModel
import Foundation
import Jobs
import TestKit
import Testing

/// What is kept, against tables and against a second, plain definition of the rules.
@Suite("retention")
struct RetentionTests {
    static let berlin = TimeZone(identifier: "Europe/Berlin")!

    /// Nanoseconds of a time in UTC.
    static func time(_ text: String) -> UInt64 {
        let formatter = ISO8601DateFormatter()
        return UInt64(formatter.date(from: text)!.timeIntervalSince1970) * 1_000_000_000
    }

    static func id(_ number: Int) -> PointID {
        PointID(bytes: (0..<16).map { $0 < 8 ? 0 : UInt8(truncatingIfNeeded: number >> ((15 - $0) * 8)) })!
    }

    static func points(_ times: [String]) -> [RetainedPoint] {
        times.enumerated().map { RetainedPoint(id: id($0.offset), takenAt: time($0.element)) }
    }

    static func rules(_ change: (inout RetentionRules) -> Void) -> RetentionRules {
        var rules = RetentionRules()
        change(&rules)
        return rules
    }

    /// Times of what is kept, oldest first.
    static func kept(_ points: [RetainedPoint], _ rules: RetentionRules, now: UInt64 = .max) -> [UInt64] {
        Retention(rules: rules, zone: berlin).decide(points, now: now, lockTime: now).filter(\.isKept)
            .map(\.point.time).reversed()
    }

    @Test("nothing is asked for: the newest point stays all the same")
    func newest() {
        let points = Self.points(["2028-02-01T01:00:00Z", "2028-02-03T01:00:00Z", "2028-02-02T01:00:00Z"])
        #expect(Self.kept(points, RetentionRules()) == [Self.time("2028-02-03T01:00:00Z")])
        #expect(Self.kept([], Self.rules { $0.last = 3 }).isEmpty)
    }

    @Test("the newest of each day by the policy's clock, and days without a point cost none")
    func days() {
        // 23:30 UTC is the next day in Berlin.
        let points = Self.points([
            "2028-02-27T10:00:00Z", "2028-02-28T22:30:00Z", "2028-02-28T23:30:00Z", "2028-02-29T22:00:00Z",
            "2028-03-05T01:00:00Z",
        ])
        let wanted = ["2028-02-28T22:30:00Z", "2028-02-29T22:00:00Z", "2028-03-05T01:00:00Z"].map(Self.time)
        #expect(Self.kept(points, Self.rules { $0.periods[.day] = 3 }) == wanted)
    }

    @Test("the hour that comes twice when summer time ends counts twice, the one that is left out not at all")
    func summerTime() {
        // 2028-10-29 03:00 CEST is 01:00 UTC: from then the clock shows 2 to 3 again.
        let autumn = Self.points(["2028-10-29T00:10:00Z", "2028-10-29T01:10:00Z", "2028-10-29T01:50:00Z"])
        #expect(
            Self.kept(autumn, Self.rules { $0.periods[.hour] = 9 })
                == ["2028-10-29T00:10:00Z", "2028-10-29T01:50:00Z"].map(Self.time))
        let spring = Self.points(["2028-03-26T00:59:00Z", "2028-03-26T01:01:00Z"])
        #expect(Self.kept(spring, Self.rules { $0.periods[.hour] = 9 }).count == 2)
        #expect(Self.kept(spring, Self.rules { $0.periods[.day] = 9 }).count == 1)
    }

    @Test("weeks are those of ISO 8601, also around new year")
    func weeks() {
        // 2027-12-31 is a Friday of week 52; 2028-01-01 and 02 belong to it, 2028-01-03 begins week 1.
        let points = Self.points(["2027-12-31T12:00:00Z", "2028-01-02T12:00:00Z", "2028-01-03T12:00:00Z"])
        #expect(
            Self.kept(points, Self.rules { $0.periods[.week] = 9 })
                == ["2028-01-02T12:00:00Z", "2028-01-03T12:00:00Z"].map(Self.time))
        #expect(
            Self.kept(points, Self.rules { $0.periods[.year] = 9 })
                == ["2027-12-31T12:00:00Z", "2028-01-03T12:00:00Z"].map(Self.time))
    }

    @Test("many points with a date in the future evict nothing, seen by others or not")
    func future() {
        let points = Self.points((1...9).map { "2028-02-0\($0)T01:00:00Z" })
        let rules = Self.rules {
            $0.last = 2
            $0.periods[.day] = 3
            $0.periods[.year] = 3
        }
        let now = Self.time("2028-02-09T08:00:00Z")
        let honest = Self.kept(points, rules, now: now)
        let forged = (0..<400).map { number in
            var point = RetainedPoint(id: Self.id(100 + number), takenAt: Self.time("2029-01-01T00:00:00Z"))
            point.takenAt += UInt64(number) * 86_400_000_000_000
            return point
        }
        let seen = forged.map { point in
            var point = point
            point.firstSeen = now - 1_000_000_000
            return point
        }
        for more in [forged, seen] {
            let verdicts = Retention(rules: rules, zone: Self.berlin).decide(points + more, now: now, lockTime: now)
            let kept = verdicts.filter { $0.isKept && points.contains($0.point) }.map(\.point.time).reversed()
            #expect(Array(kept) == honest)
        }
        // What nobody has seen is left alone: it may be the clock here that is wrong.
        let verdicts = Retention(rules: rules, zone: Self.berlin).decide(points + forged, now: now, lockTime: now)
        #expect(verdicts.filter { $0.reasons.contains(.ahead) }.count == 400)
    }

    @Test("a clock here that went back to 1970 removes nothing")
    func clockOfThePast() {
        let points = Self.points((1...9).map { "2028-02-0\($0)T01:00:00Z" })
        #expect(Self.kept(points, Self.rules { $0.last = 1 }, now: 0).count == 9)
    }

    @Test("points of a host that others look at once a week are as good as any")
    func seldomSeen() {
        var points = Self.points((1...9).map { "2028-02-0\($0)T01:00:00Z" })
        for index in points.indices {
            points[index].firstSeen = Self.time("2028-02-09T12:00:00Z")
            points[index].lastMissed = Self.time("2028-02-01T00:30:00Z")
        }
        let now = Self.time("2028-02-10T00:00:00Z")
        #expect(Self.kept(points, Self.rules { $0.periods[.day] = 3 }, now: now).count == 3)
    }

    @Test("for every point that goes each rule that counts says why it does not keep it")
    func misses() {
        var points = Self.points([
            "2028-02-01T01:00:00Z", "2028-02-02T01:00:00Z", "2028-02-02T05:00:00Z", "2028-02-03T01:00:00Z",
        ])
        points[0].isVerified = true
        points[0].lockedUntil = 20_000_000_000
        points[2].isVerified = true
        let rules = Self.rules {
            $0.last = 1
            $0.periods[.day] = 2
            $0.tags = ["quarter"]
            $0.verified = 1
        }
        let verdicts = Retention(rules: rules, zone: Self.berlin).decide(points, now: .max, lockTime: .max)
        #expect(verdicts.map(\.isKept) == [true, true, false, false])
        #expect(
            verdicts[3].misses.map(\.description) == [
                "number 4, and the last 1 are kept", "day 2028-02-01 is older than the last 2 with a point",
                "number 2 of the verified, and the last 1 are kept", "its lock ended at 20",
                "without a tag that is kept",
            ])
        #expect(
            verdicts[2].misses.map(\.description) == [
                "number 3, and the last 1 are kept", "\(Self.id(2)) is newer in day 2028-02-02", "not verified",
                "without a tag that is kept",
            ])
        #expect(
            verdicts[1].reasons.map(\.description) == [
                "the newest of day 2028-02-02, 2 of 2", "number 1 of the last 1 verified",
            ])
    }

    @Test("locks, holds, tags, other copies and verified points keep what no rule keeps")
    func others() {
        var points = Self.points((1...9).map { "2028-02-0\($0)T01:00:00Z" })
        points[0].isHeld = true
        points[1].lockedUntil = 50
        points[2].lockedUntil = 49
        points[3].tags = ["before the upgrade"]
        points[4].copyThatNeedsIt = "copy to the second site"
        points[5].isVerified = true
        points[6].tags = ["another"]
        let rules = Self.rules {
            $0.tags = ["before the upgrade"]
            $0.verified = 1
        }
        let verdicts = Retention(rules: rules, zone: Self.berlin).decide(points, now: .max, lockTime: 49)
        let reasons = Dictionary(uniqueKeysWithValues: verdicts.map { ($0.point.id, $0.reasons) })
        #expect(reasons[Self.id(0)] == [.held])
        #expect(reasons[Self.id(1)] == [.locked(until: 50)])
        #expect(reasons[Self.id(2)] == [])
        #expect(reasons[Self.id(3)] == [.tag("before the upgrade")])
        #expect(reasons[Self.id(4)] == [.copy("copy to the second site")])
        #expect(reasons[Self.id(5)] == [.verified(number: 1, of: 1)])
        #expect(reasons[Self.id(6)] == [])
        #expect(reasons[Self.id(8)] == [.newest])
    }

    /// A second definition, as plain as can be: counts what is newer.
    static func plain(_ points: [RetainedPoint], _ rules: RetentionRules, now: UInt64) -> Set<PointID> {
        var calendar = Calendar(identifier: .iso8601)
        calendar.timeZone = berlin
        func newer(_ one: RetainedPoint, _ other: RetainedPoint) -> Bool {
            (one.time, one.takenAt, one.id) > (other.time, other.takenAt, other.id)
        }
        let units: [RetentionPeriod: Calendar.Component] = [
            .hour: .hour, .day: .day, .week: .weekOfYear, .month: .month, .year: .year,
        ]
        // Asked once for each: the calendar is slow.
        var starts: [RetentionPeriod: [PointID: Date]] = [:]
        for (period, unit) in units {
            for point in points {
                let date = Date(timeIntervalSince1970: TimeInterval(point.time / 1_000_000_000))
                starts[period, default: [:]][point.id] = calendar.dateInterval(of: unit, for: date)!.start
            }
        }
        func start(_ point: RetainedPoint, _ period: RetentionPeriod) -> Date { starts[period]![point.id]! }
        return Set(
            points.filter { point in
                let standing = point.standing(now: now)
                if standing == .ahead || standing == .disputed { return true }
                let peers = points.filter { $0.standing(now: now) == standing && newer($0, point) }
                if peers.isEmpty { return true }
                if peers.count < rules.last { return true }
                if point.isVerified, peers.filter(\.isVerified).count < rules.verified { return true }
                if point.isHeld || point.copyThatNeedsIt != nil || !point.tags.isDisjoint(with: rules.tags) {
                    return true
                }
                if let until = point.lockedUntil, until > 1 { return true }
                return rules.periods.contains { period, wanted in
                    let starts = Set(peers.map { start($0, period) })
                    return !starts.contains(start(point, period)) && starts.count < wanted
                }
            }.map(\.id))
    }

    /// When the histories are judged; some of their points lie ahead of it.
    static let judgedAt = time("2028-03-20T00:00:00Z")

    static func history(_ dice: inout Dice) -> [RetainedPoint] {
        let first = time("2027-12-20T00:00:00Z")
        return (0..<Int(dice.roll(below: 60))).map { number in
            let at = first + dice.roll(below: 100 * 24 * 3600) * 1_000_000_000
            var point = RetainedPoint(id: id(number), takenAt: at)
            switch dice.roll(below: 6) {
            case 0: point.firstSeen = at - min(at, dice.roll(below: 1 << 53))
            case 1: point.firstSeen = at + dice.roll(below: 1 << 53)
            case 2: point.firstSeen = at + dice.roll(below: 3600) * 1_000_000_000
            default: break
            }
            if dice.roll(below: 4) == 0 { point.lastMissed = at - min(at, 1 << 52) + dice.roll(below: 1 << 53) }
            point.isDistrusted = dice.roll(below: 12) == 0
            point.isHeld = dice.roll(below: 20) == 0
            point.isVerified = dice.roll(below: 3) == 0
            if dice.roll(below: 9) == 0 { point.tags = ["kept"] }
            if dice.roll(below: 9) == 0 { point.lockedUntil = dice.roll(below: 3) }
            if dice.roll(below: 20) == 0 { point.copyThatNeedsIt = "tape" }
            return point
        }
    }

    static func rules(_ dice: inout Dice) -> RetentionRules {
        var rules = RetentionRules()
        rules.last = Int(dice.roll(below: 5))
        rules.verified = Int(dice.roll(below: 3))
        for period in RetentionPeriod.allCases { rules.periods[period] = Int(dice.roll(below: 6)) }
        if dice.roll(below: 2) == 0 { rules.tags = ["kept"] }
        return rules
    }

    @Test("any history: what is kept is what the plain definition keeps", arguments: 0..<400)
    func histories(seed: UInt64) {
        var dice = Dice(seed: seed)
        let points = Self.history(&dice)
        let rules = Self.rules(&dice)
        let verdicts = Retention(rules: rules, zone: Self.berlin).decide(points, now: Self.judgedAt, lockTime: 1)
        #expect(verdicts.count == points.count)
        let plain = Self.plain(points, rules, now: Self.judgedAt)
        #expect(Set(verdicts.filter(\.isKept).map(\.point.id)) == plain, "seed \(seed)")
        // Each rule that counts has its say about each point, once.
        let counting =
            (rules.last > 0 ? 1 : 0) + rules.periods.values.filter { $0 > 0 }.count + (rules.verified > 0 ? 1 : 0)
        for verdict in verdicts
        where [.believed, .contradicted].contains(verdict.point.standing(now: Self.judgedAt)) {
            let kept = verdict.reasons.filter {
                switch $0 {
                case .last, .period, .verified: true
                default: false
                }
            }
            let missed = verdict.misses.filter {
                switch $0 {
                case .lockExpired, .tags: false
                default: true
                }
            }
            #expect(kept.count + missed.count == counting, "seed \(seed)")
        }
        let again = Retention(rules: rules, zone: Self.berlin)
            .decide(verdicts.filter(\.isKept).map(\.point), now: Self.judgedAt, lockTime: 1)
        // A day whose newest point stays keeps it when the others are gone: a second run removes nothing.
        #expect(again.filter { !$0.isKept }.isEmpty, "seed \(seed)")
    }

    @Test("the plain definition would notice a rule that keeps one less")
    func canary() {
        let points = Self.points(["2028-02-01T01:00:00Z", "2028-02-02T01:00:00Z", "2028-02-03T01:00:00Z"])
        let rules = Self.rules { $0.last = 2 }
        let fewer = Self.rules { $0.last = 1 }
        let kept = Retention(rules: fewer, zone: Self.berlin).decide(points, now: Self.judgedAt, lockTime: 1)
        #expect(Set(kept.filter(\.isKept).map(\.point.id)) != Self.plain(points, rules, now: Self.judgedAt))
    }

    @Test("points whose date is forged evict none whose date is believed", arguments: 0..<100)
    func forged(seed: UInt64) {
        var dice = Dice(seed: seed)
        let points = Self.history(&dice).filter { $0.standing(now: Self.judgedAt) == .believed }
        let rules = Self.rules(&dice)
        let retention = Retention(rules: rules, zone: Self.berlin)
        let alone = Set(
            retention.decide(points, now: Self.judgedAt, lockTime: 1).filter(\.isKept).map(\.point.id))
        let forged = (0..<20).map { number in
            let at = Self.time("2028-01-01T00:00:00Z") + dice.roll(below: 60 * 24 * 3600) * 1_000_000_000
            var point = RetainedPoint(id: Self.id(1000 + number), takenAt: at)
            switch dice.roll(below: 4) {
            case 3: point.isDistrusted = true
            case 0: point.lastMissed = at + RetainedPoint.clockTolerance + 1
            case 1: point.firstSeen = at - RetainedPoint.clockTolerance - 1
            default: point.takenAt = Self.judgedAt + RetainedPoint.clockTolerance + 1 + dice.roll(below: 1 << 60)
            }
            return point
        }
        let kept = Set(
            retention.decide(points + forged, now: Self.judgedAt, lockTime: 1).filter(\.isKept).map(\.point.id))
        #expect(alone.isSubset(of: kept), "seed \(seed)")
    }
}
