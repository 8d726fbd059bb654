import Foundation

/// Hours, days, weeks, months and years by the clock of a policy. Days have 23 to 25 hours where summer time begins and
/// ends; ISO weeks belong to the year that has their Thursday.
struct PolicyCalendar: Sendable {
    /// A period of the calendar: equal when it is the same one.
    struct Period: Hashable, Sendable {
        /// `2028-02-29`, `2028-W09`, `2028-02`, `2028`, `2028-02-29 13:00 +0100`.
        let name: String
    }

    private let calendar: Calendar

    init(zone: TimeZone) {
        var calendar = Calendar(identifier: .iso8601)
        calendar.timeZone = zone
        self.calendar = calendar
    }

    /// - Parameter time: nanoseconds since 1970, UTC.
    func period(_ period: RetentionPeriod, at time: UInt64) -> Period {
        let date = Date(timeIntervalSince1970: TimeInterval(time / 1_000_000_000))
        let parts = calendar.dateComponents([.year, .month, .day, .hour, .weekOfYear, .yearForWeekOfYear], from: date)
        let year = PolicyCalendar.padded(parts.year ?? 0, 4)
        let month = "\(year)-\(PolicyCalendar.padded(parts.month ?? 0, 2))"
        let day = "\(month)-\(PolicyCalendar.padded(parts.day ?? 0, 2))"
        return switch period {
        case .hour: Period(name: "\(day) \(PolicyCalendar.padded(parts.hour ?? 0, 2)):00 \(offset(date))")
        case .day: Period(name: day)
        case .week:
            Period(
                name: "\(PolicyCalendar.padded(parts.yearForWeekOfYear ?? 0, 4))-W"
                    + PolicyCalendar.padded(parts.weekOfYear ?? 0, 2))
        case .month: Period(name: month)
        case .year: Period(name: year)
        }
    }

    /// Tells the two hours apart that have one name when summer time ends.
    private func offset(_ date: Date) -> String {
        let minutes = calendar.timeZone.secondsFromGMT(for: date) / 60
        let size = abs(minutes)
        return (minutes < 0 ? "-" : "+") + PolicyCalendar.padded(size / 60, 2) + PolicyCalendar.padded(size % 60, 2)
    }

    private static func padded(_ number: Int, _ width: Int) -> String {
        let digits = String(number)
        return String(repeating: "0", count: max(0, width - digits.count)) + digits
    }
}
