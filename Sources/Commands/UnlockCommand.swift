import ArgumentParser
import BackupModel
import Effects
import Repository
import RepositoryFormat

/// `dozo unlock`: asks that locks be over.
struct UnlockCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "unlock", abstract: "Ask that locks of restore points be over; persons must approve it.",
        discussion: """
            Example:
              dozo unlock -r /backup/dozo web01@2026-11-23 --reason "case closed" --yes
              dozo unlock -r /backup/dozo --all --yes              the locks of `dozo lock --all`

            It ends the locks that the points have now, once as many persons stand behind it as the owner asks for \
            (`dozo approve`), and lets nothing go by itself. Where the owner asks for no approvals, nothing ends a \
            lock before its date.
            """)

    @OptionGroup var options: RepositoryOptions
    @Argument(help: ArgumentHelp("Ids, beginnings of ids, GUEST@latest, or GUEST@TIME of one.", valueName: "point"))
    var points: [String] = []
    @Flag(help: "The locks that were made for all points with `dozo lock --all`, in place of points.")
    var all = false
    @Option(help: ArgumentHelp("Why, for whoever approves.", valueName: "text"))
    var reason: String?
    @Flag(help: "Ask for it; without this the command only says what it would ask for.")
    var yes = false

    func validate() throws {
        guard points.isEmpty == all else { throw ValidationError("name points, or say --all") }
        guard (reason ?? "").utf8.count <= FormatLimits.textByteCount else {
            throw ValidationError("--reason has more than \(FormatLimits.textByteCount) bytes")
        }
    }

    private struct Document: Encodable {
        let points: [String]
        let request: String?
        let done: Bool
    }

    func run() async throws {
        let (repository, view) = try await options.openAndLook()
        let chosen = try PointArgument.findMeant(points, in: view)
        guard view.said.approvals.required != nil else {
            throw CommandFailure(
                .refused,
                "nothing ends a lock before its date: the owner of this repository asks for no approvals "
                    + "(`dozo approve --require`)")
        }
        let times = repository.decisionTimes(view)
        for point in chosen where view.said.lock(of: point.record, at: times) == nil {
            throw CommandFailure(.failed, "\(PointArgument.describe(point)) is not locked")
        }
        guard !all || view.said.standingLock(at: times) != nil else {
            throw CommandFailure(.failed, "no lock was made for all points of this repository")
        }
        var head: SessionHead?
        if yes {
            head = try await MaintenanceSession(repository, randomness: .system).unlock(
                chosen.map(\.record.identifier), standing: all, at: SystemClock.system.wall(), reason: reason ?? "")
        }
        if options.json {
            try Console.json(
                Document(
                    points: chosen.map(\.record.identifier.hexadecimal), request: head?.hash.hexadecimal, done: yes))
        } else {
            if all { Console.result("\(yes ? "asked" : "would ask") that the locks of all points be over") }
            for point in chosen {
                Console.result(
                    "\(PointArgument.describe(point)): \(yes ? "asked" : "would ask") that its locks be over")
            }
        }
        if let head, let words = try await ApprovalWords.waits(head, in: repository, asWas: view) {
            options.note("note: \(words)")
        }
        guard yes else { throw CommandFailure(.refused, "nothing was changed; say --yes to ask for it") }
    }
}
