import Foundation
import Jobs
import TestKit
import Testing

/// When something is due, by the clock of a place.
@Suite("schedules")
struct ScheduleTests {
    static let berlin = TimeZone(identifier: "Europe/Berlin")!

    static func seconds(_ text: String) -> Int {
        Int(ISO8601DateFormatter().date(from: text)!.timeIntervalSince1970)
    }

    static func times(_ text: String, after: String, _ count: Int, zone: TimeZone = berlin) throws -> [String] {
        let schedule = try Schedule(text)
        var time = seconds(after)
        return (0..<count).compactMap { _ in
            guard let next = schedule.next(after: time, zone: zone) else { return nil }
            time = next
            return ISO8601DateFormatter().string(from: Date(timeIntervalSince1970: TimeInterval(next)))
        }
    }

    @Test("a night's time follows the clock over the beginning of summer time")
    func nights() throws {
        #expect(
            try Self.times("30 22 * * *", after: "2028-03-24T22:00:00Z", 3)
                == ["2028-03-25T21:30:00Z", "2028-03-26T20:30:00Z", "2028-03-27T20:30:00Z"])
    }

    @Test("what is due in the hour that is left out comes at its end, once")
    func gap() throws {
        #expect(
            try Self.times("30 2 * * *", after: "2028-03-25T02:00:00Z", 2)
                == ["2028-03-26T01:00:00Z", "2028-03-27T00:30:00Z"])
        #expect(
            try Self.times("*/30 2 * * *", after: "2028-03-25T02:00:00Z", 3)
                == ["2028-03-26T01:00:00Z", "2028-03-27T00:00:00Z", "2028-03-27T00:30:00Z"])
        // What comes every hour lacks the one that there is not.
        #expect(
            try Self.times("15 * * * *", after: "2028-03-26T00:00:00Z", 2)
                == ["2028-03-26T00:15:00Z", "2028-03-26T01:15:00Z"])
    }

    @Test("what is due in the hour that comes twice comes in the first one; what comes every hour in both")
    func fold() throws {
        #expect(
            try Self.times("30 2 * * *", after: "2028-10-28T12:00:00Z", 2)
                == ["2028-10-29T00:30:00Z", "2028-10-30T01:30:00Z"])
        #expect(
            try Self.times("30 * * * *", after: "2028-10-28T23:45:00Z", 3)
                == ["2028-10-29T00:30:00Z", "2028-10-29T01:30:00Z", "2028-10-29T02:30:00Z"])
    }

    @Test("a leap day, weekdays, either of day and weekday, lists, ranges, steps and names")
    func fields() throws {
        let utc = TimeZone(identifier: "UTC")!
        #expect(try Self.times("0 0 29 2 *", after: "2026-01-01T00:00:00Z", 1, zone: utc) == ["2028-02-29T00:00:00Z"])
        #expect(try Self.times("0 0 29 feb *", after: "2096-03-01T00:00:00Z", 1, zone: utc) == ["2104-02-29T00:00:00Z"])
        #expect(
            try Self.times("0 6 * * mon-fri", after: "2028-02-04T07:00:00Z", 1, zone: utc) == ["2028-02-07T06:00:00Z"])
        #expect(try Self.times("0 6 * * 7", after: "2028-02-04T07:00:00Z", 1, zone: utc) == ["2028-02-06T06:00:00Z"])
        // Sunday, or the first of the month.
        #expect(
            try Self.times("0 0 1 * 0", after: "2028-01-30T01:00:00Z", 2, zone: utc)
                == ["2028-02-01T00:00:00Z", "2028-02-06T00:00:00Z"])
        #expect(
            try Self.times("5/20 1,3 * * *", after: "2028-01-01T00:00:00Z", 4, zone: utc)
                == [
                    "2028-01-01T01:05:00Z", "2028-01-01T01:25:00Z", "2028-01-01T01:45:00Z", "2028-01-01T03:05:00Z",
                ])
        #expect(try Self.times("@weekly", after: "2028-02-04T07:00:00Z", 1, zone: utc) == ["2028-02-06T00:00:00Z"])
    }

    @Test("however many runs were missed, one is caught up")
    func missed() throws {
        let now = Self.seconds("2028-02-10T12:00:00Z")
        for text in ["0 1 * * *", "every 15m"] {
            let schedule = try Schedule(text)
            let due = try #require(
                schedule.due(after: Self.seconds("2028-02-01T00:00:00Z"), now: now, zone: Self.berlin))
            #expect(due <= now)
            #expect(schedule.due(after: due, now: now, zone: Self.berlin) == nil)
        }
        #expect(try Schedule("0 1 * * *").due(after: now, now: now + 60, zone: Self.berlin) == nil)
    }

    @Test(
        "what is no schedule is refused with the field",
        arguments: [
            ("61 * * * *", "minute"), ("* 24 * * *", "hour"), ("* * 0 * *", "day"), ("* * * 13 *", "month"),
            ("* * * * 8", "weekday"), ("*/0 * * * *", "minute"), ("5-1 * * * *", "minute"), ("* * *", "five fields"),
            ("0 0 31 2 *", "never"), ("every 0m", "interval"), ("every 15", "interval"), ("every m", "interval"),
            ("every 99999999d", "interval"), ("", "five fields"), ("1,, * * * *", "minute"), ("@never", "five fields"),
            ("every 9999999999999999999s", "interval"),
        ])
    func refused(text: String, word: String) {
        let error = #expect(throws: ScheduleError.self) { try Schedule(text) }
        #expect(error?.description.contains(word) == true, "\(error?.description ?? "nothing")")
    }

    @Test("any text is a schedule or refused", arguments: 0..<300)
    func fuzz(seed: UInt64) {
        var dice = Dice(seed: seed)
        let letters = Array("0123456789*/,-@ evrymhdsjanfeb")
        let text = String(
            (0..<Int(dice.roll(below: 24))).map { _ in letters[Int(dice.roll(below: UInt64(letters.count)))] })
        guard let schedule = try? Schedule(text) else { return }
        let next = schedule.next(after: 1_800_000_000, zone: Self.berlin)
        #expect(next.map { $0 > 1_800_000_000 } ?? false, "\(text)")
    }

    /// A second definition, minute by minute over the clock on the wall: what is due at an hour comes once a day, in
    /// the hour that comes twice the first time, and for an hour that is left out at its end.
    @Test("once a day is once on each day of the calendar, whatever the clock does", arguments: 0..<40)
    func daily(seed: UInt64) throws {
        var dice = Dice(seed: seed)
        let zones = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Tokyo", "Asia/Kathmandu"]
        let zone = TimeZone(identifier: zones[Int(dice.roll(below: 5))])!
        let hour = seed < 8 ? 2 : Int(dice.roll(below: 24))
        let minute = Int(dice.roll(below: 60))
        let schedule = try Schedule("\(minute) \(hour) * * *")
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = zone
        var time = Self.seconds("2028-01-01T00:00:00Z")
        var days: [Date] = []
        for _ in 0..<400 {
            let next = try #require(schedule.next(after: time, zone: zone))
            #expect(next > time)
            time = next
            let date = Date(timeIntervalSince1970: TimeInterval(next))
            days.append(calendar.startOfDay(for: date))
            let wall = calendar.dateComponents([.hour, .minute], from: date)
            // Either as it is written, or the first minute behind the gap.
            if wall.hour != hour || wall.minute != minute {
                let before = date.addingTimeInterval(-1)
                #expect(
                    zone.secondsFromGMT(for: date) > zone.secondsFromGMT(for: before), "seed \(seed): \(date)")
            }
        }
        for (one, other) in zip(days, days.dropFirst()) {
            #expect(calendar.dateComponents([.day], from: one, to: other).day == 1, "seed \(seed): \(one)")
        }
    }

    @Test("the last missed time is found without a walk through years, and is the one that a walk finds")
    func longMissed() throws {
        let now = Self.seconds("2028-02-10T12:00:00Z")
        #expect(try Schedule("* * * * *").due(after: 0, now: now, zone: Self.berlin) == now)
        #expect(
            try Schedule("0 0 29 2 *").due(after: 0, now: now, zone: Self.berlin)
                == Self.seconds("2024-02-28T23:00:00Z"))
        #expect(
            try Schedule("0 0 1 1 *").due(after: 0, now: now, zone: Self.berlin)
                == Self.seconds("2027-12-31T23:00:00Z"))
    }

    @Test("each guest has a delay of its own, the same for ever, and all delays occur")
    func jitter() throws {
        let schedule = try Schedule("0 1 * * *")
        func clock(_ guest: String, _ policy: String = "nightly") -> ScheduleClock {
            ScheduleClock(schedule: schedule, zone: Self.berlin, jitter: 9, policy: policy, guest: guest)
        }
        let delays = (0..<1000).map { clock("web\($0)").delay }
        #expect(Set(delays) == Set(0...9))
        #expect(delays == (0..<1000).map { clock("web\($0)").delay })
        for delay in 0...9 { #expect(delays.filter { $0 == delay }.count > 60) }
        #expect((0..<100).contains { clock("web\($0)").delay != clock("web\($0)", "weekly").delay })
        // Written down once: an update of the program moves no guest.
        #expect(
            ScheduleClock(schedule: schedule, zone: Self.berlin, jitter: 3599, policy: "nightly", guest: "web01").delay
                == 494)
        let begin = Self.seconds("2028-02-01T12:00:00Z")
        let own = clock("web7")
        #expect(own.next(after: begin) == Self.seconds("2028-02-02T00:00:00Z") + own.delay)
        #expect(ScheduleClock(schedule: schedule, zone: .gmt, jitter: 0, policy: "a", guest: "b").delay == 0)
    }

    @Test("a cursor gives each time once, one for many that were missed, and recovers from a clock that was ahead")
    func cursor() throws {
        let clock = ScheduleClock(
            schedule: try Schedule("0 1 * * *"), zone: .gmt, jitter: 600, policy: "nightly", guest: "web01")
        let start = Self.seconds("2028-02-01T12:00:00Z")
        let night = Self.seconds("2028-02-02T01:00:00Z") + clock.delay
        var cursor = ScheduleCursor(seen: start)
        #expect(cursor.take(now: night - 1, clock) == nil)
        #expect(cursor.take(now: night, clock) == night)
        #expect(cursor.take(now: night, clock) == nil)
        // Set back by a few minutes: not once more.
        #expect(cursor.take(now: night - 300, clock) == nil)
        #expect(cursor.take(now: night + 10, clock) == nil)
        // Five nights without a host.
        #expect(cursor.take(now: night + 5 * 86_400 + 60, clock) == night + 5 * 86_400)
        #expect(cursor.take(now: night + 5 * 86_400 + 61, clock) == nil)
        // Another delay repeats nothing.
        let other = ScheduleClock(
            schedule: clock.schedule, zone: .gmt, jitter: 7200, policy: "nightly", guest: "web01")
        try #require(other.delay > clock.delay)
        #expect(cursor.take(now: night + 5 * 86_400 + other.delay + 60, other) == nil)
        // Ten years ahead, and back.
        #expect(cursor.take(now: night + 3650 * 86_400, clock) != nil)
        #expect(cursor.take(now: night + 7 * 86_400 - 60, clock) == nil)
        #expect(cursor.take(now: night + 7 * 86_400, clock) == night + 7 * 86_400)
    }

    @Test("the queue: by tier, then who has waited longest, then by name")
    func queue() {
        let runs = [
            DueRun(tier: 2, due: 5, guest: "a", policy: "p"), DueRun(tier: 1, due: 9, guest: "b", policy: "p"),
            DueRun(tier: 1, due: 9, guest: "a", policy: "p"), DueRun(tier: 1, due: 7, guest: "z", policy: "p"),
        ]
        #expect(runs.sorted() == [runs[3], runs[2], runs[1], runs[0]])
    }
}
