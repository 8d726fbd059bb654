import BackupModel
import Capture
import Effects
import GuestSource
import Hypervisors
import MapCache
import Repository
import RepositoryFormat

/// A backup of a guest that runs.
struct LiveBackup {
    private let command: BackupCommand
    private let address: GuestAddress
    private var options: RepositoryOptions { command.options }
    private var live: LiveOptions { command.live }

    init(_ command: BackupCommand) {
        guard let address = command.live.address else { preconditionFailure("a running guest was named") }
        self.command = command
        self.address = address
    }

    func run() async throws {
        let rates = command.load.rates()
        let guest = try await address.open()
        let definition = try await guest.definition()
        let name = try guestName(definition)
        let target = try await BackupTarget(options, rates: rates)
        let known = try await KnownGuest.find(
            name, uuid: definition.usableUUID, isNew: command.newGuest, repository: target.repository,
            host: target.host)
        let session = try await target.begin(basedOn: known.base, options)
        guard let point = PointID(bytes: session.randomBytes(16)) else { preconditionFailure("16 bytes make an id") }
        let keeper = keeper(target, known)
        let scratch = try scratchFolder(target)
        let request = CaptureRequest(
            point: point, repository: "\(target.repository.chain.repository)",
            bases: try bases(keeper, guest: try await guest.disks(), session: session, target: target),
            excluded: Set(live.exclude), scratchFolder: scratch)
        let preparation = try await guest.prepare(request)
        let instant = try await take(preparation, of: guest)
        let capture = instant.capture
        do {
            let document = try await store(
                instant, definition: definition,
                job: BackupJob(target: target, session: session, known: known, options: options), point: point,
                keeper: keeper, rates: rates)
            for line in await capture.committed() { Console.note("note: \(Console.printable(line))") }
            try document.show(options)
            await target.updateCatalog(options)
        } catch {
            await capture.abandon()
            throw error
        }
    }

