import ArgumentParser
import BackupModel
import ChunkEncryption
import Effects
import GuestSource
import Recovery
import Repository
import RepositoryFormat

/// `dozo restore`: disks of a restore point to files, images of other formats, and devices.
struct RestoreCommand: AsyncParsableCommand, LoadingCommand {
    static let configuration = CommandConfiguration(
        commandName: "restore", abstract: "Write disks of a restore point to files or devices.",
        discussion: """
            Examples:
              dozo restore web01@latest --disk vda --to /images/vda.raw
              dozo restore web01@2026-11-23T23:59 --to-directory /images/web01
              dozo restore web01@latest --to web01.qcow2
              dozo restore web01@latest --to /dev/vg/web01 --in-place
              dozo restore web01@latest --memory-to web01.save
              dozo restore web01@latest --definition-to web01-definition
              dozo restore web01@latest --define --to-directory /images/web01 --start

            A new raw file is sparse. Nothing that is there is touched without
            --overwrite or --in-place. What could not be completed ends in
            .partial; the same command goes on with it.
            """)

    @OptionGroup var options: RepositoryOptions
    @OptionGroup var load: LoadOptions
    @OptionGroup(title: "The guest itself") var returning: ReturnOptions
    var usualNice: Int { 0 }
    @Argument(help: ArgumentHelp("A point's id, the beginning of one, GUEST@latest or GUEST@TIME.", valueName: "point"))
    var point: String
    @Option(help: ArgumentHelp("Only this disk.", valueName: "name"))
    var disk: String?
    @Option(help: ArgumentHelp("Write the disk to this file or device.", valueName: "file"), completion: .file())
    var to: String?
    @Option(
        help: ArgumentHelp(
            "Write every disk to NAME.FORMAT in this folder, and memory to memory.stream.", valueName: "folder"),
        completion: .directory)
    var toDirectory: String?
    @Option(
        help: ArgumentHelp(
            "Write the guest's memory to this file as it came; - for standard output.", valueName: "file"),
        completion: .file())
    var memoryTo: String?
    @Option(
        help: ArgumentHelp(
            "raw, qcow2, vmdk, vhd, vhdx or vdi; by default what the file's name says, else raw.", valueName: "format"),
        completion: .list(ImageFormat.allCases.map(\.name)))
    var format: String?
    @Flag(help: "Replace a file once the new one is complete; write over a device.")
    var overwrite = false
    @Flag(help: "Compare with what is there and write only what differs.")
    var inPlace = false
    @Option(help: ArgumentHelp("A larger size for the target: bytes, or with K, M, G, T.", valueName: "size"))
    var size: String?
    @Flag(help: "Fill damaged parts with zeros and list them (status 3).")
    var salvage = false
    @Flag(help: "Write although a guest or mount seems to use the target, or --in-place cuts a longer file.")
    var force = false
    @Option(
        help: ArgumentHelp("Leaves in work at once, 1 to 64; by default two a processor, at most 16.", valueName: "n"))
    var jobs: Int?

    func validate() throws {
        let goals = [to, toDirectory, memoryTo, returning.definitionTo].count { $0 != nil }
        guard goals == 1 || goals == 0 && returning.define else {
            throw ValidationError(
                "say where to: --to FILE for one disk, --to-directory FOLDER for all, --memory-to FILE for memory, "
                    + "--definition-to FOLDER for the guest's definition, or --define for the guest where it was")
        }
        try validateMemory()
        try validateDefinition()
        try validateReturn()
        guard jobs.map({ (1...64).contains($0) }) ?? true else { throw ValidationError("--jobs is 1 to 64") }
        if let format, ImageFormat(name: format) == nil {
            throw ValidationError("\(format) is none of raw, qcow2, vmdk, vhd, vhdx, vdi")
        }
        guard !(overwrite && inPlace) else { throw ValidationError("--overwrite or --in-place, not both") }
        guard size == nil || to != nil else { throw ValidationError("--size goes with --to and one disk") }
        if let size, SizeText.parse(size) == nil {
            throw ValidationError("\(size) is no size; write bytes, or a number with K, M, G or T")
        }
    }

    private struct Document: Encodable {
        let point: String
        let guest: String
        let taken_at: String
        let disks: [RestoredDisk]
        let memory: RestoredMemory?
    }

    /// Where one disk goes, and how.
    struct DiskGoal {
        let path: String
        let format: ImageFormat
        let existing: RestorePlan.Existing
    }

