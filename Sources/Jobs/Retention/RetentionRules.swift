package import BackupModel

/// How many points a policy keeps, and which.
///
/// Every rule is asked by itself, and a point that any of them keeps is kept. The rules of periods count periods that
/// have a point, so that nights that were missed cost no older ones.
package struct RetentionRules: Hashable, Sendable {
    /// So many of the newest points.
    package var last = 0
    /// The newest point of each of so many hours, days, weeks, months and years that have one, by the policy's clock.
    package var periods: [RetentionPeriod: Int] = [:]
    /// Points with one of these tags, for as long as they have it.
    package var tags: Set<String> = []
    /// So many of the newest points that were read back and found sound.
    package var verified = 0

    /// Rules that keep nothing but what is always kept.
    package init() {}
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

/// What retention knows of a point.
package struct RetainedPoint: Hashable, Sendable {
    /// The point.
    package var id: PointID
    /// When its writer says that it was taken: nanoseconds since 1970, UTC.
    package var takenAt: UInt64
    /// When another writer first saw it, on that writer's clock; `nil` when none has yet.
    package var firstSeen: UInt64?
    /// Its tags.
    package var tags: Set<String> = []
    /// Whether somebody holds it.
    package var isHeld = false
    /// Until when it is locked: nanoseconds since 1970; `nil` when it is not.
    package var lockedUntil: UInt64?
    /// Whether it was read back and found sound.
    package var isVerified = false
    /// The rule of another copy that needs it, in words; `nil` when none does.
    package var copyThatNeedsIt: String?

    /// A point without anything that keeps it.
    package init(id: PointID, takenAt: UInt64, firstSeen: UInt64? = nil) {
        self.id = id
        self.takenAt = takenAt
        self.firstSeen = firstSeen
    }

    /// The time that retention goes by: what its writer says, but not later than others saw it. A date in the future
    /// makes a point no newer than it is.
    package var time: UInt64 { min(takenAt, firstSeen ?? takenAt) }

    /// Nanoseconds after which a point that nobody saw at its time counts as late: a day.
    package static let latestPrompt: UInt64 = 86_400 * 1_000_000_000

    /// Whether it came so long after its own date that nobody can say whether the date is true: an old image that was
    /// stored later, a host that was away, or a forged date.
    package var isLate: Bool {
        guard let firstSeen else { return false }
        return firstSeen > takenAt && firstSeen - takenAt > RetainedPoint.latestPrompt
    }
}

/// Why a point is kept.
package enum RetentionReason: Hashable, Sendable {
    /// It is the newest point of its guest, or the newest of those that came late; these are never removed.
    case newest
    /// It is one of the last so many: its number, from 1, of how many.
    case last(number: Int, of: Int)
    /// It is the newest of a period: the period's name, its number, from 1, of how many.
    case period(RetentionPeriod, name: String, number: Int, of: Int)
    /// It has a tag that is kept.
    case tag(String)
    /// It is one of the last so many that were verified.
    case verified(number: Int, of: Int)
    /// Somebody holds it.
    case held
    /// It is locked until then: nanoseconds since 1970.
    case locked(until: UInt64)
    /// Another copy needs it, for the reason.
    case copy(String)
}
