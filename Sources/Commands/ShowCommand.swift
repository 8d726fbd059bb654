import ArgumentParser
import BackupModel
import Foundation
import Repository
import RepositoryFormat

/// `dozo show`: one restore point in full.
struct ShowCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show", abstract: "Show one restore point.",
        discussion: """
            Examples:
              dozo show -r /backup/dozo web01@latest
              dozo show -r /backup/dozo web01@latest --usage

            With --usage it adds up what deduplication and compression made of the point, and what it has for itself \
            alone: that reads the maps of all points.
            """)

    @OptionGroup var options: RepositoryOptions
    @Argument(help: ArgumentHelp("A point's id, the beginning of one, GUEST@latest or GUEST@TIME.", valueName: "point"))
    var point: String
    @Flag(help: "Add up what the point takes up, and what only it uses.")
    var usage = false

    private struct Usage: Encodable {
        let disk_bytes: UInt64
        let data_bytes: UInt64
        let chunks: Int
        let distinct_bytes: UInt64
        let stored_bytes: UInt64
        let unique_stored_bytes: UInt64

        init(_ usage: PointUsage) {
            disk_bytes = usage.diskByteCount
            data_bytes = usage.dataByteCount
            chunks = usage.chunkCount
            distinct_bytes = usage.distinctByteCount
            stored_bytes = usage.storedByteCount
            unique_stored_bytes = usage.uniqueByteCount
        }
    }

    private struct Document: Encodable {
        let point: PointDocument
        let started_at: String
        let ended_at: String
        let tool: String
        let clock: String
        let read_bytes: UInt64
        let changed_bytes: UInt64
        let new_bytes: UInt64
        let stored_bytes: UInt64
        let session: String
        let slot: String
        /// Ids of the image roots by disk: equal when the images are equal.
        let roots: [String: String]
        /// Absent for points of image files.
        let machine: MachineDocument?
        let usage: Usage?
    }

    func run() async throws {
        let (repository, view) = try await options.openAndShow()
        let chosen = try PointArgument.find(point, in: view)
        var used: PointUsage?
        if usage {
            let reader = try await RepositoryReader(
                repository, view: view, filters: HostContext.filters(of: repository))
            used = try await PointUsage(of: chosen, reader: reader)
        }
        let record = chosen.record
        let times = repository.decisionTimes(view)
        let document = Document(
            point: PointDocument(chosen, in: view, at: times),
            started_at: TimeText.utc(record.startedAt),
            ended_at: TimeText.utc(record.endedAt), tool: record.tool, clock: record.clock,
            read_bytes: record.volume.read, changed_bytes: record.volume.changed, new_bytes: record.volume.new,
            stored_bytes: record.volume.stored, session: chosen.session.hexadecimal, slot: chosen.slot.description,
            roots: Dictionary(record.images.map { ($0.name, $0.root.hexadecimal) }) { first, _ in first },
            machine: record.machine.map(MachineDocument.init), usage: used.map(Usage.init))
        if options.json { return try Console.json(document) }
        let seconds = Double(record.endedAt - min(record.startedAt, record.endedAt)) / 1e9
        var rows = [
            ["point", record.identifier.hexadecimal],
            ["guest", "\(Console.printable(record.label)) (\(record.guest))"],
            ["taken at", "\(TimeText.local(record.takenAt)) (\(TimeText.utc(record.takenAt)))"],
            ["consistency", record.consistency], ["changes found by", record.trust],
            ["built on", record.base?.hexadecimal ?? "nothing"],
        ]
        if view.doubted.contains(record.identifier) { rows.append(["waiting", "revoked by the owner, not approved"]) }
        if let fate = PointsCommand.fate(of: record.identifier, view.said, at: times) { rows.append(["stays", fate]) }
        if let until = view.said.lock(of: record, at: times) { rows.append(["locked until", TimeText.local(until)]) }
        if !record.tags.isEmpty {
            rows.append(["tags", record.tags.map(Console.printable).joined(separator: ", ")])
        }
        if let verified = view.said.verified(record.identifier) {
            rows.append(["verified", "\(verified.level.rawValue), \(TimeText.local(verified.at))"])
        } else if view.said.isDamaged(record.identifier) {
            rows.append(["verified", "DAMAGED when it was last looked at"])
        }
        if let origin = record.origin { rows += ShowCommand.rows(of: origin) }
        for image in record.disks {
            // A hypervisor serves its disks as plain bytes, whatever container it keeps them in.
            let origin = record.machine == nil ? "read as \(image.format)" : "read from its hypervisor"
            rows.append(
                ["disk", "\(Console.printable(image.name)): \(Console.size(image.byteCount)), \(origin)"])
        }
        if let machine = record.machine { rows += ShowCommand.rows(of: machine) }
        if let memory = record.memory {
            rows.append(["memory", "up to \(Console.size(memory.byteCount)), came as \(memory.format)"])
        }
        rows += [
            ["read", Console.size(record.volume.read)], ["new", Console.size(record.volume.new)],
            ["stored", Console.size(record.volume.stored)], ["took", Console.duration(seconds)],
            ["host", Console.printable(record.host)], ["writer", chosen.writer.hexadecimal],
            ["made by", Console.printable(record.tool)], ["record", "session \(chosen.session), \(chosen.slot)"],
        ]
        if let used { rows += ShowCommand.rows(of: used) }
        let width = rows.map { $0[0].count }.max() ?? 0
        for row in rows { Console.result(row[0] + String(repeating: " ", count: width - row[0].count + 2) + row[1]) }
    }

    private static func rows(of origin: RestorePointRecord.Origin) -> [[String]] {
        var rows: [[String]] = []
        if !origin.policy.isEmpty {
            let revision = origin.revision.isEmpty ? "" : ", revision \(Console.printable(origin.revision))"
            rows.append(["policy", Console.printable(origin.policy) + revision])
        }
        if !origin.startedBy.isEmpty { rows.append(["started by", Console.printable(origin.startedBy)]) }
        return rows
    }

    private static func rows(of machine: RestorePointRecord.Machine) -> [[String]] {
        func shown(_ text: String) -> String { text.isEmpty ? "not known" : Console.printable(text) }
        let milliseconds = TimeText.milliseconds
        let versions = machine.versions.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }
        var rows = [
            ["hypervisor", shown(([machine.hypervisor] + versions).joined(separator: ", "))],
            ["machine", "\(shown(machine.type)), processor \(shown(machine.cpu))"],
            ["machine's id", shown(machine.uuid)],
        ]
        if machine.pause > 0 { rows.append(["stood still", milliseconds(machine.pause)]) }
        if machine.frozen > 0 { rows.append(["at rest", "its file systems, for \(milliseconds(machine.frozen))"]) }
        for hook in machine.hooks {
            let outcome = "\(Console.printable(hook.name)): \(Console.printable(hook.outcome))"
            rows.append(["hook in it", "\(outcome), \(milliseconds(hook.took))"])
        }
        if machine.group != nil { rows.append(["group", "all instants within \(milliseconds(machine.spread))"]) }
        for (drive, medium) in machine.media.sorted(by: { $0.key < $1.key }) {
            rows.append(["not copied", "\(Console.printable(drive)): \(Console.printable(medium))"])
        }
        for disk in machine.leftOut {
            rows.append(["left out", "\(Console.printable(disk.name)): \(Console.printable(disk.why))"])
        }
        return rows
    }

    private static func rows(of usage: PointUsage) -> [[String]] {
        func ratio(_ before: UInt64, _ after: UInt64) -> String {
            guard after > 0 else { return "" }
            return ", \(String(format: "%.2f", Double(before) / Double(after))) : 1"
        }
        return [
            ["data", "\(Console.size(usage.dataByteCount)) of \(Console.size(usage.diskByteCount)) are no holes"],
            [
                "deduplicated",
                Console.size(usage.distinctByteCount) + ratio(usage.dataByteCount, usage.distinctByteCount)
                    + ", \(Console.count(usage.chunkCount, "chunk"))",
            ],
            [
                "compressed",
                Console.size(usage.storedByteCount) + ratio(usage.distinctByteCount, usage.storedByteCount),
            ],
            ["its own", "\(Console.size(usage.uniqueByteCount)) are used by no other point"],
        ]
    }
}
