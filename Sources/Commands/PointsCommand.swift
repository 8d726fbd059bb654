import ArgumentParser
import BackupModel
import Repository
import RepositoryFormat

/// `dozo points`: what can be restored.
struct PointsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "points", abstract: "List restore points.",
        discussion: "Example: dozo points -r /backup/dozo --guest web01")

    @OptionGroup var options: RepositoryOptions
    @Option(help: ArgumentHelp("Only points of this guest, by name or id.", valueName: "name"))
    var guest: String?

    func run() async throws {
        let (_, view) = try await options.openAndLook()
        guard view.showsPoints else {
            throw CommandFailure(
                .wrongKey,
                "this credential does not open restore points; use the passphrase, a reader's or a "
                    + "maintainer's credential"
            )
        }
        var points = view.points.sorted(by: PointArgument.isEarlier)
        if let guest {
            points = points.filter { $0.record.label == guest || $0.record.guest.hexadecimal == guest }
        }
        if options.json { return try Console.json(points.map(PointDocument.init)) }
        guard !points.isEmpty else {
            options.note(guest.map { "no restore points of \(Console.printable($0))" } ?? "no restore points yet")
            return
        }
        Console.table(
            ["POINT", "GUEST", "TAKEN AT", "DISKS", "SIZE", "NEW", "STORED"],
            points.map { point in
                let record = point.record
                return [
                    String(record.identifier.hexadecimal.prefix(12)), Console.printable(record.label),
                    TimeText.local(record.takenAt),
                    record.images.map { Console.printable($0.name) }.joined(separator: ","),
                    Console.size(record.images.reduce(0) { $0 + $1.byteCount }), Console.size(record.volume.new),
                    Console.size(record.volume.stored),
                ]
            })
    }
}
