import ArgumentParser
import Effects
import Foundation
import Jobs

/// `dozo agent`: the service that makes backups by itself.
struct AgentCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "agent", abstract: "The agent that makes backups by itself, and its configuration.",
        discussion: """
            Example:
              dozo agent check --config /etc/dozo/dozo.yaml
              dozo agent run --config /etc/dozo/dozo.yaml
            """,
        subcommands: [AgentCheckCommand.self, AgentRunCommand.self, AgentTellCommand.self])
}

/// `dozo agent check`: is the configuration file right, and what does it come to?
struct AgentCheckCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check", abstract: "Check the agent's configuration file without touching anything else.",
        discussion: """
            Reads the one file and judges it as a whole: keys, values, names, and each policy against its tier and its \
            window. No repository, guest or network is asked.

            Exit status: 0 the file is right, notes or not; 1 it cannot be read; 2 wrong usage; 7 something is wrong \
            with it.

            Examples:
              dozo agent check
              dozo agent check --config ./dozo.yaml --json
            """)

    /// Where the agent looks for its file.
    static let usualFile = "/etc/dozo/dozo.yaml"

    @Option(help: ArgumentHelp("The file.", valueName: "file"))
    var config = usualFile

    @Flag(help: "Print one JSON document on standard output.")
    var json = false

    private struct Document: Encodable {
        struct Problem: Encodable {
            let line: Int
            let key: String
            let sentence: String
            let remedy: String

            init(_ problem: ConfigurationProblem) {
                line = problem.line
                key = Console.printable(problem.key)
                sentence = Console.printable(problem.sentence)
                remedy = Console.printable(problem.remedy)
            }
        }
        struct Policy: Encodable {
            let name: String
            let tier: Int
            let tier_name: String
            let rpo_seconds: Int
            let guests: [String]
            let repository: String
            let time_zone: String
            /// RFC 3339, UTC.
            let next_due: String?
        }
        let file: String
        let is_right: Bool
        let errors: [Problem]
        let notes: [Problem]
        /// Errors and notes beyond those that are listed.
        let left_out: Int
        let policies: [Policy]
    }

    func run() throws {
        let bytes: [UInt8]
        do { bytes = try ConfigurationFile.bytes(config) } catch {
            throw CommandFailure(
                .failed, "\(error.sentence); give the agent's file with --config, or begin with the sample")
        }
        let reading = AgentConfiguration.read(bytes)
        let isOpen = HostPaths.isChangeableByOthers(HostPaths.absolute(config))
        let now = Int(clamping: SystemClock.system.wall() / 1_000_000_000)
        let document = Document(
            file: config, is_right: reading.configuration != nil, errors: reading.errors.map(Document.Problem.init),
            notes: (isOpen ? [AgentCheckCommand.openFile] : []).map(Document.Problem.init)
                + reading.notes.map(Document.Problem.init), left_out: reading.leftOut,
            policies: policies(reading.configuration, now: now))
        if json { try Console.json(document) } else { show(reading, document) }
        guard reading.configuration != nil else {
            throw CommandFailure(
                .refused,
                "\(config) is not right: \(Console.count(reading.errors.count, "error")); the agent does not run "
                    + "with it"
            )
        }
    }

    /// Told when the file's commands would be run for whoever can write it.
    private static let openFile = ConfigurationProblem(
        line: 1, key: "",
        sentence: "others than root can change this file or its folder, and its commands are run as root",
        remedy: "chown root and chmod go-w both")

    private func policies(_ configuration: AgentConfiguration?, now: Int) -> [Document.Policy] {
        guard let configuration else { return [] }
        return configuration.policies.sorted { ($0.value.tier, $0.key) < ($1.value.tier, $1.key) }.map { name, policy in
            Document.Policy(
                name: name, tier: policy.tier, tier_name: configuration.tiers[policy.tier]?.name ?? "",
                rpo_seconds: policy.rpo, guests: policy.guests, repository: policy.repository,
                time_zone: policy.timeZone.identifier,
                next_due: policy.schedule.next(after: now, zone: policy.timeZone)
                    .map { TimeText.utc(UInt64(max(0, $0)) * 1_000_000_000) })
        }
    }

    private func show(_ reading: ConfigurationReading, _ document: Document) {
        for problem in reading.errors { Console.result(Console.printable(problem.text(file: config))) }
        for problem in document.notes {
            Console.result(
                "note: \(Console.printable(config)):\(problem.line): \(problem.key.isEmpty ? "" : "\(problem.key): ")"
                    + "\(problem.sentence); \(problem.remedy)")
        }
        if reading.leftOut > 0 { Console.result("and \(reading.leftOut) more like these") }
        guard let configuration = reading.configuration else { return }
        let repositories = configuration.repositories.count
        let policies = configuration.policies.count
        let counts = [
            repositories == 1 ? "1 repository" : "\(repositories) repositories",
            Console.count(configuration.guests.count, "set") + " of guests",
            Console.count(configuration.tiers.count, "tier"), policies == 1 ? "1 policy" : "\(policies) policies",
            Console.count(configuration.targets.count, "target") + " of notifications",
        ]
        Console.result("\(Console.printable(config)) is right: \(counts.joined(separator: ", "))")
        guard !document.policies.isEmpty else { return }
        Console.table(
            ["POLICY", "TIER", "RPO", "NEXT", "GUESTS", "REPOSITORY"],
            document.policies.map { policy in
                [
                    policy.name, "\(policy.tier) \(Console.printable(policy.tier_name))",
                    Console.duration(Double(policy.rpo_seconds)),
                    AgentCheckCommand.local(policy.next_due, policy.time_zone),
                    policy.guests.joined(separator: " "), policy.repository,
                ]
            })
    }

    /// A time by the clock of a policy's place, with its distance from UTC.
    private static func local(_ time: String?, _ zone: String) -> String {
        guard let seconds = time.flatMap(TimeText.begin).map({ $0 / 1_000_000_000 }) else { return "never" }
        let formatter = DateFormatter()
        formatter.locale = Locale(identifier: "en_US_POSIX")
        formatter.timeZone = TimeZone(identifier: zone)
        formatter.dateFormat = "yyyy-MM-dd HH:mm xxx"
        return formatter.string(from: Date(timeIntervalSince1970: TimeInterval(seconds)))
    }
}
