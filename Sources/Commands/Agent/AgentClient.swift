import ArgumentParser
import Effects
import Foundation
import Jobs

/// How the commands that talk to the agent find it.
struct AgentOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp("The agent's control socket, where it is not the usual one.", valueName: "socket"),
        completion: .file())
    var socket: String?
    @Flag(help: "Print one JSON document on standard output.")
    var json = false

    private static let patience: UInt64 = 10_000_000_000

    /// Asks the agent.
    ///
    /// - Throws: ``CommandFailure``, `failed` when no agent answers.
    func ask(_ question: AgentQuestion) throws -> AgentAnswer {
        let path = try AgentAccess.socketToAsk(socket)
        let clock = SystemClock.system
        let deadline = clock.monotonic() + AgentOptions.patience
        do throws(LineSocket.Failure) {
            let link = try LineSocket(path: path)
            let line = (try? Console.line(question)) ?? ""
            try link.send(Array((line + "\n").utf8), deadline: deadline, clock: clock)
            let bytes = try link.nextLine(deadline: deadline, clock: clock)
            guard let answer = try? JSONDecoder().decode(AgentAnswer.self, from: Data(bytes)) else {
                throw LineSocket.Failure.closed("its answer is not understood")
            }
            return answer
        } catch {
            throw CommandFailure(.failed, AgentOptions.sentence(error, path))
        }
    }

    private static func sentence(_ failure: LineSocket.Failure, _ path: String) -> String {
        switch failure {
        case .unreachable(let why):
            "no agent answers at \(path) (\(why)): is it running (systemctl status dozo-agent), and may you ask it "
                + "(group \(AgentAccess.group))?"
        case .closed(let why): "the agent at \(path) hung up\(why.isEmpty ? "" : ": \(why)")"
        case .timeout: "the agent at \(path) does not answer: see systemctl status dozo-agent"
        case .tooLong: "the agent at \(path) says too much"
        case .cancelled: "interrupted"
        }
    }

    /// Shows what the agent said to an order, and ends with its status.
    func show(_ answer: AgentAnswer) throws {
        if json {
            try Console.json(answer)
        } else {
            for line in answer.says { Console.result(Console.printable(line)) }
        }
        guard answer.status == 0 else {
            throw CommandFailure(
                ExitStatus(rawValue: answer.status) ?? .failed,
                answer.status == ExitStatus.partial.rawValue
                    ? "not all of it could be done" : "nothing of it was done")
        }
    }
}

/// Which guests and policies an order is about.
struct AgentSelection: ParsableArguments {
    @Argument(help: ArgumentHelp("Names of guests.", valueName: "guest"))
    var guests: [String] = []
    @Option(help: ArgumentHelp("A policy; may be repeated.", valueName: "name"))
    var policy: [String] = []
    @Flag(help: "All guests of all policies.")
    var all = false

    func validate() throws {
        guard all || !guests.isEmpty || !policy.isEmpty else {
            throw ValidationError("which? name guests, or --policy NAME, or --all")
        }
        guard !all || guests.isEmpty && policy.isEmpty else {
            throw ValidationError("--all stands alone")
        }
    }

    /// The question about them.
    func question(_ verb: AgentQuestion.Verb) -> AgentQuestion {
        AgentQuestion(ask: verb, guests: guests, policies: policy, all: all)
    }
}

/// `dozo run`: back guests up now.
struct RunCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run", abstract: "Let the agent back guests up now.",
        discussion: """
            The runs follow their policies, but neither schedule nor window nor pause; they begin as soon as there is \
            a place.

            Examples:
              dozo run web01
              dozo run --policy nightly
            """)

    @OptionGroup var selection: AgentSelection
    @OptionGroup var agent: AgentOptions

    func run() throws { try agent.show(try agent.ask(selection.question(.run))) }
}

/// `dozo skip`: leave a run out.
struct SkipCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "skip", abstract: "Let the agent leave out what is due of guests, or else their next run.",
        discussion: """
            A run that is under way goes on. What is left out is kept on record, with who wanted it so.

            Examples:
              dozo skip web01
              dozo skip --policy nightly
            """)

    @OptionGroup var selection: AgentSelection
    @OptionGroup var agent: AgentOptions

    func run() throws { try agent.show(try agent.ask(selection.question(.skip))) }
}

/// `dozo pause`: no runs by themselves for a while.
struct PauseCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pause", abstract: "Let the agent begin no runs of guests by itself, or take that back.",
        discussion: """
            Runs that are under way go on. The RPO of paused guests is still watched: a pause is no excuse. What \
            became due meanwhile is caught up once.

            Examples:
              dozo pause web01 --for 2h
              dozo pause --all
              dozo pause --off --all
            """)

    @OptionGroup var selection: AgentSelection
    @OptionGroup var agent: AgentOptions
    @Option(
        name: .customLong("for"),
        help: ArgumentHelp("How long, such as 30m, 2h, 7d; until it is taken back when left out.", valueName: "time"))
    var length: String?
    @Flag(help: "Take a pause back.")
    var off = false

    func validate() throws {
        guard length.map({ PauseCommand.seconds($0) != nil }) ?? true else {
            throw ValidationError("--for is a time such as 30m, 2h or 7d, a year at most")
        }
        guard !off || length == nil else { throw ValidationError("--off takes a pause back at once") }
    }

    private static let longest = 366 * 86_400

    private static func seconds(_ text: String) -> Int? {
        ConfigurationValue.seconds(text).flatMap { $0 > 0 && $0 <= longest ? $0 : nil }
    }

    func run() throws {
        var question = selection.question(off ? .resume : .pause)
        let now = Int(clamping: SystemClock.system.wall() / 1_000_000_000)
        question.until = length.flatMap(PauseCommand.seconds).map { now + $0 }
        try agent.show(try agent.ask(question))
    }
}
