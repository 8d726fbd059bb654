import ArgumentParser
import BackupModel
import Effects
import Recovery
import Repository
import RepositoryFormat

/// `dozo restore`: disks of a restore point to new files.
struct RestoreCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "restore", abstract: "Write disks of a restore point to new files.",
        discussion: """
            Examples:
              dozo restore -r /backup/dozo web01@latest --disk vda --to /images/vda.raw
              dozo restore -r /backup/dozo web01@2026-11-23T23:59 --to-directory /images

            Files are raw and sparse. Nothing is overwritten. A file that could not be completed ends in .partial.
            """)

    @OptionGroup var options: RepositoryOptions
    @Argument(help: ArgumentHelp("A point's id, the beginning of one, GUEST@latest or GUEST@TIME.", valueName: "point"))
    var point: String
    @Option(help: ArgumentHelp("Only this disk.", valueName: "name"))
    var disk: String?
    @Option(help: ArgumentHelp("Write the disk to this new file.", valueName: "file"))
    var to: String?
    @Option(help: ArgumentHelp("Write every disk to NAME.raw in this folder.", valueName: "folder"))
    var toDirectory: String?
    @Option(help: ArgumentHelp("Leaves in work at once, 1 to 64; by default two a processor.", valueName: "n"))
    var jobs: Int?

    func validate() throws {
        guard (to == nil) != (toDirectory == nil) else {
            throw ValidationError("say where to: --to FILE for one disk, or --to-directory FOLDER for all")
        }
        guard jobs.map({ (1...64).contains($0) }) ?? true else { throw ValidationError("--jobs is 1 to 64") }
    }

    private struct Document: Encodable {
        struct Disk: Encodable {
            let name: String
            let path: String
            let size_bytes: UInt64
            let written_bytes: UInt64
        }
        let point: String
        let guest: String
        let taken_at: String
        let disks: [Disk]
    }

    func run() async throws {
        let (repository, view) = try await options.openAndLook()
        let chosen = try PointArgument.find(point, in: view)
        let targets = try targets(of: chosen)
        for (_, path) in targets where HostPaths.exists(path) {
            throw CommandFailure(
                .refused, "\(path) exists already and is not overwritten; choose another name or move it away")
        }
        if let toDirectory { try HostPaths.makeFolders(HostPaths.absolute(toDirectory)) }
        options.note(
            "restoring \(Console.printable(chosen.record.label)) of \(TimeText.local(chosen.record.takenAt)), "
                + "point \(chosen.record.identifier)"
        )
        let reader = try await RepositoryReader(repository, view: view)
        for line in reader.index.notes { options.note("note: \(line)") }
        var disks: [Document.Disk] = []
        for (image, path) in targets {
            let written = try await restore(image, to: path, reader: reader)
            disks.append(
                Document.Disk(name: image.name, path: path, size_bytes: image.byteCount, written_bytes: written))
        }
        if options.json {
            try Console.json(
                Document(
                    point: chosen.record.identifier.hexadecimal, guest: chosen.record.label,
                    taken_at: TimeText.utc(chosen.record.takenAt), disks: disks))
        } else {
            for disk in disks {
                Console.result(
                    "\(disk.path): \(Console.size(disk.size_bytes)), \(Console.size(disk.written_bytes)) of it data")
            }
            options.note(
                "newest entry of the repository that this host knows of: \(describeHead(view)); it was reached")
        }
    }

    private func describeHead(_ view: RepositoryView) -> String {
        view.log.head.map { "\($0.slot)" } ?? "none"
    }

    private func restore(
        _ image: RestorePointRecord.Image, to path: String, reader: RepositoryReader
    ) async throws -> UInt64 {
        let line = ProgressLine(isQuiet: options.quiet)
        defer { line.clear() }
        var written: UInt64 = 0
        let restore = ImageRestore(reader, image: image, workers: jobs ?? HostPaths.processorCount * 2)
        do {
            try await restore.run(to: path) { progress in
                written = progress.written
                line.show(
                    "restoring \(Console.printable(image.name))", passed: progress.passed, total: progress.total,
                    more: "")
            }
        } catch {
            let failure = CommandFailure(error)
            line.clear()
            if HostPaths.exists(path + OutputFile.suffix), failure.status != .refused {
                options.note("what was restored so far is in \(path)\(OutputFile.suffix)")
            }
            throw failure
        }
        return written
    }

    private func targets(of point: RestorePoint) throws -> [(RestorePointRecord.Image, String)] {
        let images = point.record.images
        if let disk, !images.contains(where: { $0.name == disk }) {
            throw CommandFailure(
                .failed,
                "the point has no disk \(Console.printable(disk)); it has: "
                    + "\(images.map { Console.printable($0.name) }.joined(separator: ", "))"
            )
        }
        let wanted = images.filter { disk == nil || $0.name == disk }
        if let to {
            guard wanted.count == 1 else {
                throw CommandFailure(
                    .usage,
                    "the point has \(wanted.count) disks "
                        + "(\(wanted.map { Console.printable($0.name) }.joined(separator: ", "))); choose one "
                        + "with --disk, or all with --to-directory"
                )
            }
            return [(wanted[0], HostPaths.absolute(to))]
        }
        let folder = HostPaths.absolute(toDirectory ?? ".")
        return wanted.map { ($0, "\(folder)/\(RestoreCommand.fileName(for: $0.name))") }
    }

    /// A file name below the folder for any disk's name: what could lead elsewhere or be hidden is percent-encoded.
    static func fileName(for disk: String) -> String {
        var name = ""
        for byte in disk.utf8 {
            let isPlain = byte > 0x20 && byte != 0x7F && byte != UInt8(ascii: "/") && byte != UInt8(ascii: "%")
            let isFirstRisk = name.isEmpty && (byte == UInt8(ascii: ".") || byte == UInt8(ascii: "-"))
            if isPlain && !isFirstRisk && byte < 0x80 {
                name.unicodeScalars.append(Unicode.Scalar(byte))
            } else {
                name += "%" + [byte].hexadecimal
            }
        }
        // The longest name that file systems take is 255 bytes.
        if name.utf8.count > 240 { name = String(name.prefix(200)) + "~" + String(name.utf8.count) }
        return name + ".raw"
    }
}
