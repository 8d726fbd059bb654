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
              dozo lock -r /backup/dozo --all --for 30 --yes

            With --all every point is locked, those of later backups too, each until so many days after its own run; \
            of several such locks the longest counts.

            A lock can be made longer, and never shorter or be taken back, save by persons (`dozo unlock`). A clock \
            that jumps does not end it: the clock of whoever sweeps is believed up to a day ahead of what another key \
            has signed. It binds sweeps, those of older programs too; whoever may delete the repository's files can \
            delete them all the same. The next sweep, as root, sets the immutable flag on the packs of locked points \
            where the file system has it. Only a maintainer's credential or the passphrase may say this.
            """)

    @OptionGroup var options: RepositoryOptions
    @Argument(help: ArgumentHelp("Ids, beginnings of ids, GUEST@latest, or GUEST@TIME of one.", valueName: "point"))
    var points: [String] = []
    @Flag(help: "All points of the repository, also those of later backups; with --for.")
    var all = false
    @Option(
        name: .customLong("for"),
        help: ArgumentHelp("With --all: days after the end of a point's run, 1 to 10950.", valueName: "days"))
    var days: Int?
    @Option(
        help: ArgumentHelp(
            "The last day or moment of it, such as 2026-11-24 or 2026-11-24T23:59Z; 30 years ahead at most.",
            valueName: "time"))
    var until: String?
    @Option(help: ArgumentHelp("Why, for whoever looks later.", valueName: "text"))
    var reason: String?
    @Flag(help: "Do it; without this the command only says what it would do.")
    var yes = false

    /// Longest lock, in nanoseconds: a date that was mistyped by a century cannot be taken back.
    private static let longest = StandingLockRecord.longest
    private static let day: UInt64 = 86_400 * 1_000_000_000

    func validate() throws {
        guard all ? points.isEmpty && until == nil && days != nil : !points.isEmpty && until != nil && days == nil
        else {
            throw ValidationError("name points and give --until TIME, or say --all --for DAYS")
        }
        guard (1...10_950).contains(days ?? 1) else { throw ValidationError("--for is 1 to 10950 days") }
        guard until.map({ TimeText.parse($0) != nil }) ?? true else {
            throw ValidationError(
                "\(Console.printable(until ?? "")) is no time; write 2026-11-24, 2026-11-24T23:59, or with Z or +09:00")
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

    private struct StandingDocument: Encodable {
        /// For how long every point is locked after its run.
        let locked_for_days: Int
        let done: Bool
    }

    /// All points, of now and of later.
    private func lockAll(for days: Int, now: UInt64) async throws {
        let (repository, view) = try await options.openAndLook()
        let standing = view.said.standingLock(at: repository.decisionTimes(view, now: now)) ?? 0
        let duration = UInt64(days) * LockCommand.day
        if yes {
            try await MaintenanceSession(repository, randomness: .system).lockAll(
                for: duration, at: now, reason: reason ?? "")
        }
        let longer = Int(max(duration, standing) / LockCommand.day)
        if options.json {
            try Console.json(StandingDocument(locked_for_days: longer, done: yes))
        } else {
            Console.result(
                "every point \(yes ? "is" : "would be") locked for \(Console.count(longer, "day")) after its run, "
                    + "those of later backups too")
        }
        guard yes else {
            throw CommandFailure(.refused, "nothing was changed, and a lock cannot be taken back; say --yes to do it")
        }
    }

    func run() async throws {
        let now = SystemClock.system.wall()
        if let days { return try await lockAll(for: days, now: now) }
        guard let end = until.flatMap(TimeText.parse) else { return }
        let name = Console.printable(until ?? "")
        guard end > now else { throw CommandFailure(.usage, "--until \(name) lies in the past; nothing was locked") }
        guard end - now <= LockCommand.longest else {
            throw CommandFailure(
                .usage,
                "--until \(name) lies more than 30 years ahead, and a lock cannot be taken back; nothing was locked")
        }
        let (repository, view) = try await options.openAndLook()
        let chosen = try PointArgument.findMeant(points, in: view)
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
                let longer = max(end, view.said.lock(of: point.record, at: times) ?? 0)
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
