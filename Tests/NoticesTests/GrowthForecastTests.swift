import Notices
import TestKit
import Testing

@Suite("when a file system will be full")
struct GrowthForecastTests {
    private static let gigabyte = 1e9
    private static let capacity = 1000 * gigabyte

    /// A file system that somebody else has planned: how it fills from day to day, without end.
    private struct World {
        let start: Double
        let perDay: Double
        /// Bytes that a day may be off.
        var noise = 0.0
        /// Every so many days, so many bytes that grew since are swept away.
        var sweep: (days: Int, bytes: Double)?
        /// A guest that comes on that day with so many bytes.
        var step: (day: Int, bytes: Double)?
        let dice: [Double]

        init(start: Double, perDay: Double, noise: Double = 0, seed: UInt64) {
            (self.start, self.perDay, self.noise) = (start, perDay, noise)
            var generator = Dice(seed: seed)
            dice = (0..<4000).map { _ in Double(generator.roll(below: 2001)) / 1000 - 1 }
        }

        func used(_ day: Int) -> Double {
            var used = start + perDay * Double(day) + noise * dice[day % dice.count]
            if let sweep { used += sweep.bytes * Double(day % sweep.days) / Double(sweep.days) }
            if let step, day >= step.day { used += step.bytes }
            return max(0, used)
        }

        /// The day on which it is full.
        var end: Int? { (0..<4000).first { used($0) >= GrowthForecastTests.capacity } }

        /// What is foreseen after so many days of looking once a day, at odd hours.
        func forecast(after days: Int) -> (forecast: GrowthForecast, now: UInt64) {
            let samples = (0..<days).map { day in
                GrowthForecast.Sample(
                    instant: Sample.start + UInt64(day) * Sample.day + UInt64(day * 7919 % 5) * Sample.hour,
                    used: UInt64(used(day)))
            }
            let now = samples[days - 1].instant
            let last = samples[days - 1].used
            return (GrowthForecast(samples, used: last, free: UInt64(capacity) - last, at: now), now)
        }
    }

    private static func days(_ instant: UInt64) -> Double {
        (Double(instant) - Double(Sample.start)) / Double(Sample.day)
    }

    /// Whether the day is foretold within a tenth of the time that is left, or three days; or within so many times
    /// that.
    private static func isNear(_ forecast: GrowthForecast, _ now: UInt64, _ end: Int, times: Double = 1) -> Bool {
        guard case .full(let at, let earliest, let latest) = forecast.outcome else { return false }
        let left = Double(end) - days(now)
        return abs(days(at) - Double(end)) <= times * max(3, left / 10)
            && earliest <= at && latest.map { $0 >= at } ?? true
    }

