package import BackupModel

/// What retention knows of a point.
package struct RetainedPoint: Hashable, Sendable {
    /// The point.
    package var id: PointID
    /// When its writer says that it was taken: nanoseconds since 1970, UTC.
    package var takenAt: UInt64
    /// When another writer first saw it, on that writer's clock; `nil` when none has yet.
    package var firstSeen: UInt64?
    /// The last time, on its own clock, at which another writer looked and it was not there yet; `nil` when none did.
    package var lastMissed: UInt64?
    /// Whether its writer's key was revoked, its owner does not believe it, or the last verification found it damaged:
    /// then it keeps no other point out.
    package var isDistrusted = false
    /// Its tags.
    package var tags: Set<String> = []
    /// Whether somebody holds it.
    package var isHeld = false
    /// Whether somebody has taken back that it was forgotten: then no rule forgets it again.
    package var isTakenBack = false
    /// Until when it is locked: nanoseconds since 1970; `nil` when it is not.
    package var lockedUntil: UInt64?
    /// Whether its id stands in several records: whoever forgets one of them forgets the others, and any writer can
    /// write an id down a second time.
    package var standsTwice = false
    /// Whether a verification found it whole, and none since then damaged.
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

    /// Nanoseconds by which two honest clocks may differ: a day.
    package static let clockTolerance: UInt64 = 86_400 * 1_000_000_000

    /// How far a point's date can be believed.
    package enum Standing: Hashable, Sendable {
        /// Nothing speaks against it.
        case believed
        /// Its writer is not believed, it is damaged, or others contradict it: they looked a day and more after its
        /// date and it was not there. An old image that was stored later, a wrong clock, or a forged date.
        case contradicted
        /// Others saw it a day and more before its date. One of the two lies or has a wrong clock: were the witness
        /// believed, one forged record dated 1970 would move all that it names into one day.
        case disputed
        /// Its id stands in several records.
        case twice
        /// It lies a day and more ahead of the clock of whoever decides, and nobody else has seen it: one of the two
        /// clocks is wrong, and nobody can say which.
        case ahead
    }

    /// Weighs what is known of its date.
    ///
    /// - Parameter now: the clock of whoever decides; nanoseconds since 1970.
    package func standing(now: UInt64) -> Standing {
        func isLater(_ time: UInt64, than other: UInt64) -> Bool {
            time > other && time - other > RetainedPoint.clockTolerance
        }
        if standsTwice { return .twice }
        if let firstSeen, isLater(takenAt, than: firstSeen) { return .disputed }
        if isDistrusted { return .contradicted }
        if let lastMissed, isLater(lastMissed, than: takenAt) { return .contradicted }
        return firstSeen == nil && isLater(takenAt, than: now) ? .ahead : .believed
    }
}
