import ArgumentParser
import BackupModel
import Capture
import Catalog
import Effects
import GuestSource
import ObjectStorage
import Repository
import RepositoryFormat
import Synchronization

/// `dozo backup`: images of a guest into a new restore point.
struct BackupCommand: AsyncParsableCommand, LoadingCommand {
    static let configuration = CommandConfiguration(
        commandName: "backup", abstract: "Back up disk images of a guest.",
        discussion: """
            Examples:
              dozo backup -r /backup/dozo --guest web01 /images/web01.qcow2
              dozo backup -r /backup/dozo --guest db01 --disk vda=/dev/vg/db01 vdb.raw
              dozo backup -r /backup/dozo --guest app01 /images/app01.ova
              ssh host cat vda.raw | dozo backup -r /backup/dozo --guest old01 --disk vda=-
              dozo backup -r /backup/dozo --guest web01 --memory web01.save

            An appliance (.ova) stands for all its disks; one of them is \
            app01.ova/disk1.vmdk. --format raw stores it whole, as one file.

            --memory takes what virsh save, virsh dump, QEMU's migrate and dump-guest-memory, xl save and xl dump-core \
            write; it is stored by pages and given back byte for byte.

            The images must not change while they are read: shut the guest down or take a snapshot first. \
            A restore point appears when all disks are complete; interrupted, the next run uploads almost nothing \
            twice.
            """)

    @OptionGroup var options: RepositoryOptions
    @OptionGroup var load: LoadOptions
    var usualNice: Int { LoadOptions.backgroundNice }
    @Option(help: ArgumentHelp("Name of the guest, or its id.", valueName: "name"))
    var guest: String
    @Argument(
        help: ArgumentHelp(
            "Disk images, appliances or block devices; - reads one from standard input.", valueName: "image"))
    var images: [String] = []
    @Option(help: ArgumentHelp("An image with a name for the disk; may be repeated.", valueName: "name=image"))
    var disk: [String] = []
    @Option(help: ArgumentHelp("The guest's memory; - reads it from standard input.", valueName: "file"))
    var memory: String?
    @Option(help: ArgumentHelp("Format of all images: raw, qcow2, vmdk, vhd, vhdx, vdi.", valueName: "format"))
    var format: String?
    @Flag(help: "Follow backing files outside of the image's own folder.")
    var allowBacking = false
    @Flag(help: "Read images and devices although a guest, a mount or another program uses them.")
    var force = false
    @Flag(help: "This is a new guest, although another one has the same name.")
    var newGuest = false
    @Option(
        help: ArgumentHelp(
            "Regions in work at once, 1 to 16, about 55 MiB each; by default one a processor, at most 3.",
            valueName: "n"))
    var jobs: Int?
    @Option(help: ArgumentHelp("zstd level, 1 to 19.", valueName: "n"))
    var compression = 1

    func validate() throws {
        guard jobs.map({ (1...16).contains($0) }) ?? true else { throw ValidationError("--jobs is 1 to 16") }
        guard (1...19).contains(compression) else { throw ValidationError("--compression is 1 to 19") }
        guard !guest.isEmpty, guest.utf8.count <= 255 else {
            throw ValidationError("a guest's name has 1 to 255 bytes")
        }
        for name in [guest] + disk + images + (memory.map { [$0] } ?? []) where !NameCheck.isFit(name) {
            throw ValidationError(
                "\(Console.printable(name)) is no name: it is blank, not UTF-8, or has control characters")
        }
        if let format, ImageFormat(name: format) == nil {
            throw ValidationError("\(format) is none of raw, qcow2, vmdk, vhd, vhdx, vdi")
        }
    }

    private struct Document: Encodable {
        let point: PointDocument
        let read_bytes: UInt64
        let new_bytes: UInt64
        let stored_bytes: UInt64
        let seconds: Double
    }