    func run() async throws {
        let rates = load.rates()
        let looked = try await options.openAndSearch(rates: rates)
        let (repository, view) = (looked.repository, looked.view)
        let chosen: RestorePoint
        do { chosen = try PointArgument.find(point, in: view) } catch let failure as CommandFailure {
            guard failure.status == .failed, let gap = looked.gaps.first else { throw failure }
            throw CommandFailure(
                .damaged, "\(failure.sentence); \(gap) cannot be read and may have named it: see `dozo verify`")
        }
        if let folder = returning.definitionTo {
            return try await restoreDefinition(of: chosen, to: folder, repository: repository, view: view)
        }
        if returning.define { return try await GuestReturn(self).run(chosen, looked: looked, rates: rates) }
        let memoryTarget = try memoryTarget(of: chosen)
        let targets = memoryTo == nil ? try targets(of: chosen) : []
        // All are looked at before the first is written.
        if !overwrite, !inPlace {
            for (image, path) in targets where !HostPaths.isBlockDevice(path) {
                do { try OutputFile.refuseTaken(path) } catch {
                    guard targets.contains(where: { HostPaths.exists($0.1 + OutputFile.suffix) }) else { throw error }
                    throw CommandFailure(
                        .refused,
                        "\(error.sentence); an interrupted restore left another disk of this point incomplete, and "
                            + "this one, \(Console.printable(image.name)), may be what it completed: go on with each "
                            + "of the others by --disk NAME --to FILE")
                }
            }
        }
        if let memoryTarget { try refuseTaken(memoryTarget) }
        if let toDirectory { try HostPaths.makeFolders(HostPaths.absolute(toDirectory)) }
        options.note(
            "restoring \(Console.printable(chosen.record.label)) of \(TimeText.local(chosen.record.takenAt)), "
                + "point \(chosen.record.identifier)"
        )
        if view.said.forget(of: chosen.record.identifier) != nil {
            options.note(
                "note: this point is forgotten, and a sweep lets it go; `dozo forget --undo` or `dozo hold` keeps it")
        }
        let reader = try await contentReader(repository, view: view)
        var disks: [RestoredDisk] = []
        for (image, path) in targets {
            let goal = DiskGoal(
                path: path, format: format(of: path),
                existing: overwrite ? .overwritten : inPlace ? .changedInPlace : .refused)
            do { disks.append(try await restore(image, to: goal, reader: reader, writes: rates.writes)) } catch {
                throw await whyLetGo(chosen, since: view, repository) ?? error
            }
        }
        var memory: RestoredMemory?
        if let memoryTarget {
            memory = try await restoreMemory(of: chosen, to: memoryTarget, reader: reader, writes: rates.writes)
            tellRest(in: chosen)
        }
        try show(disks, memory, of: chosen, view: view)
        try requireNothingLost(disks)
        // A point that was named by its id is what was asked for; the newest one may be another.
        if point.contains("@") { try looked.requireWhole("restored; a newer point of this guest may be missing") }
    }

    /// What to say instead of damage when a sweep has let the point go while it was restored.
    private func whyLetGo(
        _ point: RestorePoint, since view: RepositoryView, _ repository: OpenRepository
    ) async -> CommandFailure? {
        guard view.said.forget(of: point.record.identifier) != nil, let later = try? await repository.view(),
            later.log.lastClose != view.log.lastClose,
            !later.points.contains(where: { $0.record.identifier == point.record.identifier })
        else { return nil }
        return CommandFailure(
            .failed,
            "\(PointArgument.describe(point)) was forgotten, and a sweep has let it go while it was restored; nothing "
                + "is damaged; `dozo hold` keeps a forgotten point")
    }

    /// A reader that opens guest data.
    func contentReader(_ repository: OpenRepository, view: RepositoryView) async throws -> RepositoryReader {
        let reader = try await RepositoryReader(
            repository, view: view, filters: HostContext.filters(of: repository))
        guard reader.keys.opensContent else {
            throw CommandFailure(
                .wrongKey,
                "this \(repository.credential.role.rawValue) credential does not hold the key that opens guest data; "
                    + "use the passphrase or a reader's credential")
        }
        options.notes(reader.index.notes)
        return reader
    }

    /// Ends a salvage that lost something with status 3.
    func requireNothingLost(_ disks: [RestoredDisk]) throws {
        let lost = disks.flatMap(\.lost)
        guard !lost.isEmpty else { return }
        let size = Console.size(lost.reduce(0) { $0 + $1.length })
        throw CommandFailure(
            .partial,
            "\(size) in \(Console.count(lost.count, "place")) could not be read and are zero now; see above")
    }

