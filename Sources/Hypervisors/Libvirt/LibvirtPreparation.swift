import BackupModel
import Effects
import GuestSource

/// What is decided before the instant; nothing that the guest does was touched yet.
final class LibvirtPreparation: CapturePreparation {
    private let guest: LibvirtGuest
    private let request: CaptureRequest
    private let place: ScratchPlace
    private let owner: PathOwner?
    private let plan: CheckpointPlan
    private let taken: [GuestDisk]
    private let omitted: [GuestDisk]

    init(_ guest: LibvirtGuest, _ request: CaptureRequest) throws(GuestError) {
        self.guest = guest
        self.request = request
        let state = try guest.state
        guard state == .running || state == .paused else {
            throw GuestError(
                .wrongState,
                "the guest \(guest.name) is \(state.rawValue), and libvirt takes an instant of guests that run only; "
                    + "back up its images instead: dozo backup --guest NAME IMAGE…")
        }
        guard guest.host.isLocal else {
            throw GuestError(
                .refused,
                "\(guest.host.uri) is the libvirt of another host, and disks are read on the host that has them; run "
                    + "dozo there")
        }
        try request.refuseLiveMemory(of: guest.name, by: "libvirt")
        let domain = try guest.domainDefinition()
        guard try guest.canBackUp(domain) else {
            if domain.kind == "xen" {
                throw GuestError(
                    .refused,
                    "libvirt takes no instants of guests of Xen while they run; take the guest \(guest.name) through "
                        + "Xen's own toolstack instead: dozo backup --xl \(guest.name)")
            }
            throw GuestError(
                .refused,
                "libvirt at \(guest.host.uri) (driver \(try guest.host.driver)) takes no instants of the guest "
                    + "\(guest.name) while it runs; shut it down and back up its images")
        }
        try LibvirtPreparation.requireNoJob(guest)
        ScratchPlace.clear(request.scratchFolder)
        if request.memory != nil { try LibvirtMemory.requireRoom(for: domain, guest, in: request.scratchFolder) }
        if let free = HostPaths.freeBytes(request.scratchFolder), free <= guest.host.scratchReserve {
            throw GuestError(
                .scratch,
                "\(request.scratchFolder) has \(free >> 20) MiB left, and more than \(guest.host.scratchReserve >> 20) "
                    + "are needed for what the guest \(guest.name) overwrites; give another folder with --scratch")
        }
        (taken, omitted) = try GuestDisk.chosen(
            try guest.disks(of: domain), excluded: request.excluded, guest: guest.name)
        try GuestDisk.requireSafe(taken, guest: guest.name)
        let checkpoints = try LibvirtPreparation.checkpoints(guest, request)
        plan = CheckpointPlan(
            disks: taken, checkpoints: checkpoints, request: request,
            listless: Set(taken.filter(LibvirtPreparation.isOldImage).map(\.name)))
        owner = domain.owner ?? LibvirtPreparation.processOwner(uuid: guest.uuid)
        place = try ScratchPlace(in: request.scratchFolder, point: request.point, owner: owner)
    }

    /// Bytes of a qcow2 image that say its version: a mark and a number.
    private static let versionMark: [UInt8] = Array("QFI".utf8) + [0xFB, 0, 0, 0, 2]

    /// Whether a disk is a qcow2 image of version 2, which has no room for lists of changes; one such disk would cost
    /// all disks of the guest theirs, for libvirt begins them together.
    private static func isOldImage(_ disk: GuestDisk) -> Bool {
        guard disk.format == "qcow2", let path = disk.location, path.hasPrefix("/") else { return false }
        return HostPaths.beginning(path, count: versionMark.count) == versionMark
    }