    func run() async throws {
        Interruption.wasBackup.store(true, ordering: .relaxed)
        let memory = memory.map { MemoryArgument(path: $0) }
        let isMemoryAlone = memory != nil && images.isEmpty && disk.isEmpty
        let named =
            isMemoryAlone ? [] : try DiskArgument.parse(images: images, disks: disk, members: disksOfAppliance)
        try memory?.check(beside: named)
        if named.contains(where: { $0.path == "-" }), let format, format != ImageFormat.raw.name {
            throw CommandFailure(.usage, "standard input is read as a raw disk; write it to a file to read \(format)")
        }
        let store = try options.store()
        let rates = load.rates()
        var repository = try await options.opened(with: try await accessKey(store), rates: rates)
        let host = try HostContext(repository.chain.repository)
        let lock = try host.lock()
        defer { withExtendedLifetime(lock) {} }
        let known = try await KnownGuest.find(guest, isNew: newGuest, repository: repository, host: host)
        let writer = try await host.writer(&repository, label: HostPaths.hostName) { options.note($0) }
        var disks: [BackupDisk] = []
        let takenAt = SystemClock.system.wall()
        do {
            for argument in named { disks.append(try await open(argument, known: known, rates: rates)) }
            if let memory { disks += try await open(memory, rates: rates) }
            let document = try await run(
                disks, repository: repository.acting(as: writer), host: host, known: known, takenAt: takenAt)
            await close(disks)
            try show(document)
            warn(document, known: known)
            await updateCatalog(repository)
        } catch {
            await close(disks)
            throw error
        }
    }

    /// The disks of an appliance; `nil` for anything else, and for one that is stored whole.
    private func disksOfAppliance(_ path: String) throws -> [String]? {
        guard Appliance.isNamed(path) else { return nil }
        guard format != ImageFormat.raw.name else {
            options.note("note: \(Console.printable(path)) is stored whole, as one file")
            return nil
        }
        let appliance = try Appliance(opening: path)
        for line in appliance.notes { options.note("note: \(Console.printable(line))") }
        return appliance.disks
    }

    /// What was given; else the key that this host keeps for the repository; else a question.
    private func accessKey(_ store: DirectoryStore) async throws -> RepositoryAccessKey {
        if let given = try options.givenKey() { return given }
        if let kept = try await HostContext.keptCredential(for: store) { return .credential(kept) }
        return try options.key()
    }

    private func open(_ argument: DiskArgument, known: KnownGuest, rates: Rates) async throws -> BackupDisk {
        guard argument.path != "-" else { return .standardInput(name: argument.name, mayBeEmpty: force) }
        let source = try await ImageOpener.open(
            path: argument.path, format: format.flatMap(ImageFormat.init(name:)),
            allowBacking: allowBacking ? .anywhere : .ownFolder,
            recordedFormat: known.formats[argument.name].flatMap(ImageFormat.init(name:)),
            options: OpenOptions(
                connections: jobs ?? min(16, HostPaths.processorCount), ignoresUse: force))
        for line in source.summary.notes { options.note("note: \(Console.printable(line))") }
        return .image(
            name: argument.name, source: rates.reads.map { PacedImageSource(source, limit: $0) } ?? source)
    }

    private func open(_ memory: MemoryArgument, rates: Rates) async throws -> [BackupDisk] {
        let line = ProgressLine(isQuiet: options.quiet)
        defer { line.clear() }
        let opened = try await memory.open(ignoresUse: force, reads: rates.reads) {
            line.show("putting standard input aside", passed: $0, total: nil, more: "")
        }
        line.clear()
        // How it is stored is told whatever else is quiet: the next point may cost as much again.
        for note in opened.notes { Console.note("note: \(Console.printable(note))") }
        return opened.disks
    }

    private func close(_ disks: [BackupDisk]) async {
        for case .image(_, let source, _) in disks { await source.close() }
    }

