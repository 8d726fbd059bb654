import ArgumentParser
import Effects
import Foundation

/// `dozo status`: how the agent and its guests stand.
struct StatusCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "Say how the agent stands, and each guest against its RPO.",
        discussion: """
            Exit status, for monitoring: 0 all is well; 1 no agent answers; 3 the agent runs and something is amiss \
            (a promise is broken, a run failed or is missing, a guest is not covered, the file is wrong).

            Examples:
              dozo status
              dozo status --quiet || echo "look at the backups"
              dozo status --json
            """)

    @OptionGroup var agent: AgentOptions
    @Flag(name: [.short, .long], help: "Print only what is amiss.")
    var quiet = false

    private struct Dead: Encodable {
        let running: Bool
        let error: String
        /// When the agent was last at work; RFC 3339.
        let last_sign: String?
    }

    private struct Living: Encodable {
        let running: Bool
        let amiss: [String]
        let agent: AgentStatusDocument
    }

    func run() throws {
        let answer: AgentAnswer
        do { answer = try agent.ask(AgentQuestion(ask: .status)) } catch let failure as CommandFailure {
            throw try dead(failure)
        }
        guard let state = answer.state else {
            throw CommandFailure(
                ExitStatus(rawValue: answer.status) ?? .failed, answer.says.first ?? "the agent does not say")
        }
        let amiss = StatusCommand.amiss(state)
        if agent.json {
            try Console.json(Living(running: true, amiss: amiss, agent: state))
        } else {
            show(state)
            for line in amiss { Console.result("! \(Console.printable(line))") }
        }
        guard amiss.isEmpty else {
            throw CommandFailure(.partial, "\(Console.count(amiss.count, "thing")) amiss")
        }
    }

    /// A dead agent is found by whoever looks, and says since when.
    private func dead(_ failure: CommandFailure) throws -> CommandFailure {
        let last = AgentFolder.lastBeat(stateFolder: try HostContext.stateFolder())
        let since = last.map { "; it was last at work \(TimeText.local($0))" } ?? ""
        if agent.json {
            try Console.json(Dead(running: false, error: failure.sentence, last_sign: last.map(TimeText.utc)))
        }
        return CommandFailure(.failed, "\(failure.sentence)\(since)")
    }

    /// What somebody should look at, the worst first.
    private static func amiss(_ state: AgentStatusDocument) -> [String] {
        var lines: [String] = []
        if let problem = state.config_problem { lines.append("\(problem); the configuration from before counts") }
        for (connection, why) in state.unreachable.sorted(by: { $0.key < $1.key }) {
            lines.append("the guests of \(connection) are not known: \(why)")
        }
        let told = state.problems.filter { $0.severity != "information" && $0.severity != "notice" }
        lines += told.map { "\($0.severity): \($0.sentence)" }
        // What is seen now and was not told yet.
        func isTold(_ kind: String, _ guest: String) -> Bool {
            told.contains { $0.kind == kind && $0.guest == guest }
        }
        for job in state.jobs where job.objective_class != "<1" && !isTold("objective-missed", job.guest) {
            lines.append("\(job.guest): its newest point is older than the RPO (class \(job.objective_class))")
        }
        for guest in state.uncovered where !isTold("unprotected", guest.name) {
            lines.append("\(guest.name) of \(guest.connection) is not covered by any policy")
        }
        return lines
    }

    private func show(_ state: AgentStatusDocument) {
        guard !quiet else { return }
        Console.result(
            "agent \(state.version), process \(state.process), since \(StatusCommand.local(state.since) ?? state.since)"
                + (state.stopping.map { ", stopping: \(Console.printable($0))" } ?? ""))
        for run in state.runs {
            Console.result(
                "\(Console.printable(run.guest)) by \(run.policy): \(run.step) since "
                    + "\(StatusCommand.local(run.began) ?? run.began)"
                    + (run.stops_because.map { ", stopping: \(Console.printable($0))" } ?? ""))
        }
        for pause in state.pauses {
            let until = pause.until.flatMap(StatusCommand.local).map { " until \($0)" } ?? ""
            Console.result("paused\(until): \(pause.kind) \(Console.printable(pause.name))")
        }
        for waiting in state.approvals ?? [] {
            let kinds = waiting.kinds.sorted { $0.key < $1.key }.map { "\($0.value) \($0.key)" }
            Console.result(
                "\(Console.count(waiting.requests, "request")) (\(kinds.joined(separator: ", "))) of "
                    + "\(Console.printable(waiting.repository)) \(waiting.requests == 1 ? "waits" : "wait") for "
                    + "approval since \(StatusCommand.local(waiting.since) ?? waiting.since): "
                    + Console.printable(waiting.look))
        }
        for repository in state.repositories ?? [] {
            let prune = repository.next_prune.flatMap(StatusCommand.local) ?? "never, it has no maintainer's credential"
            let verification =
                repository.next_verification.flatMap(StatusCommand.local) ?? "never, no verify-every in the file"
            Console.result(
                "repository \(Console.printable(repository.name)): next prune and sweep \(prune); next verification "
                    + verification)
        }
        guard !state.jobs.isEmpty else { return Console.result("no guest is covered by a policy") }
        Console.table(
            ["GUEST", "POLICY", "TIER", "STATE", "LAST POINT", "AGE", "RPO", "NEXT"],
            state.jobs.map { job in
                [
                    Console.printable(job.guest), job.policy, "\(job.tier)", job.state,
                    job.last_point.flatMap(StatusCommand.local) ?? "none",
                    job.age_seconds.map { Console.duration(Double($0)) } ?? "-",
                    "\(StatusCommand.word(of: job)) of " + Console.duration(Double(job.rpo_seconds)),
                    job.next.flatMap(StatusCommand.local) ?? "never",
                ]
            })
    }

    /// How a guest stands to its RPO; a new one without a point has not had the time to miss it.
    private static func word(of job: AgentStatusDocument.Job) -> String {
        guard job.objective_class == "<1" else { return job.objective_class }
        return job.last_point == nil ? "no point yet" : "kept"
    }

    private static func local(_ text: String) -> String? { TimeText.parse(text).map(TimeText.local) }
}
