import BackupModel
package import Foundation

/// Which points of a guest are kept, and why. A pure function of the points, the rules and the clock, so that what
/// `prune --dry-run` explains is what the sweep does.
package struct Retention: Sendable {
    /// A point and what keeps it.
    package struct Verdict: Hashable, Sendable {
        /// The point.
        package let point: RetainedPoint
        /// Everything that keeps it; empty when nothing does.
        package let reasons: [RetentionReason]
        /// Whether it stays.
        package var isKept: Bool { !reasons.isEmpty }
    }

    private let rules: RetentionRules
    private let calendar: PolicyCalendar

    /// - Parameter zone: the policy's time zone, whose hours, days, weeks, months and years count.
    package init(rules: RetentionRules, zone: TimeZone) {
        self.rules = rules
        calendar = PolicyCalendar(zone: zone)
    }

    /// Decides about all points of one guest.
    ///
    /// Points that came late (``RetainedPoint/isLate``) are thinned out among themselves: whoever can write points with
    /// any date removes none of those that were seen at their time.
    ///
    /// - Parameters:
    ///   - points: of one guest, in any order.
    ///   - now: nanoseconds since 1970; the largest time that the repository has signed, so that a clock that jumps
    ///     unlocks nothing.
    /// - Returns: a verdict for each, newest first.
    package func decide(_ points: [RetainedPoint], now: UInt64) -> [Verdict] {
        let ordered = points.sorted { ($0.time, $0.id.hexadecimal) > ($1.time, $1.id.hexadecimal) }
        var reasons: [PointID: [RetentionReason]] = [:]
        for isLate in [false, true] { thin(ordered.filter { $0.isLate == isLate }, &reasons) }
        for point in ordered {
            for tag in point.tags.intersection(rules.tags).sorted() { reasons[point.id, default: []].append(.tag(tag)) }
            if point.isHeld { reasons[point.id, default: []].append(.held) }
            if let until = point.lockedUntil, until > now {
                reasons[point.id, default: []].append(.locked(until: until))
            }
            if let copy = point.copyThatNeedsIt { reasons[point.id, default: []].append(.copy(copy)) }
        }
        return ordered.map { Verdict(point: $0, reasons: reasons[$0.id] ?? []) }
    }

    /// Applies the rules that count, to points that are newest first.
    private func thin(_ points: [RetainedPoint], _ reasons: inout [PointID: [RetentionReason]]) {
        if let newest = points.first { reasons[newest.id, default: []].append(.newest) }
        for (index, point) in points.prefix(rules.last).enumerated() {
            reasons[point.id, default: []].append(.last(number: index + 1, of: rules.last))
        }
        for period in RetentionPeriod.allCases {
            let wanted = rules.periods[period] ?? 0
            var seen = 0
            var current: PolicyCalendar.Period?
            for point in points where seen < wanted {
                let own = calendar.period(period, at: point.time)
                guard own != current else { continue }
                current = own
                seen += 1
                reasons[point.id, default: []].append(.period(period, name: own.name, number: seen, of: wanted))
            }
        }
        for (index, point) in points.filter(\.isVerified).prefix(rules.verified).enumerated() {
            reasons[point.id, default: []].append(.verified(number: index + 1, of: rules.verified))
        }
    }
}
