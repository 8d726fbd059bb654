/// What a policy promises for one guest, and what is known of how it went. Nothing here asks the world.
package struct RunPromise: Hashable, Sendable {
    /// Guest, repository and policy.
    package var subject: NoticeSubject
    /// Since when the promise holds, nanoseconds since 1970: a guest that is new in a policy has had no chance yet.
    package var since: UInt64
    /// How old the last point may become, nanoseconds, at least one; `nil` when nothing is promised.
    package var objective: UInt64?
    /// When runs were and are due, nanoseconds since 1970, in any order; those after now are no concern yet.
    package var dueTimes: [UInt64]
    /// How long after a due time a run may begin without a word, nanoseconds.
    package var patience: UInt64
    /// How long after a due time a run that has not begun counts as missed, nanoseconds; a later due time does that
    /// too.
    package var missedAfter: UInt64
    /// How long a run may take, nanoseconds; `nil` for as long as it likes.
    package var longestRun: UInt64?
    /// When the last run began; `nil` when none ever did.
    package var lastStart: UInt64?
    /// Whether that run goes on.
    package var isRunning: Bool
    /// Instant of the last good point; `nil` when there is none.
    package var lastPoint: UInt64?
    /// Whether somebody paused the policy or guest: then runs are neither late nor missed, and points become old all
    /// the same.
    package var isPaused: Bool

    /// - Parameters: see the properties.
    package init(
        subject: NoticeSubject, since: UInt64, objective: UInt64? = nil, dueTimes: [UInt64] = [],
        patience: UInt64 = RunPromise.usualPatience, missedAfter: UInt64 = RunPromise.usualMissedAfter,
        longestRun: UInt64? = nil, lastStart: UInt64? = nil, isRunning: Bool = false, lastPoint: UInt64? = nil,
        isPaused: Bool = false
    ) {
        self.subject = subject
        self.since = since
        self.objective = objective
        self.dueTimes = dueTimes
        self.patience = patience
        self.missedAfter = missedAfter
        self.longestRun = longestRun
        self.lastStart = lastStart
        self.isRunning = isRunning
        self.lastPoint = lastPoint
        self.isPaused = isPaused
    }

    /// Fifteen minutes.
    package static let usualPatience: UInt64 = 15 * 60 * 1_000_000_000
    /// Two hours.
    package static let usualMissedAfter: UInt64 = 2 * 3600 * 1_000_000_000
}

/// A guest that a hypervisor has and no policy covers.
package struct UncoveredGuest: Hashable, Sendable {
    /// Its name.
    package var name: String
    /// When it was seen first, nanoseconds since 1970.
    package var since: UInt64
    /// The host or connection it was seen at.
    package var place: String?

    /// - Parameters: see the properties.
    package init(name: String, since: UInt64, place: String? = nil) {
        self.name = name
        self.since = since
        self.place = place
    }
}

/// An agent that is expected to give signs of life.
package struct Heartbeat: Hashable, Sendable {
    /// The agent's host.
    package var agent: String
    /// The last sign, nanoseconds since 1970; `nil` when there never was one.
    package var lastSign: UInt64?
    /// How long it may be silent, nanoseconds.
    package var limit: UInt64

    /// - Parameters: see the properties.
    package init(agent: String, lastSign: UInt64?, limit: UInt64) {
        self.agent = agent
        self.lastSign = lastSign
        self.limit = limit
    }
}

/// Something stored that has to be read again from time to time.
package struct VerificationPromise: Hashable, Sendable {
    /// Repository, and guest where it is about one.
    package var subject: NoticeSubject
    /// Since when it holds, nanoseconds since 1970.
    package var since: UInt64
    /// The last verification that found all of it sound; `nil` when there is none.
    package var lastVerified: UInt64?
    /// How long ago that may be, nanoseconds.
    package var limit: UInt64

    /// - Parameters: see the properties.
    package init(subject: NoticeSubject, since: UInt64, lastVerified: UInt64?, limit: UInt64) {
        self.subject = subject
        self.since = since
        self.lastVerified = lastVerified
        self.limit = limit
    }
}

/// A forecast of when a store has no more room.
package struct RoomForecast: Hashable, Sendable {
    /// Repository, and medium as the object.
    package var subject: NoticeSubject
    /// Bytes that are free now.
    package var freeBytes: UInt64
    /// When nothing will be free, nanoseconds since 1970; `nil` when it does not grow.
    package var fullAt: UInt64?
    /// How long before that somebody wants to know, nanoseconds.
    package var warning: UInt64

    /// - Parameters: see the properties.
    package init(subject: NoticeSubject, freeBytes: UInt64, fullAt: UInt64?, warning: UInt64) {
        self.subject = subject
        self.freeBytes = freeBytes
        self.fullAt = fullAt
        self.warning = warning
    }
}

/// A forecast of whether a night is long enough.
package struct WindowForecast: Hashable, Sendable {
    /// The policy.
    package var subject: NoticeSubject
    /// When the window closes, nanoseconds since 1970.
    package var closesAt: UInt64
    /// When its work would be done, nanoseconds since 1970.
    package var doneAt: UInt64
    /// Guests that would not be done.
    package var unfinished: [String]

    /// - Parameters: see the properties.
    package init(subject: NoticeSubject, closesAt: UInt64, doneAt: UInt64, unfinished: [String]) {
        self.subject = subject
        self.closesAt = closesAt
        self.doneAt = doneAt
        self.unfinished = unfinished
    }
}