    @Test("sixty days foretell the day, to a tenth of the time left or 3 days; thrice that in one world of ten (S6)")
    func sixtyDays() throws {
        var (seen, near) = (0, 0)
        for seed in 0..<300 as Range<UInt64> {
            var dice = Dice(seed: seed &* 7919 &+ 6)
            let perDay = Double(1 + dice.roll(below: 8)) * Self.gigabyte
            var world = World(
                start: Double(200 + dice.roll(below: 200)) * Self.gigabyte, perDay: perDay,
                noise: perDay * Double(dice.roll(below: 200)) / 100, seed: seed)
            // Up to five days of growth are swept away every week.
            if seed % 3 == 1 { world.sweep = (7, perDay * Double(1 + dice.roll(below: 5))) }
            // A twentieth of the room is taken by a new guest on some day but the first and last ones.
            if seed % 3 == 2 { world.step = (10 + Int(dice.roll(below: 46)), 50 * Self.gigabyte) }
            let end = try #require(world.end)
            guard end > 65 else { continue }
            seen += 1
            let (forecast, now) = world.forecast(after: 60)
            if Self.isNear(forecast, now, end) { near += 1 }
            #expect(
                Self.isNear(forecast, now, end, times: 3),
                "seed \(seed): full on day \(end), \(forecast.words), \(perDay / Self.gigabyte) GB a day")
            #expect(forecast.dayCount == 60)
        }
        #expect(seen > 200 && near * 10 >= seen * 9, "\(near) of \(seen)")
    }

    @Test("days that are far off bend nothing: fifteen of sixty with a tenth of the disk more or less")
    func outliers() throws {
        var world = World(start: 300 * Self.gigabyte, perDay: 4 * Self.gigabyte, seed: 1)
        world.noise = Self.gigabyte
        let end = try #require(world.end)
        let samples = (0..<60).map { day -> GrowthForecast.Sample in
            let off = day % 4 == 1 && day < 52 ? (day % 8 == 1 ? 1.0 : -1.0) * 100 * Self.gigabyte : 0
            return GrowthForecast.Sample(
                instant: Sample.start + UInt64(day) * Sample.day, used: UInt64(world.used(day) + off))
        }
        let last = samples[59].used
        let forecast = GrowthForecast(
            samples, used: last, free: UInt64(Self.capacity) - last, at: samples[59].instant)
        #expect(Self.isNear(forecast, samples[59].instant, end), "\(forecast.words)")
    }

    @Test("with too little history nothing is said, and what does not grow does not fill up")
    func silence() {
        let world = World(start: 300 * Self.gigabyte, perDay: 4 * Self.gigabyte, seed: 1)
        for days in [1, 5, 14] { #expect(world.forecast(after: days).forecast.outcome == .tooLittle) }
        #expect(world.forecast(after: 14).forecast.words.hasPrefix("too little history: 14 days of 10, over 13 of 14"))
        #expect(world.forecast(after: 16).forecast.outcome != .tooLittle)
        #expect(GrowthForecast([], used: 1, free: 1, at: Sample.start).outcome == .tooLittle)
        // Sixty samples of one day are one day.
        let same = (0..<60).map { GrowthForecast.Sample(instant: Sample.start + UInt64($0), used: UInt64($0)) }
        #expect(GrowthForecast(same, used: 60, free: 60, at: Sample.start).dayCount == 1)
        for perDay in [0.0, -Self.gigabyte] {
            let still = World(start: 500 * Self.gigabyte, perDay: perDay, seed: 2)
            #expect(still.forecast(after: 60).forecast.outcome == .steady)
        }
        // Eleven years ahead.
        let slow = World(start: 0, perDay: Self.capacity / 4015, seed: 3)
        #expect(slow.forecast(after: 30).forecast.outcome == .steady)
    }

    @Test("what is full is full now; samples of the future and absurd numbers are no forecast and no trap")
    func edges() {
        let world = World(start: 300 * Self.gigabyte, perDay: 4 * Self.gigabyte, seed: 1)
        let (_, now) = world.forecast(after: 60)
        var samples = (0..<60).map { day in
            GrowthForecast.Sample(
                instant: Sample.start + UInt64(day) * Sample.day, used: UInt64(world.used(day)))
        }
        let full = GrowthForecast(samples, used: samples[59].used, free: 0, at: now)
        if case .full(let at, _, _) = full.outcome { #expect(at == now) } else { Issue.record("\(full.words)") }
        let before = GrowthForecast(samples, used: samples[59].used, free: 1 << 40, at: now)
        samples.append(GrowthForecast.Sample(instant: now + 3 * Sample.day, used: .max))
        #expect(GrowthForecast(samples, used: samples[59].used, free: 1 << 40, at: now) == before)
        samples = (0..<60).map { GrowthForecast.Sample(instant: Sample.start + $0 * Sample.day, used: .max) }
        #expect(GrowthForecast(samples, used: .max, free: .max, at: now).outcome == .steady)
        _ = GrowthForecast(samples.map { GrowthForecast.Sample(instant: 0, used: $0.used) }, used: 0, free: 0, at: 0)
    }

    @Test("a forecast becomes the problem that absence tells of")
    func room() throws {
        let world = World(start: 300 * Self.gigabyte, perDay: 4 * Self.gigabyte, seed: 1)
        let (forecast, now) = world.forecast(after: 60)
        let subject = NoticeSubject(repository: "main", object: "/srv")
        var absence = Absence()
        absence.rooms = [forecast.room(subject, free: 1, warning: 200 * Sample.day)]
        #expect(absence.problems(at: now).map(\.kind) == [.storageFull])
        absence.rooms = [forecast.room(subject, free: 1, warning: 30 * Sample.day)]
        #expect(absence.problems(at: now).isEmpty)
    }
}
