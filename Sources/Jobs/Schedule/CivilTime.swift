import Foundation

/// A minute of the clock on the wall, and the arithmetic of the calendar that it takes.
///
/// Days are counted from 1970-01-01 by the algorithm of Howard Hinnant, "chrono-compatible low-level date algorithms"
/// (2013), in the Gregorian calendar without end in both directions.
struct CivilTime: Hashable, Sendable {
    let year: Int
    /// 1…12.
    let month: Int
    /// 1…31.
    let day: Int
    /// 0…23.
    let hour: Int
    /// 0…59.
    let minute: Int
    /// 0 is Sunday.
    let weekday: Int

    static let secondsOfDay = 86_400

    /// - Parameter seconds: of the clock on the wall, since its 1970-01-01 00:00.
    init(wallSeconds seconds: Int) {
        let days = CivilTime.floored(seconds, CivilTime.secondsOfDay)
        let rest = seconds - days * CivilTime.secondsOfDay
        hour = rest / 3600
        minute = rest % 3600 / 60
        // 1970-01-01 was a Thursday.
        weekday = CivilTime.modulo(days + 4, 7)
        let shifted = days + 719_468
        let era = CivilTime.floored(shifted, 146_097)
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let march = (5 * dayOfYear + 2) / 153
        day = dayOfYear - (153 * march + 2) / 5 + 1
        month = march < 10 ? march + 3 : march - 9
        year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    }

    private static func floored(_ number: Int, _ by: Int) -> Int {
        number >= 0 ? number / by : -((-number + by - 1) / by)
    }
    private static func modulo(_ number: Int, _ by: Int) -> Int { number - floored(number, by) * by }

    /// What the clock on the wall shows there and then, in seconds since its 1970-01-01 00:00.
    ///
    /// - Parameter seconds: since 1970, UTC.
    static func wall(_ seconds: Int, _ zone: TimeZone) -> Int {
        seconds + zone.secondsFromGMT(for: Date(timeIntervalSince1970: TimeInterval(seconds)))
    }
}
