/// An instant as a date and a time of day in UTC, in the calendar that everybody uses.
package struct CivilTime: Hashable, Sendable {
    /// Year, from 1970 to 2554, where nanoseconds end.
    package let year: UInt64
    /// 1 to 12.
    package let month: UInt64
    /// 1 to 31.
    package let day: UInt64
    /// Seconds since midnight.
    package let secondOfDay: UInt64
    /// 0 for Sunday.
    package let weekday: Int

    /// The instant's.
    ///
    /// - Parameter instant: nanoseconds since 1970, UTC.
    package init(_ instant: UInt64) {
        let seconds = instant / 1_000_000_000
        let days = seconds / 86_400
        secondOfDay = seconds % 86_400
        weekday = Int((days + 4) % 7)
        // Years that begin in March end with the leap day, so that months before it have fixed lengths; the count
        // begins with the era of 400 years that began in March of year 0.
        let fromEra = days + 719_468
        let era = fromEra / 146_097
        let dayOfEra = fromEra % 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shifted = (5 * dayOfYear + 2) / 153
        day = dayOfYear - (153 * shifted + 2) / 5 + 1
        month = shifted < 10 ? shifted + 3 : shifted - 9
        year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    }

    private func two(_ number: UInt64) -> String { number < 10 ? "0\(number)" : "\(number)" }

    private var clock: String {
        "\(two(secondOfDay / 3600)):\(two(secondOfDay % 3600 / 60)):\(two(secondOfDay % 60))"
    }

    /// RFC 3339: `2028-02-29T23:59:00Z`.
    package var stamp: String { "\(year)-\(two(month))-\(two(day))T\(clock)Z" }

    /// For people: `2028-02-29 23:59 UTC`.
    package var readable: String { "\(year)-\(two(month))-\(two(day)) \(clock.dropLast(3)) UTC" }

    /// Only the date: `2028-02-29`.
    package var date: String { "\(year)-\(two(month))-\(two(day))" }

    /// RFC 5322: `Tue, 29 Feb 2028 23:59:00 +0000`.
    package var mail: String {
        let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        let days = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
        return "\(days[weekday]), \(two(day)) \(months[Int(month) - 1]) \(year) \(clock) +0000"
    }
}
