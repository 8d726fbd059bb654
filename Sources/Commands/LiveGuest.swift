import BackupModel
import Capture
import Effects
import GuestSource
import Hypervisors
import MapCache
import Repository
import RepositoryFormat

/// One running guest of a backup: what it is to be built on, and from its instant to its point.
struct LiveGuest {
    let address: GuestAddress
    let guest: any Guest
    let definition: GuestDefinition
    let known: KnownGuest
    let point: PointID
    let command: BackupCommand
    private let keeper: MapKeeper?
    private let door: FileLock?
    private let lock: GuestLock
    private var options: RepositoryOptions { command.options }
    private var live: LiveOptions { command.live }

    /// Connects, and finds out which guest it is.
    ///
    /// - Parameter others: guests of the same run.
    init(
        _ address: GuestAddress, _ command: BackupCommand, target: BackupTarget, besides others: [KnownGuest]
    ) async throws {
        self.address = address
        self.command = command
        if case .monitor(let socket, _) = address {
            door = try GuestLock.door(socket, of: command.guest ?? socket, host: target.host)
        } else {
            door = nil
        }
        guest = try await address.open()
        var definition = try await guest.definition()
        for name in definition.fitFiles() {
            command.options.note(
                "note: \(Console.printable(name)) of the guest's definition is too large to be kept; save it yourself")
        }
        self.definition = definition
        for line in definition.notes { Console.note("note: \(Console.printable(line))") }
        let (name, uuid) = (try LiveGuest.name(definition, command), definition.usableUUID)
        guard !others.contains(where: { $0.label == name && $0.uuid == uuid }) else {
            throw CommandFailure(
                .usage,
                "two of the guests are called \(Console.printable(name)) and nothing else tells them apart: start "
                    + "QEMU with -uuid, or back them up one by one with --guest NAME")
        }
        lock = try GuestLock(name, uuid: uuid, isNew: command.newGuest, host: target.host)
        known = try await lock.taken {
            let known = try await KnownGuest.find(
                name, uuid: uuid, isNew: command.newGuest, repository: target.repository, host: target.host)
            // What was known by its name alone can be one of them only.
            guard others.contains(where: { $0.guest == known.guest }) else { return known }
            return try await KnownGuest.find(
                name, uuid: uuid, isNew: true, repository: target.repository, host: target.host)
        }
        guard let point = PointID(bytes: Randomness.system.bytes(16)) else {
            preconditionFailure("16 bytes make an id")
        }
        self.point = point
        keeper = target.mapKeeper(known, point: point, command.options)
    }

    /// What to call it in messages.
    var label: String { Console.printable(known.label) }

    private static func name(_ definition: GuestDefinition, _ command: BackupCommand) throws -> String {
        if let name = command.guest { return name }
        guard NameCheck.isFit(definition.name), (1...255).contains(definition.name.utf8.count) else {
            throw CommandFailure(
                .usage, "the hypervisor knows no name of the guest that could be used; say --guest NAME")
        }
        return definition.name
    }

    private func scratchFolder(_ target: BackupTarget) throws -> String {
        let usual = address.usualScratchFolder
        let folder = live.scratch.map(HostPaths.absolute) ?? usual ?? "\(target.host.folder)/scratch"
        if live.scratch == nil {
            try HostPaths.makeFolders(folder)
            if usual != nil { try HostPaths.letPass(folder) }
        } else if !HostPaths.isFolder(folder) {
            throw CommandFailure(.usage, "\(folder) is no folder; --scratch names an existing one on a local disk")
        }
        return folder
    }

    // MARK: Before the instant

    /// Makes ready what takes long.
    func prepare(_ target: BackupTarget) async throws -> any CapturePreparation {
        let capabilities = try await guest.capabilities
        guard live.withMemory == nil || capabilities.contains(.memory) else {
            throw CommandFailure(
                .refused,
                "the memory of \(label) cannot be taken here; `virsh save` writes it, and --memory FILE stores that")
        }
        let disks = try await guest.disks()
        var request = CaptureRequest(
            point: point, repository: "\(target.repository.chain.repository)", bases: [:],
            excluded: Set(live.exclude), scratchFolder: try scratchFolder(target))
        for disk in disks { request.last[disk.name] = keeper?.kept(disk: disk.name)?.point }
        choose(disks, for: &request)
        request.memory = live.withMemory
        request.mayStayPaused = live.whilePaused
        request.snapshotByteCount = live.snapshotSize.flatMap(SizeText.parse)
        return try await guest.prepare(request)
    }

    /// What disks may be built on, with what speaks against it told. Whether the repository still shows a point is
    /// asked when the session has begun.
    private func choose(_ disks: [GuestDisk], for request: inout CaptureRequest) {
        guard let keeper else { return }
        for disk in disks {
            let choice = keeper.choice(
                disk: disk.name, identity: LiveGuest.identity(of: disk), fullReadEvery: live.fullReadEvery)
            guard disk.omission == nil, !live.exclude.contains(disk.name) else { continue }
            request.unfinished[disk.name] = choice.unfinished
            request.bases[disk.name] = choice.base
            guard choice.unfinished == nil, let doubt = choice.doubt else { continue }
            switch doubt {
            case .lied: tellWhole(disk.name, "because the last run caught its list of changes lying")
            case .due: tellWhole(disk.name, "as after every \(live.fullReadEvery) points")
            case .otherImage: tellWhole(disk.name, "because it is another image than at the last point")
            }
        }
        if let failure = keeper.failure { options.note("note: \(failure); everything is read") }
    }

