import ArgumentParser
import BackupModel
import Effects
import Repository
import RepositoryFormat

/// `dozo diff`: where the disks of two restore points differ, and what changed of the guest's machine.
struct DiffCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "diff", abstract: "Show where two restore points differ.",
        discussion: """
            Examples:
              dozo diff web01@2026-11-23 web01@latest
              dozo diff web01@2026-11-23 web01@latest --disk vda --svg changes.svg

            Only the maps of disks are read, no guest data and no memory. Exact to whole chunks, 64 KiB
            on average: a chunk of which a byte changed counts as changed. Of points of running guests
            it also shows what changed of the machine: its type, versions, and the lines of domain.xml.
            """)

    /// Stretches that are listed for people; --json has them all.
    private static let listLimit = 20
    /// Columns of the strip.
    private static let stripWidth = 64

    @OptionGroup var options: RepositoryOptions
    @Argument(help: ArgumentHelp("The earlier point.", valueName: "point"))
    var first: String
    @Argument(help: ArgumentHelp("The later point.", valueName: "point"))
    var second: String
    @Option(help: ArgumentHelp("Only this disk.", valueName: "name"))
    var disk: String?
    @Option(
        help: ArgumentHelp("Draw the disk to this new file; wants one disk.", valueName: "file"), completion: .file())
    var svg: String?

    private struct Document: Encodable {
        struct Stretch: Encodable {
            let start: UInt64
            let length: UInt64
        }
        struct Disk: Encodable {
            let name: String
            /// `changed`, `equal`, `added` or `removed`.
            let state: String
            let size_bytes_before: UInt64?
            let size_bytes_after: UInt64?
            let changed_bytes: UInt64
            let changed: [Stretch]
        }
        let before: String
        let after: String
        let disks: [Disk]
        /// Absent when one disk was asked for.
        let definition: DefinitionDifference?
    }

    func run() async throws {
        let (repository, view) = try await options.openAndShow()
        let before = try PointArgument.find(first, in: view)
        let after = try PointArgument.find(second, in: view)
        let reader = try await RepositoryReader(
            repository, view: view, filters: HostContext.filters(of: repository))
        let names = try names(before.record, after.record)
        if let svg {
            guard names.count == 1 else {
                throw CommandFailure(
                    .usage,
                    "a picture shows one disk; choose with --disk one of: "
                        + names.map { Console.printable($0) }.joined(separator: ", "))
            }
            try OutputFile.refuseTaken(svg)
        }
        var disks: [Document.Disk] = []
        for name in names {
            let (found, strip) = try await compare(name, before.record, after.record, reader: reader)
            disks.append(found)
            if !options.json { describe(found, strip: strip) }
            if let svg {
                let title =
                    "\(after.record.label), disk \(name): \(TimeText.local(before.record.takenAt)) to "
                    + "\(TimeText.local(after.record.takenAt)), \(Console.size(found.changed_bytes)) changed"
                let picture = DiskStrip.filled(
                    found.changed.map { Extent(start: $0.start, length: $0.length) },
                    byteCount: max(found.size_bytes_before ?? 0, found.size_bytes_after ?? 0),
                    cellCount: DiskStrip.cellCount)
                try HostPaths.writeNew(svg, Array(picture.svg(title: title).utf8))
            }
        }
        let definition =
            disk == nil ? try await DefinitionDifference(before.record, after.record, reader: reader) : nil
        if options.json {
            try Console.json(
                Document(
                    before: before.record.identifier.hexadecimal, after: after.record.identifier.hexadecimal,
                    disks: disks, definition: definition))
        } else {
            definition?.show()
        }
    }

    /// Names of the disks that are compared: of both points, in the order of the later one.
    private func names(_ before: RestorePointRecord, _ after: RestorePointRecord) throws -> [String] {
        var names = after.disks.map(\.name)
        names += before.disks.map(\.name).filter { !names.contains($0) }
        guard let disk else { return names }
        guard names.contains(disk) else {
            throw CommandFailure(
                .failed,
                "neither point has a disk \(Console.printable(disk)); they have: "
                    + names.map { Console.printable($0) }.joined(separator: ", "))
        }
        return [disk]
    }

    private func compare(
        _ name: String, _ before: RestorePointRecord, _ after: RestorePointRecord, reader: RepositoryReader
    ) async throws -> (Document.Disk, DiskStrip) {
        let one = before.disks.first { $0.name == name }
        let two = after.disks.first { $0.name == name }
        var changed: [Document.Stretch] = []
        if let one, let two {
            try await MapDifference(one, two, reader: reader).run {
                changed.append(Document.Stretch(start: $0.start, length: $0.length))
            }
        }
        let isEqual = changed.isEmpty && one?.byteCount == two?.byteCount
        let state = one == nil ? "added" : two == nil ? "removed" : isEqual ? "equal" : "changed"
        let strip = DiskStrip.filled(
            changed.map { Extent(start: $0.start, length: $0.length) },
            byteCount: max(one?.byteCount ?? 0, two?.byteCount ?? 0), cellCount: DiffCommand.stripWidth)
        return (
            Document.Disk(
                name: name, state: state, size_bytes_before: one?.byteCount, size_bytes_after: two?.byteCount,
                changed_bytes: changed.reduce(0) { $0 + $1.length }, changed: changed), strip
        )
    }

    private func describe(_ disk: Document.Disk, strip: DiskStrip) {
        let name = "disk \(Console.printable(disk.name))"
        switch disk.state {
        case "added": Console.result("\(name): only in the later point")
        case "removed": Console.result("\(name): only in the earlier point")
        case "equal": Console.result("\(name): equal")
        default:
            if disk.size_bytes_before != disk.size_bytes_after {
                Console.result(
                    "\(name): was \(disk.size_bytes_before ?? 0) bytes and is \(disk.size_bytes_after ?? 0)")
            }
            Console.result(
                "\(name): \(Console.size(disk.changed_bytes)) of \(Console.size(disk.size_bytes_after ?? 0)) changed "
                    + "in \(disk.changed.count) places")
            Console.result("  \(strip.line)")
            for stretch in disk.changed.prefix(DiffCommand.listLimit) {
                Console.result("  bytes \(stretch.start) to \(stretch.start + stretch.length - 1)")
            }
            if disk.changed.count > DiffCommand.listLimit {
                Console.result("  and \(disk.changed.count - DiffCommand.listLimit) more; --json lists them all")
            }
        }
    }
}

extension DiskStrip {
    /// A strip with stretches that changed.
    static func filled(_ extents: [Extent], byteCount: UInt64, cellCount: Int) -> DiskStrip {
        var strip = DiskStrip(byteCount: byteCount, cellCount: cellCount)
        for extent in extents { strip.add(extent) }
        return strip
    }
}
