/// What the agenda knows of one job. Times are seconds since 1970.
package struct GuestJob: Hashable, Sendable {
    /// A run that is due and has not come to its end.
    package struct Pending: Hashable, Sendable {
        /// Since when it is due: the first time that was not met.
        package var due: Int
        /// Why it is to be run.
        package var cause: RunCause
        /// It is not begun before this.
        package var notBefore: Int
        /// How often it was begun and failed.
        package var failures = 0
        /// Whether it was begun and stopped cleanly: the next run goes on from there.
        package var isUnfinished = false

        /// A run that is due.
        package init(due: Int, cause: RunCause, notBefore: Int) {
            self.due = due
            self.cause = cause
            self.notBefore = notBefore
        }
    }

    /// Whole runs whose lengths are kept.
    package static let mostDurations = 20

    /// Since when the policy covers the guest.
    package let since: Int
    /// What was dealt with of the schedule.
    package var cursor: ScheduleCursor
    /// What is due; `nil` when nothing is.
    package internal(set) var pending: Pending?
    /// When its last run began; `nil` when none ever did.
    package internal(set) var lastStart: Int?
    /// The instant of its newest point; `nil` when there is none.
    package internal(set) var lastPoint: Int?
    /// Seconds of its whole runs, oldest first, the newest ``mostDurations``.
    package internal(set) var durations: [Int] = []
    /// Whether the next time that it is due is left out.
    package internal(set) var skipsNext = false
    /// The last due time that a person gave up; `nil` when none was.
    package internal(set) var waived: Int?
    /// Whether the guest was there when its host was asked last.
    package internal(set) var isThere = true

    /// A job that is new: what was due before is not made up for.
    package init(since: Int) {
        self.since = since
        cursor = ScheduleCursor(seen: since)
    }
}

/// Why a run is begun.
package enum RunCause: Hashable, Sendable {
    /// It is due.
    case schedule
    /// It was due earlier and nobody could begin it.
    case catchUp
    /// A person asked for it, by this name.
    case person(String)

    /// As it is kept and reported: `schedule`, `catch-up`, or the person's name behind `person `.
    package var text: String {
        switch self {
        case .schedule: "schedule"
        case .catchUp: "catch-up"
        case .person(let name): RunCause.personPrefix + name
        }
    }

    private static let personPrefix = "person "

    /// A cause from its text; `nil` for any other.
    package init?(text: String) {
        switch text {
        case "schedule": self = .schedule
        case "catch-up": self = .catchUp
        case _ where text.hasPrefix(RunCause.personPrefix):
            self = .person(String(text.dropFirst(RunCause.personPrefix.count)))
        default: return nil
        }
    }
}

/// A run that is under way.
package struct AgendaRun: Hashable, Sendable {
    /// Its id, unique on this host.
    package let identifier: String
    /// Guest and policy.
    package let key: JobKey
    /// The repository's name at its beginning.
    package let repository: String
    /// The number of its tier at its beginning.
    package let tier: Int
    /// When it was due.
    package let due: Int
    /// When it began.
    package let began: Int
    /// Why.
    package let cause: RunCause
    /// Why it was told to stop; `nil` while it was not.
    package internal(set) var stopReason: String?

    /// A run; see the properties.
    package init(
        identifier: String, key: JobKey, repository: String, tier: Int, due: Int, began: Int, cause: RunCause
    ) {
        self.identifier = identifier
        self.key = key
        self.repository = repository
        self.tier = tier
        self.due = due
        self.began = began
        self.cause = cause
    }
}

/// How a run ended, as far as the agenda is concerned.
package enum RunEnd: Hashable, Sendable {
    /// There is a point of that instant, seconds since 1970.
    case point(instant: Int)
    /// It stopped cleanly before it was done.
    case stopped
    /// There is no point; whether a new try may help before it is due again.
    case failed(mayTryAgain: Bool)
}

/// What the agenda wants done.
package enum AgendaOrder: Hashable, Sendable {
    /// Begin this run.
    case start(AgendaRun)
    /// Let this run stop cleanly, for the reason.
    case stop(AgendaRun, reason: String)
    /// Keep on record that a run that was due is left out, because a person wanted it so.
    case skipped(JobKey, due: Int)
}

/// What a person has put to rest.
package enum PauseScope: Hashable, Comparable, Sendable {
    /// Everything.
    case all
    /// A policy.
    case policy(String)
    /// A guest, by its name.
    case guest(String)

    private var words: (String, String) {
        switch self {
        case .all: ("all", "")
        case .guest(let name): ("guest", name)
        case .policy(let name): ("policy", name)
        }
    }

    /// In words, for files and messages.
    package var kind: String { words.0 }
    /// The name of the policy or guest; empty for all.
    package var name: String { words.1 }

    /// A scope from its words; `nil` for others.
    package init?(kind: String, name: String) {
        switch kind {
        case "all": self = .all
        case "guest": self = .guest(name)
        case "policy": self = .policy(name)
        default: return nil
        }
    }

    /// By kind, then by name.
    package static func < (left: PauseScope, right: PauseScope) -> Bool { left.words < right.words }
}