    private func guestName(_ definition: GuestDefinition) throws -> String {
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

    /// The maps that this host keeps; `nil` when it can keep none: then everything is read.
    private func keeper(_ target: BackupTarget, _ known: KnownGuest) -> MapKeeper? {
        guard let seed = target.writer.signingSeed else { return nil }
        do throws(MapCacheError) {
            let folder = "\(target.host.folder)/repositories/\(target.repository.chain.repository)"
            return MapKeeper(try KeptMaps(folder: folder, seed: seed), guest: known.guest)
        } catch {
            options.note("note: \(error.sentence); everything is read")
            return nil
        }
    }

    /// The points that disks may be built on, with what speaks against it told.
    private func bases(
        _ keeper: MapKeeper?, guest disks: [GuestDisk], session: WritingSession, target: BackupTarget
    ) throws -> [String: PointID] {
        guard let keeper else { return [:] }
        for disk in disks { keeper.identities[disk.name] = disk.identity ?? "" }
        let damage = try target.host.state.damage()
        guard damage.packs.isEmpty, session.view.gaps.isEmpty else {
            options.note(
                "note: something of the repository is damaged, so everything is read: what is lost and still there is "
                    + "stored again")
            return [:]
        }
        var bases: [String: PointID] = [:]
        for disk in disks where disk.omission == nil && !live.exclude.contains(disk.name) {
            guard let kept = keeper.kept(disk: disk.name) else { continue }
            func passOver(_ why: String) { options.note("note: disk \(Console.printable(disk.name)): \(why)") }
            if kept.isDoubted {
                passOver("read whole, because the last run caught its list of changes lying")
            } else if live.fullReadEvery > 0, kept.pointsSinceScan + 1 >= UInt64(live.fullReadEvery) {
                passOver("read whole, as after every \(live.fullReadEvery) points")
            } else if kept.identity != keeper.identities[disk.name] {
                passOver("read whole, because it is another image than at the last point")
            } else if !session.view.shows(kept.point, committedBy: kept.commit) {
                passOver("read whole, because the last point that this host made is not in the repository any more")
            } else {
                bases[disk.name] = kept.point
            }
        }
        if let failure = keeper.failure { options.note("note: \(failure); everything is read") }
        return bases
    }

    /// A capture, and how the guest was at its instant.
    private struct Instant {
        let capture: any GuestCapture
        /// Nanoseconds its file systems were at rest; `nil` when they were not.
        let frozen: UInt64?
    }

    private func take(_ preparation: any CapturePreparation, of guest: any Guest) async throws -> Instant {
        Instant(capture: try await preparation.take(), frozen: nil)
    }

    private func store(
        _ instant: Instant, definition: GuestDefinition, job: BackupJob, point: PointID, keeper: MapKeeper?,
        rates: Rates
    ) async throws -> BackupDocument {
        let capture = instant.capture
        var disks: [BackupDisk] = []
        for captured in capture.disks {
            let source: any ImageSource =
                rates.reads.map { PacedImageSource(captured.source, limit: $0) }
                ?? captured.source
            disks.append(
                .image(name: captured.disk.name, source: source, since: try earlier(captured, keeper: keeper)))
        }
        guard !disks.isEmpty else {
            throw CommandFailure(.refused, "the guest has no disk that could be taken; nothing was made")
        }
        disks.append(.definition(BytesSource(definition.encodedFiles, name: BackupDisk.definitionName)))
        var plan = command.plan(job.known, takenAt: capture.takenAt)
        plan.point = point
        plan.consistency = instant.frozen == nil ? "crash" : "file-system"
        plan.machine = definition.machine(of: capture, frozen: instant.frozen ?? 0)
        plan.confirm = { try await capture.confirm() }
        for disk in capture.omitted {
            options.note("note: disk \(Console.printable(disk.name)) is left out: \(disk.omission?.words ?? "")")
        }
        return try await job.run(disks, plan: plan, recorder: keeper)
    }

    /// What a disk was, and what changed; `nil` when it is read whole, with the reason told.
    private func earlier(_ captured: CapturedDisk, keeper: MapKeeper?) throws -> EarlierImage? {
        let name = Console.printable(captured.disk.name)
        switch captured.changes {
        case .unknown(let reason):
            // At its first point that is no news.
            if keeper?.kept(disk: captured.disk.name) != nil {
                options.note("note: disk \(name): read whole, \(reason)")
            }
            return nil
        case .since(let base, let extents):
            guard let keeper, let kept = keeper.kept(disk: captured.disk.name), kept.point == base else { return nil }
            do {
                let map = try keeper.map(kept, disk: captured.disk.name)
                guard map.root.byteCount == captured.source.byteCount else {
                    options.note("note: disk \(name): read whole, because its size changed")
                    return nil
                }
                return EarlierImage(
                    map: map, changed: extents,
                    sampling: ChangeSampling(
                        perMille: live.sample * 10, seed: UInt64(littleEndianBytes: Randomness.system.bytes(8))))
            } catch let error as EarlierImageUnusable {
                options.note("note: disk \(name): read whole, \(error.reason)")
                return nil
            }
        }
    }
}

extension UInt64 {
    fileprivate init(littleEndianBytes bytes: [UInt8]) {
        self = bytes.reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }
}

extension GuestDisk.Omission {
    /// In words, behind "is left out: ".
    var words: String {
        switch self {
        case .excluded: "--exclude names it"
        case .removable: "a removable drive; what is in it is noted, not copied"
        case .shareable: "several guests may write it at once, so that there is no instant of it"
        case .passedThrough: "it is given through to the guest, and nobody here sees what is written"
        case .readOnly: "the guest cannot write it; back its file up once"
        case .transient: "what is written to it goes when the guest stops"
        case .empty: "nothing is in it"
        case .unsupported(let why): why
        }
    }
}

extension GuestDefinition {
    /// The hypervisor's identity of the guest; `nil` when it has none of its own.
    var usableUUID: String? { uuid.contains { $0 != "0" && $0 != "-" } ? uuid : nil }

    /// The files as one image (format page §11).
    var encodedFiles: [UInt8] { RecordValue.map(files.mapValues { .bytes($0) }).encoded }

    /// What the record says of the machine.
    func machine(of capture: any GuestCapture, frozen: UInt64) -> RestorePointRecord.Machine {
        var machine = RestorePointRecord.Machine(hypervisor: hypervisor, name: name, uuid: usableUUID ?? "")
        machine.versions = versions
        machine.type = self.machine ?? ""
        machine.cpu = processor ?? ""
        machine.media = media
        machine.leftOut = capture.omitted.map {
            RestorePointRecord.Machine.LeftOut(name: $0.name, why: $0.omission?.words ?? "")
        }
        machine.pause = capture.pause
        machine.frozen = frozen
        machine.uncertainty = capture.uncertainty
        return machine
    }
}
