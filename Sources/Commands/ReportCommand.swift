import ArgumentParser
import Effects
import Jobs
import Notices

/// `dozo report`: what a night came to, which guests are covered, how full everything is.
struct ReportCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "report", abstract: "Report on a night, on the coverage of guests, or on capacity.",
        discussion: """
            Examples:
              dozo report nightly
              dozo report coverage --config ./dozo.yaml
              dozo report capacity -r /backup/dozo
            """,
        subcommands: [ReportNightlyCommand.self, ReportCoverageCommand.self, ReportCapacityCommand.self])
}

/// In which form a report is printed, and by which of the agent's files it is made.
struct ReportOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp("The agent's file; by default \(AgentCheckCommand.usualFile).", valueName: "file"),
        completion: .file())
    var config: String?
    @Flag(help: "Print one JSON document on standard output.")
    var json = false
    @Flag(help: "Print a page of HTML that needs nothing else.")
    var html = false

    func validate() throws {
        guard !(json && html) else { throw ValidationError("give one of --json and --html") }
    }

    /// The agent's file; `nil` when none was named and there is none.
    ///
    /// - Throws: ``CommandFailure``: `failed` for a file that cannot be read, `refused` for one that is wrong.
    func configuration() throws -> AgentConfiguration? { try PolicyCoverage.read(config)?.configuration }

    /// Prints a report in the form that was asked for.
    func show(
        text: @autoclosure () -> String, page: @autoclosure () -> String, document: @autoclosure () -> JSONDocument
    ) {
        if json {
            Console.result(String(decoding: document().encoded, as: UTF8.self))
        } else {
            let whole = html ? page() : text()
            Console.result(whole.hasSuffix("\n") ? String(whole.dropLast()) : whole)
        }
    }
}

/// Where the agent, and whoever reports, keep what happened on this host.
struct HostArchives {
    /// The absolute path of the folder.
    let path: String

    /// That of this host.
    static func usual() throws -> HostArchives { HostArchives(path: try HostContext.stateFolder() + "/agent") }

    /// Records of runs.
    var runs: RunArchive { RunArchive(folder: path + "/runs") }
    /// Daily samples of how full repositories are.
    var capacity: CapacityArchive { CapacityArchive(folder: path + "/capacity") }
}
