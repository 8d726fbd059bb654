import ArgumentParser
import BackupModel
import ChunkEncryption
import Effects
import Repository
import RepositoryFormat

/// `dozo forget`: points need not be kept, or shall be kept after all.
struct ForgetCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "forget", abstract: "Say that restore points need not be kept, or take it back.",
        discussion: """
            Examples:
              dozo forget -r /backup/dozo 9a8b7c6d web01@2026-11-23 --yes
              dozo forget -r /backup/dozo 9a8b7c6d --undo              until a sweep has let the point go

            Nothing is deleted: a forgotten point is listed, restored and leant on until `dozo sweep` lets it go. A \
            point that is held (`dozo hold`) stays. What was taken back is not forgotten by `dozo prune` again. The \
            last point of a guest is forgotten only with --last. Only a \
            maintainer's credential or the passphrase may say this.
            """)

    @OptionGroup var options: RepositoryOptions
    @Argument(help: ArgumentHelp("Ids, beginnings of ids, GUEST@latest, or GUEST@TIME of one.", valueName: "point"))
    var points: [String]
    @Option(help: ArgumentHelp("Why, for whoever looks later.", valueName: "text"))
    var reason: String?
    @Option(
        help: ArgumentHelp(
            "Days for which no sweep lets the points go, so that it can be taken back, 0 to 3650.", valueName: "days"))
    var undoTime = 0
    @Flag(help: "Take it back.")
    var undo = false
    @Flag(help: "Also when no other point of the guest is left.")
    var last = false
    @Flag(help: "Do it; without this the command only says what it would do.")
    var yes = false

    func validate() throws {
        guard !points.isEmpty else { throw ValidationError("name at least one point") }
        guard (0...3650).contains(undoTime) else { throw ValidationError("--undo-time is 0 to 3650 days") }
        guard (reason ?? "").utf8.count <= FormatLimits.textByteCount else {
            throw ValidationError("--reason has more than \(FormatLimits.textByteCount) bytes")
        }
    }

    private struct Document: Encodable {
        let points: [String]
        let undo: Bool
        let done: Bool
    }

    func run() async throws {
        let (repository, view) = try await options.openAndLook()
        let chosen = try PointArgument.findMeant(points, in: view)
        if !undo {
            try refuseWhatMustStay(chosen, view, at: repository.decisionTimes(view))
        }
        var words: String?
        if yes || undo {
            let session = try MaintenanceSession(repository, randomness: .system)
            let identifiers = chosen.map(\.record.identifier)
            if undo {
                _ = try await session.undo(identifiers)
            } else {
                let head = try await session.forget(
                    identifiers, at: SystemClock.system.wall(), reason: reason ?? "",
                    undoTime: UInt64(undoTime) * 24 * 3600 * 1_000_000_000)
                words = try await ApprovalWords.waits(head, in: repository, asWas: view)
            }
        }
        let document = Document(
            points: chosen.map(\.record.identifier.hexadecimal), undo: undo, done: yes || undo)
        if options.json { try Console.json(document) } else { show(chosen) }
        if let words { options.note("note: \(words)") }
        guard yes || undo else { throw CommandFailure(.refused, "nothing was changed; say --yes to do it") }
    }

    private func show(_ chosen: [RestorePoint]) {
        let what = undo ? "stays" : yes ? "is forgotten" : "would be forgotten"
        for point in chosen {
            Console.result(
                "\(point.record.identifier.hexadecimal.prefix(12)) of \(Console.printable(point.record.label)), "
                    + "\(TimeText.local(point.record.takenAt)), \(what)")
        }
    }

    /// A held point would stay anyway, and the last one of a guest is all there is of it.
    private func refuseWhatMustStay(_ chosen: [RestorePoint], _ view: RepositoryView, at times: DecisionTimes) throws {
        let going = Set(chosen.map(\.record.identifier))
        for point in chosen {
            let identifier = point.record.identifier
            let name = "point \(identifier.hexadecimal.prefix(12)) of \(Console.printable(point.record.label))"
            guard view.said.holds(of: identifier).isEmpty else {
                throw CommandFailure(.refused, "\(name) is held: `dozo hold --release` lets it go first")
            }
            if let until = view.said.lock(of: point.record, at: times), until > times.lock {
                let end =
                    view.said.approvals.required == nil
                    ? "nothing lets it go before"
                    : "before that it goes only when persons approve a `dozo unlock "
                        + "\(identifier.hexadecimal.prefix(12))`"
                throw CommandFailure(.refused, "\(name) is locked until \(TimeText.local(until)); \(end)")
            }
            let remains = view.points.contains { other in
                other.record.guest == point.record.guest && !going.contains(other.record.identifier)
                    && view.said.forget(of: other.record.identifier) == nil
            }
            guard remains || last else {
                throw CommandFailure(
                    .refused, "\(name) is the last point that is left of this guest; say --last if it shall go")
            }
        }
    }
}
