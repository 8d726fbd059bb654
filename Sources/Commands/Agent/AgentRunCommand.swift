import ArgumentParser
import Effects
import Jobs
import Synchronization

/// `dozo agent run`: the service.
struct AgentRunCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run", abstract: "Make backups as the configuration file says, until a signal ends it.",
        discussion: """
            Runs in the foreground, as services do: systemctl start dozo-agent starts it, and whoever has no systemd \
            any supervisor. SIGHUP reads the file again without touching a run that is under way; SIGTERM and SIGINT \
            stop runs cleanly, and the next start goes on with them. A backup outlives an agent that is killed, and \
            the next one finds it again. One agent of a host runs at a time.

            Exit status: 0 it was stopped; 1 it could not begin; 2 wrong usage; 7 the file is missing or wrong, or \
            another agent runs.

            Examples:
              dozo agent run
              dozo agent run --config ./dozo.yaml --log-format json
            """)

    @Option(
        help: ArgumentHelp("The file.", valueName: "file"),
        completion: .file())
    var config = AgentCheckCommand.usualFile
    @Option(
        help: ArgumentHelp(
            "Where `dozo status` and its like reach it; by default /run/dozo/agent.sock for root.",
            valueName: "socket"), completion: .file())
    var socket: String?
    @Option(help: ArgumentHelp("One line an event: text or json.", valueName: "format"))
    var logFormat = AgentLog.Format.text
    @Option(
        help: ArgumentHelp(
            "Guests that are backed up at once on this host, 1 to 64; by default one a processor, at least 2. One "
                + "place is kept for the first tier.", valueName: "n"))
    var concurrency: Int?

    func validate() throws {
        guard concurrency.map({ (1...64).contains($0) }) ?? true else {
            throw ValidationError("--concurrency is 1 to 64")
        }
    }

    func run() throws {
        Interruption.reloadOnHangup()
        let service = try AgentService(
            AgentService.Options(
                configFile: HostPaths.absolute(config),
                socket: try socket.map(HostPaths.absolute) ?? AgentAccess.usualSocket(),
                log: AgentLog(format: logFormat),
                places: Agenda.Places(host: concurrency ?? max(2, HostPaths.processorCount))))
        try service.run()
    }
}
