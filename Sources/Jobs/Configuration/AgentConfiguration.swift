package import BackupModel
package import Foundation

/// What the agent is to do: its one YAML file, read and judged as a whole.
///
/// Only ``read(_:)`` makes one, and only of a file without an error, so that whoever holds one need not ask again
/// whether a policy's repository exists or its schedule can meet its RPO.
package struct AgentConfiguration: Hashable, Sendable {
    /// The time zone of policies without one of their own.
    package internal(set) var timeZone = TimeZone.gmt
    /// By name.
    package internal(set) var repositories: [String: ConfiguredRepository] = [:]
    /// Sets of guests, by name.
    package internal(set) var guests: [String: GuestSelection] = [:]
    /// By number, 1 being the first to be run.
    package internal(set) var tiers: [Int: ProtectionTier] = [:]
    /// By name.
    package internal(set) var policies: [String: BackupPolicy] = [:]
    /// Whoever can be told, by name.
    package internal(set) var targets: [String: NotificationTarget] = [:]
    /// Rules in the order of the file.
    package internal(set) var rules: [NotificationRule] = []
    /// At which minute of the day, by the file's clock, the night's report is sent.
    package internal(set) var reportMinute = AgentConfiguration.usualReportMinute
    /// What each policy says, by its name.
    package internal(set) var revisions: [String: PolicyRevision] = [:]

    /// Seven in the morning.
    package static let usualReportMinute = 7 * 60

    /// The policies whose points are kept in a repository, as a prune takes them.
    ///
    /// - Parameter isHere: whether a configured location is that repository.
    package func prunePolicies(where isHere: (String) -> Bool) -> [PrunePlan.Policy] {
        policies.compactMap { name, policy in
            guard repositories[policy.repository].map({ isHere($0.location) }) ?? false else { return nil }
            let sets = policy.guests.compactMap { guests[$0] }
            var taken = PrunePlan.Policy(name: name, rules: policy.retention, zone: policy.timeZone)
            taken.names = Set(sets.flatMap(\.names))
            taken.patterns = sets.flatMap(\.patterns)
            taken.lock = policy.lock
            taken.choosesByTag = sets.contains { !$0.tags.isEmpty }
            if let shortest = ScheduleJudgement.gaps(policy.schedule, window: policy.window)?.lowerBound {
                taken.runsPerDay = max(1, 86_400 / max(1, shortest))
            }
            return taken
        }.sorted { $0.name < $1.name }
    }

    /// For how long what is forgotten of a repository can be had back, in seconds: the longest that the file says.
    ///
    /// - Parameter isHere: whether a configured location is that repository.
    package func undoTime(where isHere: (String) -> Bool) -> Int {
        repositories.values.filter { isHere($0.location) }.map(\.undoTime).max() ?? ConfiguredRepository.usualUndoTime
    }

    /// Names of the policies that cover a guest, sorted.
    ///
    /// - Parameters:
    ///   - name: the guest's name.
    ///   - connection: by what it is reached.
    ///   - tags: of libvirt, as its definition has them.
    package func policies(covering name: String, _ connection: GuestConnection, tags: Set<String> = []) -> [String] {
        policies.filter { _, policy in
            policy.guests.contains { guests[$0]?.selects(name, connection, tags: tags) ?? false }
        }.map(\.key).sorted()
    }
}

/// Where points are kept.
package struct ConfiguredRepository: Hashable, Sendable {
    /// An absolute path.
    package let location: String
    /// The file with the writer's credential.
    package let credentialFile: String
    /// The file with the maintainer's credential, with which the agent frees what nothing keeps; `nil` if not.
    package let maintainerFile: String?
    /// For how long what a policy forgets can be had back, in seconds.
    package let undoTime: Int

    /// How often everything in it is read and checked, in seconds; `nil` for never.
    package let verifyEvery: Int?
    /// Bytes a second that this reads at most; `nil` for no limit.
    package let verifyRate: UInt64?

    /// For how long forgotten points can be had back where the file does not say: a week.
    package static let usualUndoTime = 7 * 86_400
}

/// By what guests are reached.
package enum GuestConnection: Hashable, Sendable {
    /// The libvirt of that URI.
    case libvirt(uri: String)
    /// The monitor of one QEMU, and its agent's socket if there is one: absolute paths.
    case monitor(socket: String, agent: String?)
    /// Xen's own toolstack.
    case xen
}

