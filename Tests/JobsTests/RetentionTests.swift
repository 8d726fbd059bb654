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
        Retention(rules: rules, zone: berlin).decide(points, now: now).filter(\.isKept).map(\.point.time).reversed()
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

    @Test("a date in the future evicts nothing once another has seen the point")
    func future() {
        var points = Self.points(["2028-02-01T01:00:00Z", "2028-02-02T01:00:00Z"])
        let honest = Self.kept(points, Self.rules { $0.last = 2 })
        for number in 0..<5 {
            points.append(
                RetainedPoint(
                    id: Self.id(100 + number), takenAt: Self.time("2099-01-01T00:00:00Z") + UInt64(number),
                    firstSeen: Self.time("2028-01-31T00:00:00Z") + UInt64(number)))
        }
        let kept = Self.kept(points, Self.rules { $0.last = 2 })
        #expect(kept == honest)
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
        let verdicts = Retention(rules: rules, zone: Self.berlin).decide(points, now: 49)
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
            one.time != other.time ? one.time > other.time : one.id > other.id
        }
        let units: [RetentionPeriod: Calendar.Component] = [
            .hour: .hour, .day: .day, .week: .weekOfYear, .month: .month, .year: .year,
        ]
        func start(_ point: RetainedPoint, _ period: RetentionPeriod) -> Date {
            calendar.dateInterval(
                of: units[period]!, for: Date(timeIntervalSince1970: TimeInterval(point.time / 1_000_000_000)))!.start
        }
        return Set(
            points.filter { point in
                let peers = points.filter { $0.isLate == point.isLate && newer($0, point) }
                if peers.isEmpty { return true }
                if peers.count < rules.last { return true }
                if point.isVerified, peers.filter(\.isVerified).count < rules.verified { return true }
                if point.isHeld || point.copyThatNeedsIt != nil || !point.tags.isDisjoint(with: rules.tags) {
                    return true
                }
                if let until = point.lockedUntil, until > now { return true }
                return rules.periods.contains { period, wanted in
                    let starts = Set(peers.map { start($0, period) })
                    return !starts.contains(start(point, period)) && starts.count < wanted
                }
            }.map(\.id))
    }

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
        let verdicts = Retention(rules: rules, zone: Self.berlin).decide(points, now: 1)
        #expect(verdicts.count == points.count)
        #expect(Set(verdicts.filter(\.isKept).map(\.point.id)) == Self.plain(points, rules, now: 1), "seed \(seed)")
    }

    @Test("points that came late evict none that came at their time", arguments: 0..<100)
    func late(seed: UInt64) {
        var dice = Dice(seed: seed)
        let points = Self.history(&dice).filter { !$0.isLate }
        let rules = Self.rules(&dice)
        let retention = Retention(rules: rules, zone: Self.berlin)
        let alone = Set(retention.decide(points, now: 1).filter(\.isKept).map(\.point.id))
        let forged = (0..<20).map { number in
            let at = Self.time("2028-01-01T00:00:00Z") + dice.roll(below: 60 * 24 * 3600) * 1_000_000_000
            return RetainedPoint(
                id: Self.id(1000 + number), takenAt: at, firstSeen: at + RetainedPoint.latestPrompt + 1)
        }
        let kept = Set(retention.decide(points + forged, now: 1).filter(\.isKept).map(\.point.id))
        #expect(alone.isSubset(of: kept), "seed \(seed)")
    }
}
