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
            let due = try #require(schedule.due(after: Self.seconds("2028-02-01T00:00:00Z"), now: now, zone: Self.berlin))
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
        let text = String((0..<Int(dice.roll(below: 24))).map { _ in letters[Int(dice.roll(below: UInt64(letters.count)))] })
        guard let schedule = try? Schedule(text) else { return }
        let next = schedule.next(after: 1_800_000_000, zone: Self.berlin)
        #expect(next.map { $0 > 1_800_000_000 } ?? false, "\(text)")
    }

    @Test("times rise, and each is after the one before, for any schedule and zone", arguments: 0..<40)
    func ascending(seed: UInt64) throws {
        var dice = Dice(seed: seed)
        let zones = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Tokyo", "Asia/Kathmandu"]
        let zone = TimeZone(identifier: zones[Int(dice.roll(below: 5))])!
        let hour = dice.roll(below: 24)
        let schedule = try Schedule("\(dice.roll(below: 60)) \(hour) * * *")
        var time = Self.seconds("2028-01-01T00:00:00Z") + Int(dice.roll(below: 86_400))
        let begin = time
        var count = 0
        while let next = schedule.next(after: time, zone: zone), next < begin + 366 * 86_400 {
            #expect(next > time)
            time = next
            count += 1
        }
        // Once a day, whatever the clock does.
        #expect((366...367).contains(count + 1) || count == 366, "seed \(seed): \(count) in 366 days")
    }
}
