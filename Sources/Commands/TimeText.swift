import Foundation

/// Times as people and programs write them: RFC 3339.
package enum TimeText {
    // Made once: making one costs more than a hundred uses.
    private static let utcFormatter = formatter("yyyy-MM-dd'T'HH:mm:ss", TimeZone(identifier: "UTC"))
    private static let localFormatter = formatter("yyyy-MM-dd HH:mm:ss", nil)

    private static func formatter(_ format: String, _ zone: TimeZone?) -> DateFormatter {
        let formatter = DateFormatter()
        formatter.locale = Locale(identifier: "en_US_POSIX")
        if let zone { formatter.timeZone = zone }
        formatter.dateFormat = format
        return formatter
    }

    /// Nanoseconds since 1970 as RFC 3339 in UTC, to the microsecond.
    static func utc(_ nanoseconds: UInt64) -> String {
        let date = Date(timeIntervalSince1970: TimeInterval(nanoseconds / 1_000_000_000))
        let fraction = String(nanoseconds % 1_000_000_000 / 1000 + 1_000_000).dropFirst()
        return "\(utcFormatter.string(from: date)).\(fraction)Z"
    }

    /// A short time in nanoseconds, for people.
    static func milliseconds(_ nanoseconds: UInt64) -> String { String(format: "%.1f ms", Double(nanoseconds) / 1e6) }

    /// The local time, for people.
    static func local(_ nanoseconds: UInt64) -> String {
        localFormatter.string(from: Date(timeIntervalSince1970: TimeInterval(nanoseconds / 1_000_000_000)))
    }

    /// Reads `2026-11-24`, `2026-11-24 23:59`, `2026-11-24T23:59:30`, each also with `Z` or `+09:00`; else local.
    ///
    /// - Returns: the last nanosecond that the text covers, so that "at or before 23:59" includes 23:59:30; the largest
    ///   number for times that nanoseconds cannot count, from 2554 on; `nil` for anything else.
    package static func parse(_ text: String) -> UInt64? { range(text)?.upperBound }

    /// As ``parse(_:)``, the first nanosecond that the text covers.
    package static func begin(_ text: String) -> UInt64? { range(text)?.lowerBound }

    /// Noon of the day, by the local clock, so many days after the day of an instant.
    static func noon(ofDayAt nanoseconds: UInt64, plus days: Int) -> UInt64 {
        let calendar = Calendar(identifier: .gregorian)
        let date = Date(timeIntervalSince1970: TimeInterval(nanoseconds / 1_000_000_000))
        // A day has always a noon: no clock is changed there.
        guard let day = calendar.date(byAdding: .day, value: days, to: date),
            let noon = calendar.date(bySettingHour: 12, minute: 0, second: 0, of: day)
        else { return nanoseconds }
        return self.nanoseconds(noon, plus: 0)
    }

    /// As ``parse(_:)``, all that the text covers.
    static func range(_ text: String) -> ClosedRange<UInt64>? {
        // Other characters end in a trap of Foundation's formatter, some accents for example.
        guard text.utf8.allSatisfy({ "0123456789-+:. TZ".utf8.contains($0) }) else { return nil }
        var body = text.replacingOccurrences(of: "T", with: " ")
        var zone = TimeZone.current
        if body.hasSuffix("Z") {
            body.removeLast()
            zone = TimeZone(identifier: "UTC") ?? zone
        } else if let match = body.range(of: #"[+-]\d\d:\d\d$"#, options: .regularExpression), body.count > 10 {
            let parts = body[match].dropFirst().split(separator: ":").compactMap { Int($0) }
            guard parts.count == 2, parts[0] <= 14, parts[1] < 60 else { return nil }
            let seconds = (parts[0] * 60 + parts[1]) * 60
            guard let given = TimeZone(secondsFromGMT: body[match].hasPrefix("-") ? -seconds : seconds) else {
                return nil
            }
            zone = given
            body.removeSubrange(match)
        }
        var extra: ClosedRange<UInt64>?
        if let dot = body.firstIndex(of: ".") {
            let digits = body[body.index(after: dot)...]
            guard (1...9).contains(digits.count), digits.allSatisfy({ $0.isASCII && $0.isNumber }) else { return nil }
            let ends = ["0", "9"].compactMap { UInt64(digits + String(repeating: $0, count: 9 - digits.count)) }
            guard ends.count == 2 else { return nil }
            extra = ends[0]...ends[1]
            body = String(body[..<dot])
        }
        for (format, covered): (String, UInt64) in [
            ("yyyy-MM-dd HH:mm:ss", 1), ("yyyy-MM-dd HH:mm", 60), ("yyyy-MM-dd", 86_400),
        ] {
            let formatter = DateFormatter()
            formatter.locale = Locale(identifier: "en_US_POSIX")
            formatter.timeZone = zone
            formatter.isLenient = false
            formatter.dateFormat = format
            guard let date = formatter.date(from: body), date.timeIntervalSince1970 >= 0 else { continue }
            // A day of a clock change is not 86,400 seconds long: ask the calendar.
            var end = date.addingTimeInterval(TimeInterval(covered))
            if covered == 86_400 {
                var calendar = Calendar(identifier: .gregorian)
                calendar.timeZone = zone
                end = calendar.date(byAdding: .day, value: 1, to: date) ?? end
            }
            if let extra {
                return nanoseconds(date, plus: extra.lowerBound)...nanoseconds(date, plus: extra.upperBound)
            }
            let first = nanoseconds(date, plus: 0)
            let next = nanoseconds(end, plus: 0)
            return first...max(first, next == .max ? next : next - 1)
        }
        return nil
    }

    private static func nanoseconds(_ date: Date, plus extra: UInt64) -> UInt64 {
        guard let seconds = UInt64(exactly: date.timeIntervalSince1970.rounded(.down)) else { return .max }
        let (whole, overflows) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        let (sum, exceeds) = whole.addingReportingOverflow(extra)
        return overflows || exceeds ? .max : sum
    }
}
