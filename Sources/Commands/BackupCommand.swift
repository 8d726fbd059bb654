import ArgumentParser
import BackupModel
import Capture
import Catalog
import Effects
import GuestSource
import MapCache
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
              dozo backup -r /backup/dozo --domain web01
              dozo backup -r /backup/dozo --qmp /run/web01.qmp --agent /run/web01.qga
              dozo backup -r /backup/dozo --xl web01 --with-memory
              dozo backup -r /backup/dozo --guest web01 --memory web01.save
              dozo backup -r /backup/dozo --guest web01 --tag audit /images/web01.raw

            An appliance (.ova) stands for all its disks; one of them is \
            app01.ova/disk1.vmdk. --format raw stores it whole, as one file.

            A running guest (--domain, --qmp, --xl) is taken at one instant while it goes on, and only what changed \
            since its last point is read, where the hypervisor knows it. Image files must not change while they are \
            read: shut the guest down first.

            --memory takes what virsh save, virsh dump, QEMU's migrate and dump-guest-memory, xl save and xl dump-core \
            write; it is stored by pages and given back byte for byte.

            A restore point appears when all disks are complete; interrupted, the next run uploads almost nothing \
            twice.
            """)

    @OptionGroup var options: RepositoryOptions
    @OptionGroup var load: LoadOptions
    @OptionGroup var origin: OriginOptions
    @OptionGroup(title: "Running guests") var live: LiveOptions
    var usualNice: Int { LoadOptions.backgroundNice }
    @Option(help: ArgumentHelp("Name of the guest, or its id; a running guest has one already.", valueName: "name"))
    var guest: String?
    @Argument(
        help: ArgumentHelp(
            "Disk images, appliances or block devices; - reads one from standard input.", valueName: "image"),
        completion: .file())
    var images: [String] = []
    @Option(help: ArgumentHelp("An image with a name for the disk; may be repeated.", valueName: "name=image"))
    var disk: [String] = []
    @Option(
        help: ArgumentHelp("The guest's memory; - reads it from standard input.", valueName: "file"),
        completion: .file())
    var memory: String?
    @Option(
        help: ArgumentHelp("Format of all images: raw, qcow2, vmdk, vhd, vhdx, vdi.", valueName: "format"),
        completion: .list(ImageFormat.allCases.map(\.name)))
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
        guard guest != nil || !live.addresses.isEmpty else { throw ValidationError("which guest? say --guest NAME") }
        guard live.addresses.isEmpty || images.isEmpty && disk.isEmpty else {
            throw ValidationError("a running guest is taken whole; leave disks out with --exclude NAME")
        }
        guard live.addresses.isEmpty || memory == nil else {
            throw ValidationError("--memory stands beside image files; for a running guest say --with-memory")
        }
        guard guest == nil || live.addresses.count <= 1 else {
            throw ValidationError("several guests keep the names they have: leave --guest out")
        }
        guard guest.map({ (1...255).contains($0.utf8.count) }) ?? true else {
            throw ValidationError("a guest's name has 1 to 255 bytes")
        }
        for name in [guest, memory].compactMap(\.self) + disk + images where !NameCheck.isFit(name) {
            throw ValidationError(
                "\(Console.printable(name)) is no name: it is blank, not UTF-8, or has control characters")
        }
        if let format, ImageFormat(name: format) == nil {
            throw ValidationError("\(format) is none of raw, qcow2, vmdk, vhd, vhdx, vdi")
        }
    }

    func run() async throws {
        Interruption.wasBackup.store(true, ordering: .relaxed)
        if !live.addresses.isEmpty { return try await LiveBackup(self).run() }
        let memory = memory.map { MemoryArgument(path: $0) }
        let isMemoryAlone = memory != nil && images.isEmpty && disk.isEmpty
        let named =
            isMemoryAlone ? [] : try DiskArgument.parse(images: images, disks: disk, members: disksOfAppliance)
        try memory?.check(beside: named)
        if named.contains(where: { $0.path == "-" }), let format, format != ImageFormat.raw.name {
            throw CommandFailure(.usage, "standard input is read as a raw disk; write it to a file to read \(format)")
        }
        let rates = load.rates()
        let watch = Stopwatch()
        let target = try await BackupTarget(options, rates: rates)
        let name = guest ?? ""
        let lock = try GuestLock(name, uuid: nil, isNew: newGuest, host: target.host)
        defer { withExtendedLifetime(lock) {} }
        let known = try await lock.taken {
            try await KnownGuest.find(name, isNew: newGuest, repository: target.repository, host: target.host)
        }
        var disks: [BackupDisk] = []
        let takenAt = SystemClock.system.wall()
        do {
            for argument in named { disks.append(try await open(argument, known: known, rates: rates)) }
            if let memory { disks += try await open(memory, rates: rates) }
            let session = try await target.begin(basedOn: known.base, options)
            let job = BackupJob(
                target: target, session: session, known: known, options: options, watch: watch, rates: rates)
            let document = try await store(disks, of: known, at: takenAt, by: job)
            await close(disks)
            try document.show(options)
            warn(document, known: known)
            await target.updateCatalog(options)
        } catch {
            await close(disks)
            throw error
        }
    }

    /// Makes the point; of a run that is stopped it is kept what was read.
    private func store(
        _ disks: [BackupDisk], of known: KnownGuest, at time: UInt64, by job: BackupJob
    ) async throws -> BackupDocument {
        var plan = plan(known, takenAt: time)
        guard let point = PointID(bytes: Randomness.system.bytes(16)) else {
            preconditionFailure("16 bytes make an id")
        }
        plan.point = point
        let keeper = job.target.mapKeeper(known, point: point, keepsMaps: false, options)
        for case .image(let name, let source, _) in disks {
            keeper?.readsWhole(disk: name, byteCount: source.byteCount)
        }
        plan.readBefore = keeper?.readBefore ?? [:]
        do { return try await job.run(disks, plan: plan, recorder: keeper) } catch {
            keeper?.keepProgress(isLast: true)
            throw error
        }
    }

    /// What a run is told, whatever it reads.
    func plan(_ known: KnownGuest, takenAt: UInt64) -> BackupPlan {
        var plan = BackupPlan(
            guest: known.guest, label: known.label, takenAt: takenAt, host: HostPaths.hostName,
            tool: "dozo \(DozoCommand.version)", base: known.base,
            workers: jobs ?? min(BackupPlan.mostWorkers, HostPaths.processorCount), level: compression,
            now: SystemClock.system.wall)
        plan.tags = origin.tags
        plan.origin = origin.origin
        return plan
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

    /// Says what a person would want to look at, whatever else is quiet.
    private func warn(_ document: BackupDocument, known: KnownGuest) {
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
}
