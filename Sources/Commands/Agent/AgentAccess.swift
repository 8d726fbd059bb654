import Effects
import Foundation

/// Where the agent is asked, by whom, and what.
enum AgentAccess {
    /// Members of this group may ask the agent for everything, besides root and the agent's own user.
    static let group = "dozo"

    /// The socket's path when nobody names one: in `/run/dozo` for root, else in the user's runtime folder, or in
    /// Dozo's state.
    static func usualSocket() throws -> String {
        if HostPaths.isRoot, HostPaths.isFolder("/run/dozo") { return "/run/dozo/agent.sock" }
        if !HostPaths.isRoot, let folder = Environment["XDG_RUNTIME_DIR"], folder.hasPrefix("/") {
            return "\(folder)/dozo-agent.sock"
        }
        return "\(try HostContext.stateFolder())/\(AgentFolder.name)/agent.sock"
    }

    /// Where a person's question goes: to their own agent if there is one, else to the host's.
    static func socketToAsk(_ named: String?) throws -> String {
        if let named { return HostPaths.absolute(named) }
        let own = try usualSocket()
        let host = "/run/dozo/agent.sock"
        return HostPaths.exists(own) || !HostPaths.exists(host) ? own : host
    }

    /// Whether a user may ask an agent of another one.
    static func isAllowed(_ peer: SocketPeer, agent user: UInt32, group: UInt32?) -> Bool {
        if peer.user == 0 || peer.user == user { return true }
        return group.map { peer.groups.contains($0) } ?? false
    }
}

/// A question to the agent: one line of JSON.
struct AgentQuestion: Codable {
    enum Verb: String, Codable {
        case status
        case run
        case pause
        case resume
        case skip
    }

    let ask: Verb
    /// Names of guests.
    var guests: [String]?
    /// Names of policies.
    var policies: [String]?
    /// Everything.
    var all: Bool?
    /// For a pause: until when, seconds since 1970; without it until it is taken back.
    var until: Int?
}

/// The answer: one line of JSON.
struct AgentAnswer: Codable {
    /// An exit status of dozo; 0 for done.
    var status: Int32
    /// What was done or is wrong, a sentence each.
    var says: [String]
    /// For ``AgentQuestion/Verb/status``.
    var state: AgentStatusDocument?
}

/// How the agent stands. The names are frozen at the first release.
struct AgentStatusDocument: Codable {
    struct Run: Codable {
        let run: String
        let guest: String
        let policy: String
        let repository: String
        let step: String
        let began: String
        let started_by: String
        let stops_because: String?
    }
    struct Job: Codable {
        let guest: String
        let connection: String
        let policy: String
        let tier: Int
        let repository: String
        /// running, due, unfinished, waiting, paused or gone.
        let state: String
        let due: String?
        /// When it is due again, or tried again after a failure.
        let next: String?
        let last_start: String?
        let last_point: String?
        let age_seconds: Int?
        let rpo_seconds: Int
        /// How old the last point is in multiples of the RPO: <1, <=2, <=4, >4.
        let objective_class: String
    }
    struct Pause: Codable {
        let kind: String
        let name: String
        let until: String?
    }
    struct Guest: Codable {
        let name: String
        let connection: String
    }
    struct Problem: Codable {
        let kind: String
        let guest: String?
        let severity: String
        let sentence: String
        let remedy: String?
        let since: String
    }

    /// When the agent does what it does of its own accord in a repository.
    struct Repository: Codable {
        let name: String
        /// Absent when the agent has no maintainer's credential for it: then nobody prunes.
        let next_prune: String?
        /// Absent when the file asks for none.
        let next_verification: String?
    }

    /// What waits for the approval of persons in a repository.
    struct Approvals: Codable {
        let repository: String
        let requests: Int
        /// How many of which kind: forget, rules, unlock, person, requirement, revocation.
        let kinds: [String: Int]
        /// Since when the oldest waits.
        let since: String
        /// How to see them.
        let look: String
    }

    let version: String
    let process: Int32
    let since: String
    let config: String
    /// What is wrong with the file as it is now, when an earlier one counts.
    let config_problem: String?
    let stopping: String?
    let runs: [Run]
    let jobs: [Job]
    let pauses: [Pause]
    /// Guests that no policy covers.
    let uncovered: [Guest]
    /// Connections whose guests are not known, and why.
    let unreachable: [String: String]
    let problems: [Problem]
    /// Absent from the answers of older agents.
    let approvals: [Approvals]?
    /// Absent from the answers of older agents.
    let repositories: [Repository]?
}
