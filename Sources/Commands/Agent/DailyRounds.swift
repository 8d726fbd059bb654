import Jobs
import Notices

/// What the agent does once a day beside the runs, and when it was done last. Times are seconds since 1970.
struct DailyRounds {
    /// What was dealt with of the time of the report.
    var report: ScheduleCursor
    /// When a repository was last tidied, by name.
    var tidied: [String: Int] = [:]

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
            (
                "tidied",
                .object(tidied.sorted { $0.key < $1.key }.map { .init($0.key, .number(Int64($0.value))) })
            ))
    }

    /// What was written down; what is missing begins now.
    init(document: JSONDocument?, now: Int) {
        report = ScheduleCursor(seen: document?["report"]?.number.map(Int.init(_:)) ?? now)
        guard case .object(let members)? = document?["tidied"] else { return }
        for member in members { tidied[member.name] = member.value.number.map(Int.init(_:)) }
    }

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