/// Guests of one connection: by name, by pattern, or by tag.
package struct GuestSelection: Hashable, Sendable {
    /// By what they are reached.
    package let connection: GuestConnection
    /// Names.
    package let names: [String]
    /// Patterns of names.
    package let patterns: [NamePattern]
    /// Tags of libvirt.
    package let tags: [String]
    /// Names of disks that are left out of each.
    package let excludedDisks: [String]

    /// Whether a guest is one of them.
    package func selects(_ name: String, _ connection: GuestConnection, tags: Set<String>) -> Bool {
        guard connection == self.connection else { return false }
        return names.contains(name) || patterns.contains { $0.matches(name) } || !tags.isDisjoint(with: self.tags)
    }
}

/// How much a loss would hurt: the first tier is run first and may lose least.
package struct ProtectionTier: Hashable, Sendable {
    /// In words.
    package let name: String
    /// The largest RPO that a policy of it may have, in seconds.
    package let largestRPO: Int
}

/// What is done for some guests, when, and for how long it is kept.
package struct BackupPolicy: Hashable, Sendable {
    /// Names of sets of guests.
    package internal(set) var guests: [String]
    /// The repository's name.
    package internal(set) var repository: String
    /// The tier's number.
    package internal(set) var tier: Int
    /// How old the newest point may become, in seconds.
    package internal(set) var rpo: Int
    /// When its guests are due.
    package internal(set) var schedule: Schedule
    /// By whose clock.
    package internal(set) var timeZone: TimeZone
    /// The largest delay of a guest, in seconds.
    package internal(set) var jitter: Int
    /// When runs may be under way; `nil` for always.
    package internal(set) var window: BackupWindow?
    /// What is kept.
    package internal(set) var retention: RetentionRules
    /// For how long no sweep lets its points go, whatever is said, in seconds after their runs; 0 for not at all.
    package internal(set) var lock: Int
    /// What is brought to rest for the instant.
    package internal(set) var quiesce: QuiesceWish
    /// Whether memory and device state are taken too.
    package internal(set) var takesMemory: Bool
    /// Of what a list of changes calls unchanged, so much is read and compared, in percent.
    package internal(set) var samplePercent: Int
    /// After so many points made from changes everything is read again; 0 for never.
    package internal(set) var fullReadEvery: Int
    /// What its runs may ask of the host.
    package internal(set) var limits: RunLimits
    /// Run before the guest is captured; when it fails, there is no point.
    package internal(set) var before: RunHook?
    /// Run afterwards, whatever became of the run.
    package internal(set) var after: RunHook?
}

/// What is brought to rest for the instant, as `dozo backup --quiesce` has it.
package enum QuiesceWish: String, Hashable, Sendable, CaseIterable {
    /// File systems, when the guest agent answers.
    case auto
    /// File systems, or else there is no point.
    case require
    /// Applications too, or else there is no point.
    case application
    /// Nothing.
    case never
}

/// Hours of the day in which runs may be under way, by the policy's clock.
package struct BackupWindow: Hashable, Sendable {
    /// Minutes after midnight, 0…1439.
    package let from: Int
    /// Minutes after midnight, 0…1439, not ``from``; before it when the window lies over midnight.
    package let to: Int

    /// How long it is, in minutes by the clock on the wall.
    package var minutes: Int { (to - from + 1440) % 1440 }

    /// Whether a minute of the day lies in it; its end does not.
    package func contains(minute: Int) -> Bool { (minute - from + 1440) % 1440 < minutes }
}

/// What the runs of a policy may ask of the host.
package struct RunLimits: Hashable, Sendable {
    /// Bytes a second that are read of guests; `nil` for no limit.
    package internal(set) var read: UInt64?
    /// Bytes a second that are stored; `nil` for no limit.
    package internal(set) var store: UInt64?
    /// Workers of one run, each with a core and the memory of a region; `nil` for what the host has.
    package internal(set) var workers: Int?
    /// How far other programs go first, 0…19.
    package internal(set) var nice = 10
    /// Guests of the policy that are run at once.
    package internal(set) var concurrency = 1
}

/// A command around a run.
package struct RunHook: Hashable, Sendable {
    /// The program, an absolute path, and its arguments; no shell reads them.
    package let command: [String]
    /// Seconds after which it is ended.
    package let timeLimit: Int

    /// A command; see the properties.
    package init(command: [String], timeLimit: Int) {
        self.command = command
        self.timeLimit = timeLimit
    }
}
