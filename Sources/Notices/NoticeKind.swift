/// What people are told about. The words are machine-readable and never change; a reader passes over words that it does
/// not know.
package enum NoticeKind: String, CaseIterable, Hashable, Sendable {
    /// A run was due and nothing began.
    case missed
    /// A run was due a while ago and has not begun, or has begun and goes on longer than it may.
    case late
    /// A run ended without a point.
    case failed
    /// A run made a point that lacks something: disks left out, a level of consistency that was not reached.
    case partial
    /// A guest is there that no policy covers.
    case unprotected
    /// The last point of a guest is older than its policy promises (recovery point objective).
    case objectiveMissed = "objective-missed"
    /// A night is forecast to be too short for what it has to do.
    case windowOverrun = "window-overrun"
    /// A repository or medium is full, or is going to be at an instant.
    case storageFull = "storage-full"
    /// What is stored was not read again for longer than it should be.
    case unverified
    /// Something stored is damaged or missing.
    case damaged
    /// A hypervisor's list of changes did not name something that had changed.
    case lyingChangeList = "lying-change-list"
    /// What a guest writes has begun to look encrypted.
    case encryptionLike = "encryption-like"
    /// Something waits for the approval of persons.
    case approvalWaiting = "approval-waiting"
    /// A guest stands still or its file systems are frozen, and nobody lets it go on.
    case leftFrozen = "left-frozen"
    /// The host's clock jumped.
    case clockJumped = "clock-jumped"
    /// An agent does not give a sign of life, or was stopped.
    case agentStopped = "agent-stopped"
    /// An agent has begun to work.
    case agentStarted = "agent-started"
    /// Notices do not reach one of their targets.
    case targetFailed = "target-failed"
    /// A night is over, however it was: whoever waits for it notices when nothing comes.
    case night
    /// There is more to tell than is kept.
    case tooMany = "too-many"

    /// Whether it tells of a moment that cannot be over, and not of something that goes on.
    package var isMoment: Bool { [.clockJumped, .agentStarted, .night, .tooMany].contains(self) }
}

/// How much a notice wants somebody to act.
package enum NoticeSeverity: String, CaseIterable, Comparable, Hashable, Sendable {
    /// Nothing to do.
    case information
    /// Worth a look in working hours.
    case notice
    /// Going to hurt unless somebody acts.
    case warning
    /// A promise is broken.
    case error
    /// Data or guests are in danger now.
    case critical

    /// The word for machines.
    package var word: String { rawValue }

    /// The severity of a word; `nil` for any other.
    package init?(word: String) { self.init(rawValue: word) }

    private var rank: Int {
        switch self {
        case .information: 0
        case .notice: 1
        case .warning: 2
        case .error: 3
        case .critical: 4
        }
    }

    package static func < (left: NoticeSeverity, right: NoticeSeverity) -> Bool { left.rank < right.rank }
}

/// How old the last point of a guest is, in multiples of what was promised.
package enum ObjectiveClass: String, CaseIterable, Comparable, Hashable, Sendable {
    /// Less than promised, or just as much.
    case kept = "<1"
    /// Up to twice as old.
    case upToTwo = "<=2"
    /// Up to four times as old.
    case upToFour = "<=4"
    /// Older than that.
    case beyondFour = ">4"

    /// The class of an age.
    ///
    /// - Parameters:
    ///   - age: nanoseconds.
    ///   - target: nanoseconds, at least one.
    package init(age: UInt64, target: UInt64) {
        precondition(target > 0, "an objective is a time")
        // Whole multiples begun: 0 for none, 1 for an age up to the target, …
        let begun = age / target + (age % target == 0 ? 0 : 1)
        self =
            switch begun {
            case ...1: .kept
            case 2: .upToTwo
            case ...4: .upToFour
            default: .beyondFour
            }
    }

    /// How bad it is; `nil` while the promise is kept.
    package var severity: NoticeSeverity? {
        switch self {
        case .kept: nil
        case .upToTwo: .warning
        case .upToFour: .error
        case .beyondFour: .critical
        }
    }

    private var order: Int { ObjectiveClass.allCases.firstIndex(of: self) ?? 0 }

    package static func < (left: ObjectiveClass, right: ObjectiveClass) -> Bool { left.order < right.order }
}