    private func run(
        _ disks: [BackupDisk], repository: OpenRepository, host: HostContext, known: KnownGuest, takenAt: UInt64
    ) async throws -> Document {
        let session = try await WritingSession.begin(
            repository, state: host.state, randomness: .system, bases: { _ in known.base.map { [$0] } ?? [] })
        let told = Set(session.view.notes + session.index.notes)
        options.notes(session.view.notes + session.index.notes)
        let plan = BackupPlan(
            guest: known.guest, label: known.label, takenAt: takenAt, host: HostPaths.hostName,
            tool: "dozo \(DozoCommand.version)", base: known.base,
            workers: jobs ?? min(BackupPlan.mostWorkers, HostPaths.processorCount),
            level: compression, now: SystemClock.system.wall)
        let line = ProgressLine(isQuiet: options.quiet)
        defer { line.clear() }
        let run = try BackupRun(session, plan: plan) { progress in
            line.show(
                "backing up \(Console.printable(progress.disk))", passed: progress.passed, total: progress.total,
                more: ", \(Console.size(progress.new)) new, \(Console.size(progress.stored)) stored")
        }
        let record = try await run.run(disks)
        var formats = known.formats
        for image in record.disks { formats[image.name] = image.format }
        // The point is made; what this host cannot keep about it is told and is no failure.
        do {
            try host.state.keep(
                guest: HostState.Guest(identifier: known.guest, base: record.identifier, formats: formats),
                named: known.label)
        } catch {
            line.clear()
            Console.note("note: \(CommandFailure(error).sentence)")
        }
        for line in session.index.notes where !told.contains(line) { Console.note("note: \(Console.printable(line))") }
        for late in session.lateNotes { Console.note("note: \(Console.printable(late))") }
        let point = RestorePoint(
            record: record, writer: session.writer, session: session.session, entry: 0, slot: session.slot.slot)
        return Document(
            point: PointDocument(point), read_bytes: record.volume.read, new_bytes: record.volume.new,
            stored_bytes: record.volume.stored, seconds: line.elapsed)
    }

    /// The catalog follows when the credential opens points; it can always be made anew, so failing is a note.
    private func updateCatalog(_ repository: OpenRepository) async {
        guard repository.credential.role == .owner else {
            return options.note(
                "note: the catalog was not brought up to date: a writer's key opens no restore points; `dozo catalog "
                    + "rebuild` with the passphrase does it")
        }
        do {
            let database = try CatalogDatabase(stateFolder: try HostContext.stateFolder())
            try CatalogProjection(database).project(view: try await repository.view(), chain: repository.chain)
        } catch {
            options.note("note: the catalog was not brought up to date: \(CommandFailure(error).sentence)")
        }
    }

    /// Says what a person would want to look at, whatever else is quiet.
    private func warn(_ document: Document, known: KnownGuest) {
        for disk in document.point.disks where disk.size_bytes == 0 {
            Console.note("note: disk \(Console.printable(disk.name)) is empty; was that meant?")
        }
        let names = Set(document.point.disks.map(\.name))
        if names.isEmpty, document.point.memory { return }
        for name in known.formats.keys.sorted() where !names.contains(name) {
            Console.note(
                "note: disk \(Console.printable(name)), which an earlier point of this guest has, is not in this one")
        }
    }

    private func show(_ document: Document) throws {
        if options.json { return try Console.json(document) }
        let point = document.point
        Console.result("point \(point.id)")
        let size = point.disks.reduce(0) { $0 + $1.size_bytes }
        var what: [String] = []
        if !point.disks.isEmpty || !point.memory {
            what.append("\(Console.count(point.disks.count, "disk")), \(Console.size(size))")
        }
        if let format = point.memory_format { what.append("memory as \(format)") }
        options.note(
            "\(Console.printable(point.guest)): \(what.joined(separator: ", and ")); read "
                + "\(Console.size(document.read_bytes)), new \(Console.size(document.new_bytes)), stored "
                + "\(Console.size(document.stored_bytes)) in \(Console.duration(document.seconds))"
        )
    }
}
