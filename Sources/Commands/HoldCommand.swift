import ArgumentParser
import BackupModel
import Effects
import Repository
import RepositoryFormat

/// `dozo hold`: points stay whatever policies and people say, until the hold is released.
struct HoldCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "hold", abstract: "Make restore points stay until the hold is released.",
        discussion: """
            Examples:
              dozo hold -r /backup/dozo web01@2026-11-23
              dozo hold -r /backup/dozo web01@2026-11-23 --release --yes

            Hold beats forget, whoever said what first. Only a maintainer's credential or the passphrase may say this.
            """)

    @OptionGroup var options: RepositoryOptions
    @Argument(help: ArgumentHelp("Ids, beginnings of ids, GUEST@latest, or GUEST@TIME of one.", valueName: "point"))
    var points: [String]
    @Flag(help: "Let them go again: all holds of the points.")
    var release = false
    @Option(help: ArgumentHelp("Why, for whoever looks later; with --release.", valueName: "text"))
    var reason: String?
    @Flag(help: "With --release: do it.")
    var yes = false

    func validate() throws {
        guard !points.isEmpty else { throw ValidationError("name at least one point") }
        guard reason == nil || release else { throw ValidationError("--reason goes with --release") }
        guard (reason ?? "").utf8.count <= FormatLimits.textByteCount else {
            throw ValidationError("--reason has more than \(FormatLimits.textByteCount) bytes")
        }
    }

    private struct Document: Encodable {
        let points: [String]
        let released: Bool
        let slots: [String]
    }

    func run() async throws {
        let (repository, view) = try await options.openAndLook()
        let chosen = try PointArgument.findMeant(points, in: view)
        let session = try MaintenanceSession(repository, randomness: .system)
        let identifiers = chosen.map(\.record.identifier)
        let slots: [SlotNumber]
        if release {
            slots = try released(identifiers, view)
            warn(of: Set(slots), view)
            guard yes else {
                throw CommandFailure(
                    .refused,
                    "\(Console.count(slots.count, "hold")) would be released, also of other points that "
                        + "\(slots.count == 1 ? "it names" : "they name"); nothing was changed; "
                        + "say --yes to do it")
            }
            try await session.release(slots, at: SystemClock.system.wall(), reason: reason ?? "")
        } else {
            slots = try await session.hold(identifiers).map(\.slot)
        }
        if options.json {
            try Console.json(
                Document(
                    points: identifiers.map(\.hexadecimal), released: release, slots: slots.map(\.description)))
        } else {
            for point in chosen {
                Console.result(
                    "\(point.record.identifier.hexadecimal.prefix(12)) of \(Console.printable(point.record.label)) "
                        + (release ? "is not held any more" : "is held"))
            }
        }
    }

    /// Names the points that only these holds keep: the next sweep takes them.
    private func warn(of slots: Set<SlotNumber>, _ view: RepositoryView) {
        for point in view.points {
            let identifier = point.record.identifier
            let holds = view.said.holds(of: identifier)
            guard !holds.isEmpty, holds.allSatisfy({ slots.contains($0.slot) }),
                let forget = view.said.forgetBehindHolds(of: identifier)
            else { continue }
            options.note(
                "note: \(PointArgument.describe(point)) was forgotten \(TimeText.local(forget.at)): without the hold a "
                    + "sweep lets it go; `dozo forget --undo` keeps it")
        }
    }

    private func released(_ points: [PointID], _ view: RepositoryView) throws -> [SlotNumber] {
        let slots = Set(points.flatMap { view.said.holds(of: $0) }.filter { !$0.isPin }.map(\.slot)).sorted()
        guard !slots.isEmpty else { throw CommandFailure(.failed, "none of these points is held") }
        return slots
    }
}
