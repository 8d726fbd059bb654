import Effects
import Jobs

/// What `dozo backup` is told for a guest of a policy: the same words that a person would type.
struct BackupArguments {
    /// Behind the program's name.
    let words: [String]

    /// - Parameters:
    ///   - key: guest and policy.
    ///   - policy: what that policy says.
    ///   - excluded: names of disks that are left out.
    ///   - mark: the policy's revision.
    ///   - cause: who or what began it.
    init(
        _ key: JobKey, _ policy: BackupPolicy, repository: ConfiguredRepository, excluded: [String], mark: String,
        cause: RunCause
    ) {
        var words = [
            "backup", "--repository", repository.location, "--key-file", repository.credentialFile, "--json", "--quiet",
        ]
        switch key.guest.connection {
        case .libvirt(let uri): words += ["--domain", key.guest.name, "--connect", uri]
        case .monitor(let socket, let agent):
            words += ["--qmp", socket, "--guest", key.guest.name]
            if let agent { words += ["--agent", agent] }
        case .xen: words += ["--xl", key.guest.name]
        }
        for disk in excluded { words += ["--exclude", disk] }
        if policy.takesMemory { words += ["--with-memory"] }
        words += ["--policy", mark.isEmpty ? key.policy : "\(key.policy)@\(mark)", "--started-by", cause.text]
        words += [
            "--quiesce", policy.quiesce.rawValue, "--sample", "\(policy.samplePercent)", "--full-read-every",
            "\(policy.fullReadEvery)", "--nice", "\(policy.limits.nice)",
        ]
        if let read = policy.limits.read { words += ["--limit-read", "\(read)"] }
        if let store = policy.limits.store { words += ["--limit-write", "\(store)"] }
        if let workers = policy.limits.workers { words += ["--jobs", "\(min(workers, BackupArguments.mostJobs))"] }
        self.words = words
    }

    /// What `--jobs` takes at most.
    private static let mostJobs = 16
}

/// What a backup said when it was done, as far as the agent asks.
struct BackupResult: Decodable {
    struct Point: Decodable {
        let id: String
        /// RFC 3339.
        let taken_at: String
        let consistency: String
        let trust: String
    }
    struct Phase: Decodable {
        let name: String
        let seconds: Double
    }

    struct LeftOut: Decodable {
        let name: String
        let why: String
    }

    struct Churn: Decodable {
        struct Finding: Decodable {
            let disk: String
            /// First byte and number of bytes of each stretch.
            let ranges: [[UInt64]]
        }
        let findings: [Finding]?
        let last_clean_point: String?
        let last_clean_at: String?
        let last_clean_held: Bool?
    }

    let point: Point
    /// What is thought of what the guest has written.
    let churn: Churn?
    /// Disks that nobody meant to leave out.
    let left_out: [LeftOut]?
    let read_bytes: UInt64
    let read_again_bytes: UInt64?
    let changed_bytes: UInt64
    let new_bytes: UInt64
    let stored_bytes: UInt64
    let phases: [Phase]?
}

/// What a command said when it failed: the last line of its messages, under `--json`.
struct CommandComplaint: Decodable {
    let status: Int32
    let error: String
    let read_bytes: UInt64?
    let read_again_bytes: UInt64?
    let new_bytes: UInt64?
    let stored_bytes: UInt64?
}
