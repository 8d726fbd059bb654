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

    private struct Document: Encodable {
        let point: PointDocument
        let new_bytes: UInt64
        let stored_bytes: UInt64

        func encode(to encoder: any Encoder) throws {
            // One object: the point's own members and these two.
            try point.encode(to: encoder)
            var container = encoder.container(keyedBy: Keys.self)
            try container.encode(new_bytes, forKey: .new_bytes)
            try container.encode(stored_bytes, forKey: .stored_bytes)
        }

        private enum Keys: String, CodingKey {
            case new_bytes
            case stored_bytes
        }
    }

    func run() async throws {
        let looked = try await options.openAndSearch()
        let view = looked.view
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
        let times = looked.repository.decisionTimes(view)
        if options.json {
            try Console.json(
                points.map { point in
                    Document(
                        point: PointDocument(point, in: view, at: times), new_bytes: point.record.volume.new,
                        stored_bytes: point.record.volume.stored)
                })
        } else if points.isEmpty {
            if guest == nil { options.note("no restore points yet") }
        } else {
            show(points, in: view, at: times)
        }
        try looked.requireWhole("the list may lack points")
        // A name that was mistyped would look like a guest that lost all.
        if let guest, points.isEmpty {
            throw CommandFailure(
                .failed, "there is no guest \(Console.printable(guest)) in this repository; `dozo points` lists them")
        }
    }

    private func show(_ points: [RestorePoint], in view: RepositoryView, at times: DecisionTimes) {
        Console.table(
            ["POINT", "GUEST", "TAKEN AT", "DISKS", "SIZE", "NEW", "STORED", ""],
            points.map { point in
                let record = point.record
                return [
                    String(record.identifier.hexadecimal.prefix(12)), Console.printable(record.label),
                    TimeText.local(record.takenAt), PointsCommand.disks(of: record),
                    Console.size((record.disks + (record.memory.map { [$0] } ?? [])).reduce(0) { $0 + $1.byteCount }),
                    Console.size(record.volume.new),
                    Console.size(record.volume.stored),
                    PointsCommand.words(on: record, in: view, at: times),
                ]
            })
    }

    /// Whether it is forgotten or held, its tags, what verifications found, and its lock.
    private static func words(
        on record: RestorePointRecord, in view: RepositoryView, at times: DecisionTimes
    ) -> String {
        let said = view.said
        var words = record.tags.map { "#" + Console.printable($0) }
        if let fate = fate(of: record.identifier, said, at: times) { words.insert(fate, at: 0) }
        if let verified = said.verified(record.identifier) {
            words.append("verified (\(verified.level.rawValue)) \(TimeText.local(verified.at))")
        } else if said.isDamaged(record.identifier) {
            words.append("DAMAGED")
        }
        if let until = said.lock(of: record, at: times) {
            words.append("locked until \(TimeText.local(until))")
        }
        if view.doubted.contains(record.identifier) { words.insert(PointArgument.doubt, at: 0) }
        return words.joined(separator: " ")
    }

    /// Whether somebody holds or forgot a point; `nil` when nobody did.
    static func fate(of point: PointID, _ said: SaidOfPoints, at times: DecisionTimes) -> String? {
        let isHeld = !said.holds(of: point).isEmpty
        guard said.forgetBehindHolds(of: point) != nil else { return isHeld ? "held" : nil }
        return isHeld ? "held, forgotten" : said.waits(point, at: times) ? "forgotten, waits for approval" : "forgotten"
    }

    /// Characters of the column with disk names.
    private static let diskColumnWidth = 24

    /// Names of the disks as far as they fit, and how many more there are; `dozo show` has them all.
    private static func disks(of record: RestorePointRecord) -> String {
        let names = record.disks.map { Console.printable($0.name) } + (record.memory == nil ? [] : ["(memory)"])
        var text = ""
        for (index, name) in names.enumerated() {
            let next = text.isEmpty ? name : text + "," + name
            guard next.count <= diskColumnWidth else {
                if text.isEmpty { return name.prefix(diskColumnWidth - 1) + "…" }
                return text + " +\(names.count - index)"
            }
            text = next
        }
        return text
    }
}