    /// Refuses while a job runs that is not a dead run's of ours; ends that one.
    private static func requireNoJob(_ guest: LibvirtGuest) throws(GuestError) {
        let xml = try guest.ask("asking for its backup job") { domain throws(LibvirtFailure) in try domain.backup() }
        if let xml {
            let backup = RunningBackup(xml: xml)
            switch ScratchPlace.run(of: backup) {
            case .foreign:
                throw GuestError(
                    .busy,
                    "another program is backing up the guest \(guest.name), and libvirt runs one backup of a guest at "
                        + "a time; wait until it is done, or end it: virsh domjobabort \(guest.name)")
            case .alive(let folder):
                throw GuestError(
                    .busy, "the guest \(guest.name) is being captured by another run of dozo (\(folder)); wait for it")
            case .gone(let folder):
                try guest.endBackup()
                ScratchPlace.removeLeft(backup, folder: folder)
            }
        }
        let isBusy: Bool
        do throws(GuestError) {
            isBusy = try guest.ask("asking for its job") { domain throws(LibvirtFailure) in try domain.hasJob() }
        } catch {
            guard error.sentence.contains("backup job data missing") else { throw error }
            throw GuestError(
                .wrongState,
                "\(error.sentence); libvirtd was killed in the instant in which a backup began, and does nothing with "
                    + "the guest any more (seen with libvirt 9.0). The guest runs on: shut it down from inside, "
                    + "restart libvirtd, and start it again")
        }
        if isBusy {
            throw GuestError(
                .busy,
                "a job runs on the guest \(guest.name), such as a migration or a save (virsh domjobinfo "
                    + "\(guest.name)); wait until it is done")
        }
    }

    /// Facts of this repository's checkpoints.
    private static func checkpoints(
        _ guest: LibvirtGuest, _ request: CaptureRequest
    ) throws(GuestError) -> [CheckpointFacts] {
        let documents = try guest.ask("asking for its checkpoints") { domain throws(LibvirtFailure) in
            var documents: [String] = []
            for checkpoint in try domain.checkpoints() where checkpoint.name.hasPrefix(request.listPrefix) {
                // One whose sizes cannot be counted may as well be gone: its disks are then read whole.
                guard let xml = try? checkpoint.xml(withSizes: true) else {
                    documents.append(try checkpoint.xml(withSizes: false))
                    continue
                }
                documents.append(xml)
            }
            return documents
        }
        return documents.compactMap(CheckpointFacts.init)
    }

    /// Most bytes of a program's words; Linux allows 2 MiB unless told otherwise.
    private static let longestCommandLine = 2 << 20

    /// Whom the QEMU of a guest runs as, when it is a process of this host that can be looked at.
    private static func processOwner(uuid: String) -> PathOwner? {
        guard let names = try? HostFiles(root: "/proc").names(in: "") else { return nil }
        for name in names where UInt32(name) != nil {
            guard let line = try? HostPaths.read("/proc/\(name)/cmdline", limit: longestCommandLine) else { continue }
            let words = line.split(separator: 0, omittingEmptySubsequences: false)
            guard let index = words.firstIndex(of: Array("-uuid".utf8)[...]), index + 1 < words.count,
                words[index + 1].elementsEqual(uuid.utf8)
            else { continue }
            return PathOwner(of: "/proc/\(name)")
        }
        return nil
    }

    func abandon() async { place.remove(disks: taken.map(\.name)) }

    func take(watch: (any CaptureWatch)?) async throws -> any GuestCapture {
        do {
            let (plan, instant) = request.memory == nil ? try begin() : try await standingStill(watch)
            let capture = LibvirtCapture(
                guest, request, place, plan: plan, taken: taken, omitted: omitted, instant: instant)
            do {
                try await capture.open()
            } catch {
                await capture.abandon()
                if let error = error as? SourceError {
                    throw GuestError(.refused, "guest \(guest.name): \(error.sentence)")
                }
                throw error
            }
            return capture
        } catch {
            place.remove(disks: taken.map(\.name))
            throw error
        }
    }

    /// The instant of disks and memory: the guest stands still until its memory is written and the backup has begun.
    private func standingStill(
        _ watch: (any CaptureWatch)?
    ) async throws -> (plan: CheckpointPlan, instant: LibvirtInstant) {
        let wasRunning = try guest.state == .running
        if wasRunning { try watch?.stops() }
        let clock = guest.host.clock
        let began = clock.monotonic()
        var before = clock.wall()
        var half: UInt64 = 0
        let result: Result<CheckpointPlan, any Error>
        do {
            if wasRunning {
                try guest.ask("stopping it") { domain throws(LibvirtFailure) in try domain.suspend() }
                half = (clock.monotonic() - began) / 2
            }
            before &+= half
            let all = (taken + omitted).filter { !$0.name.hasPrefix("hostdev") }.map(\.name)
            try await LibvirtMemory.write(all, of: guest, to: place.memory)
            try Task.checkCancellation()
            try reopen()
            let (plan, _) = try begin()
            guard try guest.state == .paused else {
                undo()
                throw GuestError(
                    .wrongState,
                    "somebody let the guest \(guest.name) go on, or ended it, while its memory was taken; "
                        + "nothing was made")
            }
            result = .success(plan)
        } catch { result = .failure(error) }
        // Whatever happened: a guest that ran goes on.
        if wasRunning {
            try guest.goOn()
            try watch?.runs()
        }
        let pause = wasRunning ? clock.monotonic() - began : 0
        return (try result.get(), LibvirtInstant(taken: before, uncertainty: half, pause: pause))
    }

