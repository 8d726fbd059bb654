import Foundation
import Jobs
import TestKit
import Testing

/// What fits into a window, against a second, plain night that passes second by second.
@Suite("forecast of a window (S50)")
struct WindowForecastTests {
    typealias Candidate = WindowForecast.Candidate

    static func candidate(
        _ guest: String, tier: Int = 3, policy: String = "nightly", earliest: Int = 0, end: Int = 1000,
        takes: Int? = 100, newest: Int? = 0, rpo: Int = 1000
    ) -> Candidate {
        Candidate(
            run: DueRun(tier: tier, due: earliest, guest: guest, policy: policy), earliest: earliest, end: end,
            history: takes.map { [$0] } ?? [], newest: newest, rpo: rpo)
    }

    @Test("what is more important comes first, and whoever does not come is told with where it leaves it")
    func order() {
        let forecast = WindowForecast(
            [
                Self.candidate("blog", tier: 4, takes: 300, newest: -4000, rpo: 1000),
                Self.candidate("shop", tier: 2, takes: 600, newest: -900),
                Self.candidate("bank", tier: 1, takes: 500, newest: -200),
                Self.candidate("new", tier: 4, takes: 10, newest: nil),
            ], now: 0, concurrency: 1)
        #expect(forecast.expectations.map(\.run.guest) == ["bank", "shop", "blog", "new"])
        #expect(
            forecast.expectations.map(\.outcome) == [
                .done(start: 0, end: 500), .cutOff(start: 500, lacks: 100), .notBegun, .notBegun,
            ])
        #expect(forecast.expectations.map(\.rpoClass) == [.upToTwice, .upToTwice, .beyond, .unprotected])
        #expect(!forecast.isWhole && forecast.lackingSeconds == 100 + 300 + 10)
        #expect(forecast.shortfall.map(\.run.guest) == ["shop", "blog", "new"])
    }

    @Test("with one more at once all of it fits")
    func concurrency() {
        let guests = (0..<8).map { Self.candidate("g\($0)", takes: 250) }
        #expect(!WindowForecast(guests, now: 1, concurrency: 2).isWhole)
        #expect(WindowForecast(guests, now: 0, concurrency: 2).isWhole)
        #expect(!WindowForecast(guests, now: 0, concurrency: 8, limits: ["nightly": 1]).isWhole)
        #expect(WindowForecast([], now: 0, concurrency: 1).isWhole)
    }

    @Test("one guest is never run twice at once, and the next in the queue takes the place")
    func once() {
        let forecast = WindowForecast(
            [
                Self.candidate("a", tier: 1, policy: "hourly", takes: 400),
                Self.candidate("a", tier: 2, policy: "nightly", takes: 100), Self.candidate("b", tier: 3, takes: 100),
            ], now: 0, concurrency: 2)
        #expect(
            forecast.expectations.map(\.outcome) == [
                .done(start: 0, end: 400), .done(start: 400, end: 500), .done(start: 0, end: 100),
            ])
    }

    @Test("a run is expected to take what three of its last four did not exceed; without a history, what others take")
    func estimates() {
        let long = Candidate(
            run: DueRun(tier: 1, due: 0, guest: "a", policy: "p"), earliest: 0, end: 10_000,
            history: [9000, 9000, 9000, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100], newest: nil, rpo: 60)
        let fresh = Self.candidate("b", tier: 2, takes: nil)
        let forecast = WindowForecast([fresh, long], now: 0, concurrency: 1)
        #expect(forecast.expectations.map(\.estimate.seconds) == [80, 80])
        #expect(forecast.expectations.map(\.estimate.isGuess) == [false, true])
        let nobody = WindowForecast([fresh], now: 0, concurrency: 1)
        #expect(nobody.expectations.map(\.estimate.seconds) == [3600] && !nobody.isWhole)
    }

    @Test("the classes of an RPO and their edges")
    func classes() {
        func at(_ age: Int) -> RPOClass { RPOClass(newest: 0, at: age, rpo: 100) }
        #expect(at(0) == .met && at(99) == .met && at(-5) == .met)
        #expect(at(100) == .upToTwice && at(200) == .upToTwice)
        #expect(at(201) == .upToFourTimes && at(400) == .upToFourTimes)
        #expect(at(401) == .beyond)
        #expect(RPOClass(newest: nil, at: 5, rpo: 1) == .unprotected)
        #expect(RPOClass(newest: 0, at: .max, rpo: .max) == .upToTwice)
        #expect(RPOClass(newest: 0, at: .max, rpo: .max / 4 - 1) == .beyond)
        #expect(RPOClass.allCases == RPOClass.allCases.sorted())
    }

    /// One second after the other: whoever is first and may begin, begins.
    static func plain(_ candidates: [Candidate], now: Int, concurrency: Int, limits: [String: Int])
        -> [WindowForecast.Outcome]
    {
        let queue = candidates.sorted { $0.run < $1.run }
        var left = queue.map { $0.history[0] }
        var starts = [Int?](repeating: nil, count: queue.count)
        var ends = [Int?](repeating: nil, count: queue.count)
        for time in now..<2000 {
            var under = queue.indices.filter { starts[$0] != nil && ends[$0] == nil && queue[$0].end > time }
            for index in queue.indices where starts[index] == nil {
                guard under.count < concurrency, queue[index].earliest <= time, queue[index].end > time else {
                    continue
                }
                guard !under.contains(where: { queue[$0].run.guest == queue[index].run.guest }) else { continue }
                let policy = queue[index].run.policy
                if let limit = limits[policy], under.filter({ queue[$0].run.policy == policy }).count >= limit {
                    continue
                }
                starts[index] = time
                under.append(index)
            }
            for index in under {
                left[index] -= 1
                if left[index] == 0 { ends[index] = time + 1 }
            }
        }
        return queue.indices.map { index in
            guard let start = starts[index] else { return .notBegun }
            return ends[index].map { .done(start: start, end: $0) } ?? .cutOff(start: start, lacks: left[index])
        }
    }

    @Test("any night passes as it does second by second", arguments: 0..<150)
    func nights(seed: UInt64) {
        var dice = Dice(seed: seed)
        func roll(_ bound: Int) -> Int { Int(dice.roll(below: UInt64(bound))) }
        let candidates = (0..<roll(14)).map { number in
            Self.candidate(
                "g\(roll(9))", tier: 1 + roll(4), policy: "p\(number)", earliest: roll(400), end: 200 + roll(900),
                takes: 1 + roll(300))
        }.map { one in
            // Three policies, so that their limits bind; the number keeps the queue's order one.
            Candidate(
                run: DueRun(
                    tier: one.run.tier, due: one.run.due * 100 + Int(one.run.policy.dropFirst())!, guest: one.run.guest,
                    policy: "p\(roll(3))"),
                earliest: one.earliest, end: one.end, history: one.history, newest: one.newest, rpo: one.rpo)
        }
        let limits = ["p0": 1 + roll(3), "p1": 1 + roll(3)]
        let concurrency = 1 + roll(4)
        let now = roll(300)
        let forecast = WindowForecast(candidates, now: now, concurrency: concurrency, limits: limits)
        #expect(
            forecast.expectations.map(\.outcome)
                == Self.plain(candidates, now: now, concurrency: concurrency, limits: limits), "seed \(seed)")
    }

    @Test("a window opens and closes by the clock of its place, also over the changes of summer time")
    func times() throws {
        func window(_ from: String, _ to: String) throws -> BackupWindow {
            let text = ConfigurationTests.small.replacingOccurrences(
                of: "tier: 3", with: "tier: 3\n    window: {from: \"\(from)\", to: \"\(to)\"}")
            return try #require(ConfigurationTests.read(text).configuration?.policies["nightly"]?.window)
        }
        let zone = ScheduleTests.berlin
        let seconds = ScheduleTests.seconds
        let night = try window("22:00", "06:00")
        #expect(!night.isOpen(at: seconds("2028-02-10T20:59:59Z"), zone: zone))
        #expect(night.isOpen(at: seconds("2028-02-10T21:00:00Z"), zone: zone))
        #expect(night.isOpen(at: seconds("2028-02-11T04:59:59Z"), zone: zone))
        #expect(!night.isOpen(at: seconds("2028-02-11T05:00:00Z"), zone: zone))
        #expect(
            night.end(after: seconds("2028-02-10T23:00:00Z"), zone: zone) == seconds("2028-02-11T05:00:00Z"))
        // Seven hours in the night in which summer time begins, nine in that in which it ends.
        let spring = try #require(night.opening(after: seconds("2028-03-25T12:00:00Z"), zone: zone))
        #expect(try #require(night.end(after: spring, zone: zone)) - spring == 7 * 3600)
        let autumn = try #require(night.opening(after: seconds("2028-10-28T12:00:00Z"), zone: zone))
        #expect(try #require(night.end(after: autumn, zone: zone)) - autumn == 9 * 3600)
        // A window that lies in the hour that is left out is not open in that night.
        let gap = try window("02:10", "02:40")
        for minute in stride(from: seconds("2028-03-25T23:00:00Z"), to: seconds("2028-03-26T12:00:00Z"), by: 60) {
            #expect(!gap.isOpen(at: minute, zone: zone))
        }
    }
}