    /// The images of a disk as the hypervisor names them, and which files they are: one that is put in the place of
    /// another, or a backing file that somebody writes, is noticed.
    private static func identity(of disk: GuestDisk) -> String {
        guard let identity = disk.identity else { return "" }
        // A line an image, or libvirt's way: the first names the format, the rest the file.
        let links = identity.split(separator: "\n").flatMap { $0.split(separator: " on ") }
        let marks = links.enumerated().map { number, link in
            guard let slash = link.firstIndex(of: "/") else { return "?" }
            return HostPaths.mark(String(link[slash...]), isWritten: number == 0) ?? "?"
        }
        return ([identity] + marks).joined(separator: "\n")
    }

    private func tellWhole(_ disk: String, _ why: String) {
        options.note("note: \(label), disk \(Console.printable(disk)): read whole, \(why)")
    }

    // MARK: Behind it

    /// Reads the disks of the instant and makes the point.
    func store(
        _ capture: any GuestCapture, machine: RestorePointRecord.Machine, level: GuestRest.Level,
        target: BackupTarget, rates: Rates, watch: Stopwatch
    ) async throws -> BackupDocument {
        let session = try await target.begin(basedOn: known.base, options)
        var disks: [BackupDisk] = []
        for captured in capture.disks {
            let source: any ImageSource =
                rates.reads.map { PacedImageSource(captured.source, limit: $0) } ?? captured.source
            disks.append(
                .image(
                    name: captured.disk.name, source: source,
                    since: try earlier(captured, session: session, target: target)))
        }
        if let stream = try await capture.memory() {
            let opened = try MemoryArgument.opened(stream, reads: rates.reads)
            for note in opened.notes { Console.note("note: \(label): \(Console.printable(note))") }
            disks += opened.disks
        }
        disks.append(.definition(BytesSource(definition.encodedFiles, name: BackupDisk.definitionName)))
        for disk in capture.omitted {
            options.note(
                "note: \(label), disk \(Console.printable(disk.name)) is left out: \(disk.omission?.words ?? "")")
        }
        var plan = command.plan(known, takenAt: capture.takenAt)
        plan.point = point
        plan.consistency = level.rawValue
        plan.machine = machine
        plan.confirm = { try await capture.confirm() }
        plan.vouch = { try await capture.confirm() }
        plan.readBefore = keeper?.readBefore ?? [:]
        plan.pause = { capture.pause }
        let job = BackupJob(
            target: target, session: session, known: known, options: options, watch: watch, rates: rates)
        do {
            var document = try await job.run(disks, plan: plan, recorder: keeper)
            let lacking = capture.omitted.filter { $0.omission?.isMeant == false }
            if !lacking.isEmpty {
                document.left_out = lacking.map { .init(name: $0.name, why: $0.omission?.words ?? "") }
            }
            return document
        } catch let error as SourceError where [.serverFailed, .readFailed, .shrank].contains(error.code) {
            // The hypervisor knows better what became of the instant than what it was read from.
            try await capture.confirm()
            throw error
        }
    }

    /// What a disk was, and what changed; `nil` when it is read whole, with the reason told.
    private func earlier(
        _ captured: CapturedDisk, session: WritingSession, target: BackupTarget
    ) throws -> EarlierImage? {
        guard let keeper else { return nil }
        let (disk, byteCount) = (captured.disk.name, captured.source.byteCount)
        keeper.readsWhole(disk: disk, byteCount: byteCount)
        guard keeper.kept(disk: disk) != nil || keeper.unfinished(disk: disk) != nil else { return nil }
        switch captured.changes {
        case .unknown(let reason):
            // When a reason was found before, it was told before.
            if keeper.hasChoice(of: disk) { tellWhole(disk, reason) }
            return nil
        case .since(let base, let extents):
            let damage = try target.host.state.damage()
            guard damage.packs.isEmpty, session.view.gaps.isEmpty else {
                tellWhole(
                    disk, "because something of the repository is damaged: what is lost and still there is stored again"
                )
                return nil
            }
            do {
                return try keeper.earlier(
                    disk: disk, byteCount: byteCount, since: base, extents: extents,
                    sampling: ChangeSampling(perMille: live.sample * 10, seed: Randomness.system.word),
                    isShown: { session.view.shows($0, committedBy: $1) })
            } catch let error as EarlierImageUnusable {
                tellWhole(disk, error.reason)
                return nil
            }
        }
    }

    // MARK: Stopped

    /// Keeps what was read of a capture of which no point was made, for the next run.
    ///
    /// - Returns: whether it is kept, so that the list of changes that began at the instant has to stay.
    func keepProgress(of capture: any GuestCapture) async -> Bool {
        guard let keeper else { return false }
        if await capture.vouchesForReads() { keeper.keepProgress(isLast: true) } else { keeper.keepReads() }
        return keeper.hasKeptProgress
    }
}

extension Randomness {
    /// 64 bits.
    fileprivate var word: UInt64 { bytes(8).reduce(0) { $0 << 8 | UInt64($1) } }
}