    /// Lets QEMU have its images open again, and their lists of changes, which it gave up at the end of the stream of
    /// its memory: it opens what it is to serve. So a backup of everything begins for a moment
    /// (`docs/design/0009-memory-of-stopped-guests.md`).
    private func reopen() throws(GuestError) {
        let whole = plan.whole(because: "its memory is taken").unlisted()
        do throws(LibvirtFailure) { _ = try begin(whole) } catch {
            undo()
            throw refusal(error)
        }
        try guest.endBackup()
        place.removeScratch(disks: taken.map(\.name))
    }

    /// The instant. What libvirt refuses is asked for again with less: without what changed, then without a new list.
    private func begin() throws(GuestError) -> (plan: CheckpointPlan, instant: LibvirtInstant) {
        let running = try guest.ask("asking for its backup job") { domain throws(LibvirtFailure) in
            try domain.backup() != nil
        }
        // libvirt would wait half a minute for its end, with the guest's file systems at rest.
        if running { throw GuestError(.busy, "another program began a backup of the guest \(guest.name); try again") }
        var plan = plan
        while true {
            do throws(LibvirtFailure) {
                return (plan, try begin(plan))
            } catch {
                undo()
                guard !LibvirtPreparation.isFinal(error), plan.isIncremental || !plan.listed.isEmpty else {
                    throw refusal(error)
                }
                plan = (plan.isIncremental ? plan : plan.unlisted())
                    .whole(because: "libvirt does not give what changed: \(error.message)")
            }
        }
    }

    private func begin(_ plan: CheckpointPlan) throws(LibvirtFailure) -> LibvirtInstant {
        let names = taken.map(\.name)
        let backup = BackupDocuments.backup(
            names, plan: plan, request: request, socket: place.socket, scratch: place.scratch)
        let all = names + omitted.filter { $0.location != nil && !$0.name.hasPrefix("hostdev") }.map(\.name)
        let checkpoint = BackupDocuments.checkpoint(all, plan: plan, request: request)
        let connection: LibvirtConnection
        do throws(GuestError) { connection = try guest.host.connected() } catch {
            throw LibvirtFailure(code: LibvirtFailure.Code.noConnection, message: error.sentence)
        }
        let domain = try connection.domain(uuid: guest.uuid)
        let before = guest.host.clock.wall()
        let began = guest.host.clock.monotonic()
        try domain.beginBackup(backup, checkpoint: checkpoint)
        // It lies somewhere within the call.
        let half = (guest.host.clock.monotonic() - began) / 2
        // libvirt does not stop the guest for it; its writes wait for the milliseconds of QEMU's transaction.
        return LibvirtInstant(taken: before &+ half, uncertainty: half, pause: 0)
    }

    /// Whether asking for less is of no use.
    private static func isFinal(_ failure: LibvirtFailure) -> Bool {
        [
            LibvirtFailure.Code.noConnection, LibvirtFailure.Code.invalidConnection, LibvirtFailure.Code.remoteCall,
            LibvirtFailure.Code.noDomain, LibvirtFailure.Code.notNow, LibvirtFailure.Code.timeout,
            LibvirtFailure.Code.systemError,
        ].contains(failure.code)
    }

    private func refusal(_ failure: LibvirtFailure) -> GuestError {
        let sentence = "guest \(guest.name): libvirt did not begin the backup"
        if let owner, let barrier = owner.barrier(on: place.folder) {
            return GuestError(
                .scratch,
                "\(sentence): \(failure.message); QEMU runs as user \(owner.user), which may not look behind "
                    + "\(barrier): give --scratch a folder that it may reach")
        }
        return failure.guestError(sentence)
    }

    /// After a failed begin: also one whose answer was lost may have begun.
    private func undo() {
        let ours = try? guest.ask("asking for its backup job") { domain throws(LibvirtFailure) in
            try domain.backup().map(RunningBackup.init)?.socket == place.socket
        }
        if ours ?? false { try? guest.endBackup() }
        _ = guest.removeCheckpoint(request.listName(request.point))
        place.removeScratch(disks: taken.map(\.name))
    }
}
