/// How many points a policy keeps, and which.
///
/// Every rule is asked by itself, and a point that any of them keeps is kept. The rules of periods count periods that
/// have a point, so that nights that were missed cost no older ones.
package struct RetentionRules: Hashable, Sendable {
    /// So many of the newest points; not negative.
    package var last = 0
    /// The newest point of each of so many hours, days, weeks, months and years that have one, by the policy's clock.
    package var periods: [RetentionPeriod: Int] = [:]
    /// Points with one of these tags, for as long as they have it.
    package var tags: Set<String> = []
    /// So many of the newest points that were read back and found sound; not negative. While a guest has so many, it
    /// never has fewer.
    package var verified = 0

    /// Rules that keep nothing but what is always kept.
    package init() {}

    /// Whether a rule keeps anything beside what is always kept.
    package var keepsAnything: Bool {
        last > 0 || verified > 0 || !tags.isEmpty || periods.values.contains { $0 > 0 }
    }
}

/// A length of time by which points are thinned out. A week begins on Monday (ISO 8601).
package enum RetentionPeriod: String, Hashable, Sendable, CaseIterable {
    /// An hour of the clock; the one that is repeated when summer time ends counts twice.
    case hour
    /// Midnight to midnight.
    case day
    /// Monday to Sunday, ISO 8601.
    case week
    /// A month of the calendar.
    case month
    /// A year of the calendar.
    case year
}