    private func show(_ disks: [RestoredDisk], _ memory: RestoredMemory?, of point: RestorePoint, view: RepositoryView)
        throws
    {
        if options.json {
            return try Console.json(
                Document(
                    point: point.record.identifier.hexadecimal, guest: point.record.label,
                    taken_at: TimeText.utc(point.record.takenAt), disks: disks, memory: memory))
        }
        if let memory, memoryTo != "-" {
            Console.result(
                "\(Console.printable(memory.path)): memory, \(Console.size(memory.size_bytes)) as \(memory.format)")
        }
        for disk in disks { disk.show() }
        options.note("newest entry of the repository that this host knows of: \(describeHead(view)); it was reached")
    }

    private func describeHead(_ view: RepositoryView) -> String {
        view.log.head.map { "\($0.slot)" } ?? "none"
    }

    /// Restores one disk, and says how far it is.
    func restore(
        _ image: RestorePointRecord.Image, to goal: DiskGoal, reader: RepositoryReader, writes: RateLimit?
    ) async throws -> RestoredDisk {
        let path = goal.path
        let line = ProgressLine(isQuiet: options.quiet)
        defer { line.clear() }
        var leftover = Leftover.none
        // Whether the target was taken: before that nothing is touched.
        var isBegun = false
        let plan = RestorePlan(
            path: path, format: goal.format, existing: goal.existing,
            byteCount: size.flatMap(SizeText.parse), salvages: salvage, ignoresUse: force,
            workers: jobs, writes: writes)
        do {
            let outcome = try await ImageRestore(reader, image: image, plan: plan).run { progress in
                isBegun = true
                if leftover != progress.leftover {
                    leftover = progress.leftover
                    line.clear()
                    say(leftover, of: path)
                }
                line.show(
                    "restoring \(Console.printable(image.name))", passed: progress.passed, total: progress.total,
                    more: "")
            }
            return RestoredDisk(image.name, goal, outcome)
        } catch {
            let failure = CommandFailure(error)
            line.clear()
            if isBegun, failure.status != .refused {
                if HostPaths.exists(path + OutputFile.suffix) {
                    let how =
                        if returning.define {
                            "the same command\(overwrite ? "" : " with --overwrite")"
                        } else if toDirectory == nil {
                            "the same command"
                        } else {
                            "--disk \(Console.printable(image.name)) --to \(path)"
                        }
                    options.note("what was restored so far is in \(path)\(OutputFile.suffix); \(how) goes on with it")
                } else if (goal.existing == .changedInPlace || HostPaths.isBlockDevice(path)) && HostPaths.exists(path)
                {
                    options.note("\(path) is half changed now; the same command with --in-place goes on")
                }
            }
            throw failure
        }
    }

    /// Says what came of what an interrupted restore had left.
    private func say(_ leftover: Leftover, of path: String) {
        switch leftover {
        case .none: break
        case .takenUp: options.note("going on with what an interrupted restore left in \(path)\(OutputFile.suffix)")
        case .discarded(let why):
            options.note(
                "begun anew: what lay in \(path)\(OutputFile.suffix) could not be gone on with and was removed: \(why)")
        }
    }

    private func targets(of point: RestorePoint) throws -> [(RestorePointRecord.Image, String)] {
        let images = point.record.disks
        guard !images.isEmpty else {
            if toDirectory != nil, point.record.memory != nil, disk == nil { return [] }
            throw CommandFailure(.failed, "the point has no disks, only memory; write it with --memory-to FILE")
        }
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
        return wanted.map {
            ($0, "\(folder)/\(RestoreCommand.fileName(for: $0.name)).\(format ?? ImageFormat.raw.name)")
        }
    }

    /// What was stated; else what the name says, as for a backup; a device is raw.
    private func format(of path: String) -> ImageFormat {
        if let format { return ImageFormat(name: format) ?? .raw }
        return HostPaths.isBlockDevice(path) ? .raw : ImageFormat.impliedByName(path) ?? .raw
    }

    /// Bytes of a file name before its ending.
    private static let longestFileName = 230

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
        // The longest name that file systems take is 255 bytes, and an ending and `.partial` come behind this one.
        guard name.utf8.count > longestFileName else { return name }
        // Two long names that begin alike stay two.
        return String(name.prefix(longestFileName - 33)) + "~"
            + SecureHash.sha256(Array(disk.utf8)).hexadecimal.prefix(32)
    }
}
