import Jobs
import Notices

/// What the agent does from time to time beside the runs, and when it was done last. Times are seconds since 1970.
struct DailyRounds {
    /// What was dealt with of the time of the report.
    var report: ScheduleCursor
    /// When a repository was last tidied, by name.
    var tidied: [String: Int] = [:]

    /// When all of a repository was last found sound, by name; from the agent's beginning on, before it was.
    var verified: [String: Int] = [:]
    /// When that was last tried.
    var verifyTried: [String: Int] = [:]

    /// When it was last counted how much repositories hold.
    var measured: Int?

    /// Seconds between two rounds of tidying.
    static let tidyInterval = 86_400
    /// So long a round waits for runs into the same repository to end; then it goes beside them.
    static let tidyPatience = 6 * 3600
    /// Seconds after a failed round before the next one.
    static let tidyRetry = 3600

    /// An agent that is new: the first report is that of the next morning, the first round after a day.
    init(now: Int) { report = ScheduleCursor(seen: now) }

    /// For the state folder.
    var document: JSONDocument {
        .members(
            ("report", .number(Int64(report.seen))),
            ("tidied", DailyRounds.document(tidied)), ("verified", DailyRounds.document(verified)),
            ("verify-tried", DailyRounds.document(verifyTried)),
            ("measured", measured.map { .number(Int64($0)) }))
    }

    private static func document(_ times: [String: Int]) -> JSONDocument {
        .object(times.sorted { $0.key < $1.key }.map { .init($0.key, .number(Int64($0.value))) })
    }

    private static func times(_ document: JSONDocument?) -> [String: Int] {
        guard case .object(let members)? = document else { return [:] }
        return Dictionary(
            members.compactMap { member in member.value.number.map { (member.name, Int($0)) } },
            uniquingKeysWith: { first, _ in first })
    }

    /// What was written down; what is missing begins now.
    init(document: JSONDocument?, now: Int) {
        report = ScheduleCursor(seen: document?["report"]?.number.map(Int.init(_:)) ?? now)
        tidied = DailyRounds.times(document?["tidied"])
        verified = DailyRounds.times(document?["verified"])
        verifyTried = DailyRounds.times(document?["verify-tried"])
        measured = document?["measured"]?.number.map(Int.init(_:))
    }

    /// Repositories of which everything is to be read and checked now. One whose turn it was and that was not found
    /// sound is tried again after a day.
    mutating func dueForVerifying(_ configuration: AgentConfiguration, now: Int) -> [String] {
        configuration.repositories.filter { $0.value.verifyEvery != nil }.keys.sorted().filter { name in
            verified[name] = verified[name].map { min($0, now) } ?? now
            return nextVerifying(of: name, configuration, now: now) == now
        }
    }

    /// When a repository is tidied next, if no run is in the way; `nil` when the agent has not the credential for it.
    func nextTidying(of name: String, _ configuration: AgentConfiguration, now: Int) -> Int? {
        guard configuration.repositories[name]?.maintainerFile != nil else { return nil }
        return max(now, min(tidied[name] ?? now, now) + DailyRounds.tidyInterval)
    }

    /// When all of a repository is read and checked next; `nil` when the file asks for none.
    func nextVerifying(of name: String, _ configuration: AgentConfiguration, now: Int) -> Int? {
        guard let interval = configuration.repositories[name]?.verifyEvery else { return nil }
        let retry = verifyTried[name].map { $0 <= now ? $0 + DailyRounds.verifyRetry : now } ?? now
        return max(now, min(verified[name] ?? now, now) + interval, retry)
    }

    /// Seconds before a verification that found damage, or could not be made, is made again.
    static let verifyRetry = 86_400

    /// Repositories to be tidied now.
    ///
    /// - Parameter busy: names of those with runs under way.
    mutating func dueForTidying(_ configuration: AgentConfiguration, busy: Set<String>, now: Int) -> [String] {
        configuration.repositories.filter { $0.value.maintainerFile != nil }.keys.sorted().filter { name in
            guard let last = tidied[name] else {
                tidied[name] = now
                return false
            }
            // A clock that was ahead must not keep a round away for years.
            guard last <= now else {
                tidied[name] = now
                return false
            }
            let waited = now - last
            return waited >= DailyRounds.tidyInterval
                && (!busy.contains(name) || waited >= DailyRounds.tidyInterval + DailyRounds.tidyPatience)
        }
    }
}
