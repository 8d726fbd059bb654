package import Foundation

/// Minutes, hours, days, months and weekdays, as `crontab` has them (IEEE 1003.1, with the steps and names of Vixie's):
/// `30 22 * * 1-5`, `*/15 * * * *`, `@daily`. Where both day and weekday are given, either will do.
///
/// When summer time begins, what was due in the hour that is left out is due at its end, once. When it ends, what was
/// due at an hour comes in the first of the two, and what is due every hour in both.
package struct CronExpression: Hashable, Sendable {
    private var minutes: UInt64
    private var hours: UInt64
    private var days: UInt64
    private var months: UInt64
    private var weekdays: UInt64
    private let isAnyHour: Bool
    private let isAnyDay: Bool
    private let isAnyWeekday: Bool
    /// As it was written.
    package let text: String

    private struct Field {
        let name: String
        let range: ClosedRange<Int>
        var names: [String] = []
    }
    private static let fields = [
        Field(name: "minute", range: 0...59), Field(name: "hour", range: 0...23), Field(name: "day", range: 1...31),
        Field(
            name: "month", range: 1...12,
            names: ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]),
        // 7 is Sunday as well.
        Field(name: "weekday", range: 0...7, names: ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]),
    ]
    private static let words = [
        "@hourly": "0 * * * *", "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@weekly": "0 0 * * 0",
        "@monthly": "0 0 1 * *", "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *",
    ]
    /// Longer texts are no expressions: each field can list all its values.
    private static let longestText = 1024
    /// Days that are looked at for the next time: 29 February may be eight years away (2096 to 2104).
    private static let daysAhead = 9 * 366

    /// Reads one. - Throws: ``ScheduleError``, naming the field.
    package init(_ text: String) throws(ScheduleError) {
        self.text = text
        guard text.utf8.count <= CronExpression.longestText else {
            throw ScheduleError("it is too long for a schedule")
        }
        let words = (CronExpression.words[text] ?? text).split(separator: " ").map { $0.lowercased() }
        guard words.count == CronExpression.fields.count else {
            throw ScheduleError(
                "a schedule is five fields (minute, hour, day, month, weekday), such as \"30 22 * * *\", a word such "
                    + "as @daily, or \"every 15m\"")
        }
        var sets: [UInt64] = []
        for (word, field) in zip(words, CronExpression.fields) { sets.append(try CronExpression.set(word, field)) }
        (minutes, hours, days, months, weekdays) = (sets[0], sets[1], sets[2], sets[3], sets[4])
        weekdays |= weekdays >> 7 & 1
        isAnyHour = words[1].hasPrefix("*")
        isAnyDay = words[2].hasPrefix("*")
        isAnyWeekday = words[4].hasPrefix("*")
        guard next(after: 0, zone: .gmt) != nil else { throw ScheduleError("its day never comes in its months") }
    }

    /// Once a day.
    ///
    /// - Parameter minuteOfDay: minutes after midnight, 0…1439.
    init(minuteOfDay: Int) {
        precondition((0..<1440).contains(minuteOfDay), "a minute of the day")
        text = "\(minuteOfDay % 60) \(minuteOfDay / 60) * * *"
        minutes = 1 << UInt64(minuteOfDay % 60)
        hours = 1 << UInt64(minuteOfDay / 60)
        days = .max
        months = .max
        weekdays = .max
        isAnyHour = false
        isAnyDay = true
        isAnyWeekday = true
    }

    private static func set(_ word: String, _ field: Field) throws(ScheduleError) -> UInt64 {
        var set: UInt64 = 0
        for part in word.split(separator: ",", omittingEmptySubsequences: false) {
            let halves = part.split(separator: "/", omittingEmptySubsequences: false)
            guard halves.count <= 2, let span = range(String(halves[0]), field, hasStep: halves.count == 2) else {
                throw refusal(word, field)
            }
            var step = 1
            if halves.count == 2 {
                guard let given = number(halves[1]), given >= 1 else { throw refusal(word, field) }
                step = given
            }
            for value in stride(from: span.lowerBound, through: span.upperBound, by: step) { set |= 1 << UInt64(value) }
        }
        return set
    }

    private static func range(_ text: String, _ field: Field, hasStep: Bool) -> ClosedRange<Int>? {
        if text == "*" { return field.range }
        let ends = text.split(separator: "-", omittingEmptySubsequences: false)
        guard (1...2).contains(ends.count), let low = value(ends[0], field) else { return nil }
        // "5/15" is from 5 on.
        guard ends.count == 2 else { return low...(hasStep ? field.range.upperBound : low) }
        guard let high = value(ends[1], field), low <= high else { return nil }
        return low...high
    }

    private static func value(_ text: Substring, _ field: Field) -> Int? {
        if let index = field.names.firstIndex(of: String(text)) { return index + field.range.lowerBound }
        guard let number = number(text), field.range.contains(number) else { return nil }
        return number
    }

    private static func number(_ text: Substring) -> Int? {
        guard (1...4).contains(text.utf8.count), text.utf8.allSatisfy({ (48...57).contains($0) }) else { return nil }
        return Int(text)
    }

    private static func refusal(_ word: String, _ field: Field) -> ScheduleError {
        let names = field.names.isEmpty ? "" : ", or \(field.names[0]) to \(field.names[field.names.count - 1])"
        return ScheduleError(
            "\"\(word)\" is no \(field.name): it takes numbers from \(field.range.lowerBound) to "
                + "\(field.range.upperBound)\(names), lists (1,15), ranges (1-5), steps (*/15) or *")
    }

    /// Minutes after midnight at which it is due on a day on which it is, ascending.
    var minutesOfDay: [Int] {
        (0..<1440).filter { hours >> UInt64($0 / 60) & 1 == 1 && minutes >> UInt64($0 % 60) & 1 == 1 }
    }

    /// Whether it is due on a day.
    func isDue(onDayOf time: CivilTime) -> Bool { holds(day: time) }

    private func holds(day time: CivilTime) -> Bool {
        guard months >> UInt64(time.month) & 1 == 1 else { return false }
        let isDay = days >> UInt64(time.day) & 1 == 1
        let isWeekday = weekdays >> UInt64(time.weekday) & 1 == 1
        return isAnyDay || isAnyWeekday ? isDay && isWeekday : isDay || isWeekday
    }

    private func holds(_ time: CivilTime) -> Bool {
        hours >> UInt64(time.hour) & 1 == 1 && minutes >> UInt64(time.minute) & 1 == 1 && holds(day: time)
    }

    /// The first time it is due after another, in seconds since 1970, UTC; `nil` when it never is.
    package func next(after time: Int, zone: TimeZone) -> Int? {
        // Whole minutes of UTC are whole minutes of every zone since 1972.
        var minute = (time / 60 + 1) * 60
        let end = minute + CronExpression.daysAhead * CivilTime.secondsOfDay
        while minute < end {
            let wall = CivilTime.wall(minute, zone)
            let before = CivilTime.wall(minute - 60, zone)
            let civil = CivilTime(wallSeconds: wall)
            if wall - before > 60 {
                // The clock jumped ahead: what was due meanwhile is due now.
                for skipped in stride(from: before + 60, through: wall, by: 60)
                where holds(CivilTime(wallSeconds: skipped)) && (!isAnyHour || skipped == wall) { return minute }
            } else if holds(civil), isAnyHour || !isRepeated(minute, wall: wall, zone) {
                return minute
            }
            minute += step(from: civil, at: minute, zone)
        }
        return nil
    }

    /// To the next minute of the day that can be due, or to the next day, but never over a change of the clock.
    private func step(from civil: CivilTime, at minute: Int, _ zone: TimeZone) -> Int {
        let now = civil.hour * 60 + civil.minute
        var next = 24 * 60
        if holds(day: civil) {
            let rest = hours >> UInt64(civil.hour) & 1 == 1 ? minutes >> UInt64(civil.minute + 1) : 0
            if rest != 0 {
                next = now + 1 + rest.trailingZeroBitCount
            } else if let hour = ((civil.hour + 1)..<24).first(where: { hours >> UInt64($0) & 1 == 1 }) {
                next = hour * 60 + minutes.trailingZeroBitCount
            }
        }
        let length = (next - now) * 60
        let offset = zone.secondsFromGMT(for: Date(timeIntervalSince1970: TimeInterval(minute)))
        let later = zone.secondsFromGMT(for: Date(timeIntervalSince1970: TimeInterval(minute + length)))
        return offset == later ? length : 60
    }

    /// Whether the clock showed this minute before: it was turned back meanwhile.
    private func isRepeated(_ minute: Int, wall: Int, _ zone: TimeZone) -> Bool {
        // Clocks are turned back by at most a few hours; half-hours exist (Lord Howe Island).
        for earlier in stride(from: 30 * 60, through: 3 * 3600, by: 30 * 60)
        where CivilTime.wall(minute - earlier, zone) == wall { return true }
        return false
    }
}

/// What is wrong with a schedule, as a sentence without its name.
package struct ScheduleError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The sentence.
    package let description: String

    /// A sentence.
    package init(_ sentence: String) { description = sentence }
}
