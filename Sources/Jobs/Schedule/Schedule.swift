package import Foundation

/// When something is to be done.
package enum Schedule: Hashable, Sendable {
    /// At the times of a calendar, by the policy's clock.
    case calendar(CronExpression)
    /// Every so many seconds, counted from 1970 in UTC, so that all hosts agree and a restart changes nothing.
    case every(seconds: Int)

    /// Bounds of ``every``: a second (for tests of the agent) and a year.
    private static let interval = 1...(366 * 86_400)
    private static let units: [Character: Int] = ["s": 1, "m": 60, "h": 3600, "d": 86_400]

    /// Reads `30 22 * * *`, `@daily`, `every 15m`. - Throws: ``ScheduleError``.
    package init(_ text: String) throws(ScheduleError) {
        guard text.hasPrefix("every ") else {
            self = .calendar(try CronExpression(text))
            return
        }
        let length = text.dropFirst("every ".count)
        // Eight digits of days are no overflow.
        guard let unit = length.last.flatMap({ Schedule.units[$0] }), length.utf8.count <= 9,
            length.dropLast().utf8.allSatisfy({ (48...57).contains($0) }), let count = Int(length.dropLast()),
            Schedule.interval.contains(count * unit)
        else {
            throw ScheduleError("\"\(text)\" is no interval: write a number and s, m, h or d, such as \"every 15m\"")
        }
        self = .every(seconds: count * unit)
    }

    /// The first time it is due after another, in seconds since 1970, UTC.
    package func next(after time: Int, zone: TimeZone) -> Int? {
        switch self {
        case .calendar(let expression): expression.next(after: time, zone: zone)
        case .every(let seconds): (time / seconds + 1) * seconds
        }
    }

    /// How far back a missed time is looked for at first, in seconds; then further, so that a schedule of minutes that
    /// was not looked at for years costs no walk through all of them.
    private static let looksBack = [3600, 86_400, 32 * 86_400, 400 * 86_400, 9 * 366 * 86_400]

    /// The last time it was due up to `now` and after `seen`: however many were missed, one is caught up.
    ///
    /// - Parameters:
    ///   - seen: the last time that was dealt with, or when the policy began; seconds since 1970.
    ///   - now: seconds since 1970.
    package func due(after seen: Int, now: Int, zone: TimeZone) -> Int? {
        guard seen < now else { return nil }
        if case .every(let seconds) = self {
            let last = now / seconds * seconds
            return last > seen ? last : nil
        }
        for length in Schedule.looksBack {
            var time = max(seen, now - length)
            var found: Int?
            while let next = next(after: time, zone: zone), next <= now {
                found = next
                time = next
            }
            if let found { return found }
            if time == seen { return nil }
        }
        return nil
    }
}
