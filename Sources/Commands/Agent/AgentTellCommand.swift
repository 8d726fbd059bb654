import ArgumentParser
import Effects
import Jobs
import Notices

/// `dozo agent tell`: does what is told arrive?
struct AgentTellCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tell", abstract: "Send a test notice to the targets of the configuration file, now.",
        discussion: """
            Needs no agent and goes by no rule. Exit status: 0 all targets took it; 3 some did not; 1 none did; 7 the \
            file is wrong.

            Examples:
              dozo agent tell
              dozo agent tell operators --config ./dozo.yaml
            """)

    @Argument(help: ArgumentHelp("Names of targets; all when none is named.", valueName: "target"))
    var targets: [String] = []
    @Option(
        help: ArgumentHelp("The file.", valueName: "file"),
        completion: .file())
    var config = AgentCheckCommand.usualFile
    @Flag(help: "Print one JSON document on standard output.")
    var json = false

    private struct Document: Encodable {
        let target: String
        let delivered: Bool
        let error: String?
    }

    func run() throws {
        let configuration = try AgentService.read(HostPaths.absolute(config), AgentLog(format: .text))
        let known = configuration.noticeSettings.targets
        for name in targets where !known.contains(where: { $0.name == name }) {
            throw CommandFailure(
                .usage,
                "there is no target \(Console.printable(name)), only \(known.map(\.name).joined(separator: ", "))")
        }
        let chosen = known.filter { targets.isEmpty || targets.contains($0.name) }
        guard !chosen.isEmpty else {
            throw CommandFailure(.usage, "\(Console.printable(config)) has no targets below notifications")
        }
        let now = SystemClock.system.wall()
        let host = HostPaths.hostName
        let message = NoticeMessage([
            Notice(
                .agentStarted, .information, NoticeSubject(object: host), at: now,
                "this is a test: notices of dozo on \(host) reach this place", remedy: nil)
        ])
        let courier = NoticeCourier(host: host)
        let documents = chosen.map { target in
            switch courier.send(message, to: target) {
            case .delivered: Document(target: target.name, delivered: true, error: nil)
            case .failed(let why), .refused(let why): Document(target: target.name, delivered: false, error: why)
            }
        }
        if json {
            try Console.json(documents)
        } else {
            for one in documents {
                Console.result("\(one.target): \(Console.printable(one.error ?? "has it"))")
            }
        }
        let missing = documents.count { !$0.delivered }
        guard missing == 0 else {
            throw CommandFailure(
                missing == documents.count ? .failed : .partial,
                "\(Console.count(missing, "target")) did not take the notice")
        }
    }
}
