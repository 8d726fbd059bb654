package import Foundation

extension BackupWindow {
    /// When it closes next after a time, in seconds since 1970. Over changes of summer time it closes as what is due at
    /// that hour is: in the hour that is left out at its end, in the one that comes twice the first time.
    package func end(after time: Int, zone: TimeZone) -> Int? {
        CronExpression(minuteOfDay: to).next(after: time, zone: zone)
    }

    /// When it opens next after a time, in seconds since 1970.
    package func opening(after time: Int, zone: TimeZone) -> Int? {
        CronExpression(minuteOfDay: from).next(after: time, zone: zone)
    }

    /// Whether runs may be under way at a time; not at its end.
    package func isOpen(at time: Int, zone: TimeZone) -> Bool {
        guard let end = end(after: time, zone: zone), let opening = opening(after: time, zone: zone) else {
            return false
        }
        return end < opening
    }
}
