import BackupModel
import Effects
import GuestSource
import Synchronization

/// The disks of a guest of Xen at one instant, read from their frozen views.
final class XenCapture: GuestCapture {
    private static let noList = "Xen keeps no list of what changes"
    /// Milliseconds between two looks at the room that is left.
    private static let interval = 100

    let takenAt: UInt64
    let uncertainty: UInt64
    let omitted: [GuestDisk]
    private let guest: XenGuest
    private let lock: FileLock
    private let volumes: VolumeManager
    private let taken: [FrozenDisk]
    private let stream: XenMemory?
    private let began: UInt64
    private let opened = Mutex<[CapturedDisk]>([])
    private let still: Mutex<(isStill: Bool, pause: UInt64)>
    private let watch: RoomWatch

    init(
        _ guest: XenGuest, _ lock: FileLock, _ volumes: VolumeManager, _ taken: [FrozenDisk], omitted: [GuestDisk],
        memory: XenMemory?, instant: XenPreparation.Instant
    ) {
        self.guest = guest
        self.lock = lock
        self.volumes = volumes
        self.taken = taken
        self.omitted = omitted
        stream = memory
        takenAt = instant.taken
        uncertainty = instant.pause
        began = instant.began
        still = Mutex((instant.standsStill, instant.pause))
        watch = RoomWatch(taken, milliseconds: XenCapture.interval)
    }

    var disks: [CapturedDisk] { opened.withLock { $0 } }
    var pause: UInt64 { still.withLock { $0.pause } }
    var isStandingStill: Bool { still.withLock { $0.isStill } }

    func open() async throws {
        for item in taken {
            let source = try await item.open(of: guest)
            opened.withLock {
                $0.append(CapturedDisk(disk: item.disk, source: source, changes: .unknown(XenCapture.noList)))
            }
        }
    }

    func memory() async throws -> (any PositionedBytes)? { try stream?.stream() }

    /// Lets the guest go on, if it stands still for us.
    private func letGo() throws(GuestError) {
        guard isStandingStill else { return }
        try XenStandstill(guest: guest).unpause()
        let now = guest.host.clock.monotonic()
        still.withLock { $0 = (false, now - began) }
    }

    func confirm() async throws {
        if let folder = watch.givenUp {
            throw GuestError(
                .scratch,
                "\(folder) ran down to less than \(FrozenDisk.reserve >> 20) MiB while the disks of the guest "
                    + "\(guest.name) were read, so the instant was given up and the guest goes on; make room there")
        }
        if taken.contains(where: \.keepsPaused) {
            guard try guest.state() == .paused else {
                throw GuestError(
                    .wrongState,
                    "the guest \(guest.name) was let go on while its disks were read, and the instant went with it; "
                        + "back it up again")
            }
            // All was read.
            try letGo()
        }
        let snapshots = taken.compactMap { item -> (disk: String, group: String, name: String)? in
            guard case .snapshot(let volume, let name, _) = item.view else { return nil }
            return (item.disk.name, volume.group, name)
        }
        guard !snapshots.isEmpty else { return }
        let now = try volumes.volumes()
        for snapshot in snapshots {
            let found = now.first { $0.group == snapshot.group && $0.name == snapshot.name }
            guard let found, !found.isInvalid else {
                throw GuestError(
                    .scratch,
                    "the snapshot \(snapshot.group)/\(snapshot.name) of disk \(snapshot.disk) "
                        + (found == nil ? "was removed" : "ran full")
                        + " while it was read, so the instant is lost and the guest \(guest.name) goes on; give "
                        + "snapshots more room with --snapshot-size")
            }
        }
    }

    private func close() async -> [String] {
        watch.end()
        var notes: [String] = []
        do throws(GuestError) { try letGo() } catch { notes.append(error.sentence) }
        for disk in disks { await disk.source.close() }
        for item in taken { notes += item.remove(volumes) }
        return notes
    }

    func committed() async -> [String] { await close() }

    func abandon() async { _ = await close() }
}

/// Gives shared blocks back before the guest's own writes find no room.
///
/// A write of the guest to a block that two files share takes a new one, and fails when there is none. So the views go
/// while there is room; whoever reads one then finds it shorter than it was.
final class RoomWatch: Sendable {
    private let watch: PeriodicWatch?
    private let state: State

    private final class State: Sendable {
        let folder = Mutex<String?>(nil)
    }

    /// The folder that had too little room; `nil` as long as there is enough.
    var givenUp: String? { state.folder.withLock { $0 } }

    init(_ disks: [FrozenDisk], milliseconds: Int) {
        let state = State()
        self.state = state
        let shared = disks.compactMap { item -> (folder: String, file: SharedFile)? in
            guard case .shared(let file) = item.view else { return nil }
            return (item.written.folder, file)
        }
        guard !shared.isEmpty else {
            watch = nil
            return
        }
        watch = PeriodicWatch(milliseconds: milliseconds) {
            for (folder, _) in shared {
                guard let free = HostPaths.freeBytes(folder), free < FrozenDisk.reserve else { continue }
                state.folder.withLock { $0 = folder }
                for (_, file) in shared { try? file.file.empty() }
                return false
            }
            return true
        }
    }

    /// Ends the watch.
    func end() { watch?.end() }
}
