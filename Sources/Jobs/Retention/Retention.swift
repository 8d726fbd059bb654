import BackupModel
package import Foundation

/// Which points of a guest are kept, and why. A pure function of the points, the rules and two times, so that what
/// `prune --dry-run` explains is what the sweep does.
///
/// Whoever can write points with any date removes none of the others by it: points whose date or writer is not believed
/// are thinned out among themselves, and those that lie ahead of every clock, or of those of others, are left alone.
/// What it cannot tell is many points with true dates: a writer who floods a guest pushes older points out of `last`,
/// not out of days and weeks; see ``PointFlood``. A witness that lies can make a point up to a day older, and no more.
package struct Retention: Sendable {
    /// A point and what keeps it.
    package struct Verdict: Hashable, Sendable {
        /// The point.
        package let point: RetainedPoint
        /// Everything that keeps it; empty when nothing does.
        package let reasons: [RetentionReason]
        /// Why the rules that count do not keep it, one for each that does not.
        package let misses: [RetentionMiss]
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
    /// - Parameters:
    ///   - points: of one guest, in any order; each once, but those that stand twice.
    ///   - now: the clock of whoever decides; nanoseconds since 1970.
    ///   - lockTime: what locks are measured by, nanoseconds since 1970: not later than the caller can prove, so that a
    ///     clock that jumps unlocks nothing.
    /// - Returns: a verdict for each, newest first.
    package func decide(_ points: [RetainedPoint], now: UInt64, lockTime: UInt64) -> [Verdict] {
        let ordered = points.sorted { ($0.time, $0.takenAt, $0.id) > ($1.time, $1.takenAt, $1.id) }
        var notes: [PointID: Notes] = [:]
        for standing in [RetainedPoint.Standing.believed, .contradicted] {
            thin(ordered.filter { $0.standing(now: now) == standing }, &notes)
        }
        return ordered.map { point in
            var own = notes[point.id] ?? Notes()
            switch point.standing(now: now) {
            case .ahead: own.reasons.append(.ahead)
            case .disputed: own.reasons.append(.disputed)
            case .twice: own.reasons.append(.twice)
            case .believed, .contradicted: break
            }
            if point.isTakenBack { own.reasons.append(.takenBack) }
            if point.isHeld { own.reasons.append(.held) }
            if let until = point.lockedUntil {
                if until > lockTime {
                    own.reasons.append(.locked(until: until))
                } else {
                    own.misses.append(.lockExpired(at: until))
                }
            }
            if let copy = point.copyThatNeedsIt { own.reasons.append(.copy(copy)) }
            let tags = point.tags.intersection(rules.tags).sorted()
            own.reasons += tags.map(RetentionReason.tag)
            if !rules.tags.isEmpty, tags.isEmpty { own.misses.append(.tags) }
            return Verdict(point: point, reasons: own.reasons, misses: own.misses)
        }
    }

    private struct Notes {
        var reasons: [RetentionReason] = []
        var misses: [RetentionMiss] = []
    }

    /// Applies the rules that count, to points that are newest first.
    private func thin(_ points: [RetainedPoint], _ notes: inout [PointID: Notes]) {
        for point in points { notes[point.id] = Notes() }
        if let newest = points.first { notes[newest.id]?.reasons.append(.newest) }
        if rules.last > 0 {
            for (index, point) in points.enumerated() {
                if index < rules.last {
                    notes[point.id]?.reasons.append(.last(number: index + 1, of: rules.last))
                } else {
                    notes[point.id]?.misses.append(.last(number: index + 1, of: rules.last))
                }
            }
        }
        for period in RetentionPeriod.allCases {
            thin(points, by: period, wanted: rules.periods[period] ?? 0, &notes)
        }
        guard rules.verified > 0 else { return }
        var count = 0
        for point in points {
            guard point.isVerified else {
                notes[point.id]?.misses.append(.unverified)
                continue
            }
            count += 1
            if count <= rules.verified {
                notes[point.id]?.reasons.append(.verified(number: count, of: rules.verified))
            } else {
                notes[point.id]?.misses.append(.verified(number: count, of: rules.verified))
            }
        }
    }

    private func thin(
        _ points: [RetainedPoint], by period: RetentionPeriod, wanted: Int, _ notes: inout [PointID: Notes]
    ) {
        guard wanted > 0 else { return }
        // A set, not the last one alone: a clock that is turned back over midnight shows a day twice.
        var newest: [PolicyCalendar.Period: PointID] = [:]
        for point in points {
            let own = calendar.period(period, at: point.time)
            if newest.count < wanted, newest[own] == nil {
                newest[own] = point.id
                notes[point.id]?.reasons.append(
                    .period(period, name: own.name, number: newest.count, of: wanted))
            } else if let newer = newest[own] {
                notes[point.id]?.misses.append(.newerInPeriod(period, name: own.name, newer: newer))
            } else {
                notes[point.id]?.misses.append(.periodsFull(period, name: own.name, of: wanted))
            }
        }
    }
}
