import BackupModel
import Effects
import GuestSource
import Synchronization

/// A backup job that runs: the disks of a guest at its instant.
final class LibvirtCapture: GuestCapture {
    /// Reads at once from one disk.
    private static let connections = 4

    let takenAt: UInt64
    let uncertainty: UInt64
    let pause: UInt64
    let omitted: [GuestDisk]
    private let guest: LibvirtGuest
    private let request: CaptureRequest
    private let place: ScratchPlace
    private let plan: CheckpointPlan
    private let taken: [GuestDisk]
    private let opened = Mutex<[CapturedDisk]>([])
    private let watch: ScratchWatch

    init(
        _ guest: LibvirtGuest, _ request: CaptureRequest, _ place: ScratchPlace, plan: CheckpointPlan,
        taken: [GuestDisk], omitted: [GuestDisk], instant: LibvirtInstant
    ) {
        self.guest = guest
        self.request = request
        self.place = place
        self.plan = plan
        self.taken = taken
        self.omitted = omitted
        takenAt = instant.taken
        uncertainty = instant.uncertainty
        pause = instant.pause
        watch = ScratchWatch(guest, place)
    }

    var disks: [CapturedDisk] { opened.withLock { $0 } }

    /// Connects to the disks and asks what changed.
    func open() async throws {
        for disk in taken {
            var changes: DiskChanges
            let source: NBDExportSource
            switch plan.ways[disk.name] {
            case .since(let base):
                source = try NBDExportSource.open(
                    socket: place.socket, export: disk.name, dirtyContext: BackupDocuments.context(disk.name),
                    connections: LibvirtCapture.connections, name: disk.name)
                changes = .since(base, try await source.dirtyExtents())
            case .whole(let reason):
                source = try NBDExportSource.open(
                    socket: place.socket, export: disk.name, dirtyContext: nil,
                    connections: LibvirtCapture.connections, name: disk.name)
                changes = .unknown(reason)
            case nil:
                continue
            }
            opened.withLock { $0.append(CapturedDisk(disk: disk, source: source, changes: changes)) }
        }
    }

    func memory() async throws -> (any PositionedBytes)? {
        // QEMU has written it to its end, and nobody else knows of it.
        request.memory == nil ? nil : try StreamFile(opening: place.memory, ignoresUse: true)
    }

    func confirm() async throws {
        if let free = watch.givenUpAt {
            throw GuestError(
                .scratch,
                "the scratch space in \(request.scratchFolder) ran down to \(free >> 20) MiB while the disks of guest "
                    + "\(guest.name) were read, so the instant was given up and the guest goes on; make room there, or "
                    + "give another folder with --scratch")
        }
        let socket = try guest.ask("asking for its backup job") { domain throws(LibvirtFailure) in
            try domain.backup().map(RunningBackup.init)?.socket
        }
        if socket == place.socket { return }
        let state = try guest.state
        guard state == .running || state == .paused else {
            throw GuestError(
                .wrongState,
                "the guest \(guest.name) is \(state.rawValue): it stopped while its disks were read, and the instant "
                    + "went with it; back it up again")
        }
        throw GuestError(
            .scratch,
            "the backup job of guest \(guest.name) ended before its disks were read: the guest was started anew, "
                + "somebody ended the job, or the scratch space in \(request.scratchFolder) is full; make room "
                + "there, or give another folder with --scratch")
    }

    /// Ends the job and takes away what it left. - Returns: what went wrong.
    private func close() async -> [String] {
        watch.end()
        for disk in disks { await disk.source.close() }
        var notes: [String] = []
        do throws(GuestError) {
            let socket = try guest.ask("asking for its backup job") { domain throws(LibvirtFailure) in
                try domain.backup().map(RunningBackup.init)?.socket
            }
            // Somebody else's may run by now.
            if socket == place.socket { try guest.endBackup() }
        } catch { notes.append("\(error.sentence); the next run tries again") }
        // QEMU has them open as long as it needs them.
        place.remove(disks: taken.map(\.name))
        return notes
    }

    func committed() async -> [String] {
        var notes = await close()
        for name in plan.stale { notes += guest.removeCheckpoint(name) }
        return notes
    }

    func vouchesForReads() async -> Bool { (try? await confirm()) != nil }

    func interrupted() async -> [String] {
        var notes = await close()
        for name in plan.outdone { notes += guest.removeCheckpoint(name) }
        return notes
    }

    func abandon() async {
        _ = await close()
        _ = guest.removeCheckpoint(request.listName(request.point))
    }
}
