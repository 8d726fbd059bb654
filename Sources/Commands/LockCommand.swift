import ArgumentParser
import BackupModel
import Effects
import Repository
import RepositoryFormat

/// `dozo lock`: no sweep lets points go before a date, and nothing shortens that.
struct LockCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "lock", abstract: "Let no sweep remove restore points before a date.",
        discussion: """
            Example:
              dozo lock -r /backup/dozo web01@2026-11-23 --until 2035-12-31 --yes

            A lock can be made longer, and never shorter or be taken back. A clock that jumps does not end it: the \
            clock of whoever sweeps is believed up to a day ahead of what another key has signed. It binds sweeps, \
            those of older programs too; whoever may delete the repository's files can delete them all the same. Only \
            a maintainer's credential or the passphrase may say this.
            """)

    @OptionGroup var options: RepositoryOptions
    @Argument(help: ArgumentHelp("Ids, beginnings of ids, GUEST@latest or GUEST@TIME.", valueName: "point"))
    var points: [String]
    @Option(
        help: ArgumentHelp(
            "The last day or moment of it, such as 2026-11-24 or 2026-11-24T23:59Z; 30 years ahead at most.",
            valueName: "time"))
    var until: String
    @Option(help: ArgumentHelp("Why, for whoever looks later.", valueName: "text"))
    var reason: String?
    @Flag(help: "Do it; without this the command only says what it would do.")
    var yes = false

    /// Longest lock, in nanoseconds: a date that was mistyped by a century cannot be taken back.
    private static let longest: UInt64 = 30 * 366 * 86_400 * 1_000_000_000

    func validate() throws {
        guard !points.isEmpty else { throw ValidationError("name at least one point") }
        guard TimeText.parse(until) != nil else {
            throw ValidationError(
                "\(Console.printable(until)) is no time; write 2026-11-24, 2026-11-24T23:59, or with Z or +09:00")
        }
        guard (reason ?? "").utf8.count <= FormatLimits.textByteCount else {
            throw ValidationError("--reason has more than \(FormatLimits.textByteCount) bytes")
        }
    }

    private struct Document: Encodable {
        let points: [String]
        let locked_until: String
        let done: Bool
    }

    func run() async throws {
        let now = SystemClock.system.wall()
        guard let end = TimeText.parse(until), end > now, end - now <= LockCommand.longest else {
            throw CommandFailure(.usage, "--until lies in the past, or more than 30 years ahead")
        }
        let (repository, view) = try await options.openAndLook()
        let chosen = try PointArgument.find(points, in: view)
        let identifiers = chosen.map(\.record.identifier)
        if yes {
            let session = try MaintenanceSession(repository, randomness: .system)
            try await session.lock(identifiers, until: end, at: now, reason: reason ?? "")
        }
        if options.json {
            try Console.json(
                Document(points: identifiers.map(\.hexadecimal), locked_until: TimeText.utc(end), done: yes))
        } else {
            let times = repository.decisionTimes(view, now: now)
            for point in chosen {
                let longer = max(end, view.said.lock(of: point.record.identifier, at: times) ?? 0)
                Console.result(
                    "\(point.record.identifier.hexadecimal.prefix(12)) of \(Console.printable(point.record.label)) "
                        + "\(yes ? "is" : "would be") locked until \(TimeText.local(longer))")
            }
        }
        guard yes else {
            throw CommandFailure(.refused, "nothing was changed, and a lock cannot be taken back; say --yes to do it")
        }
    }
}
