/// Finds a day in which a guest got many more points than it does (format-notes M8): whoever writes many points with
/// true dates pushes older ones out of `last`, so nothing of that guest is forgotten until somebody has looked.
///
/// Points are counted when they came, not by the date that they bear: each by the time at which its run ended, and not
/// before any that stands before it in the control log. So points with dates of long ago, or of the future, pile up in
/// one day.
package struct PointFlood: Hashable, Sendable {
    /// The day's points.
    package let count: Int
    /// So many a day are usual: by the guest's own days before, or by the schedules of its policies.
    package let usual: Int
    /// The end of the day: nanoseconds since 1970.
    package let at: UInt64
    /// Until when nothing is forgotten for it: nanoseconds since 1970.
    package let until: UInt64

    /// Nanoseconds of a day.
    static let day: UInt64 = 86_400 * 1_000_000_000
    /// A flood has more than so many times what is usual.
    package static let factor = 4
    /// So many in a day are never a flood: somebody tries something.
    package static let few = 10
    /// Days for which a flood is remembered.
    package static let remembered: UInt64 = 14
    /// Days with points that tell what is usual, at most.
    static let historyDays = 30

    /// The last such day of a guest; `nil` when there is none.
    ///
    /// - Parameters:
    ///   - arrivals: when the run of each point ended, in the order of the control log; nanoseconds since 1970.
    ///   - scheduled: points a day that the schedules of its policies ask for.
    ///   - now: nanoseconds since 1970 by the clock of whoever decides.
    package static func last(_ arrivals: [UInt64], scheduled: Int, now: UInt64) -> PointFlood? {
        // Days back from now: a day has passed or not whatever a calendar says. What came later than now came today.
        var counts: [UInt64: Int] = [:]
        var latest: UInt64 = 0
        for arrival in arrivals {
            latest = max(latest, min(arrival, now))
            counts[(now - latest) / day, default: 0] += 1
        }
        let days = counts.keys.sorted()
        for (index, age) in days.enumerated() where age < remembered {
            let before = days[(index + 1)...].prefix(historyDays).map { counts[$0] ?? 0 }.sorted()
            let usual = max(before.isEmpty ? 1 : before[before.count / 2], scheduled, 1)
            let count = counts[age] ?? 0
            guard count > few, count / factor >= usual, count > factor * usual else { continue }
            return PointFlood(count: count, usual: usual, at: now - age * day, until: now + (remembered - age) * day)
        }
        return nil
    }
}
