import BackupModel
import Effects
import GuestSource

/// What is decided and looked for before the instant; nothing that the guest does was touched yet.
final class XenPreparation: CapturePreparation {
    private let guest: XenGuest
    private let request: CaptureRequest
    private let lock: FileLock
    private let volumes: VolumeManager
    private let taken: [FrozenDisk]
    private let omitted: [GuestDisk]
    private let memory: XenMemory?

    init(_ guest: XenGuest, _ request: CaptureRequest) throws(GuestError) {
        self.guest = guest
        self.request = request
        let domain = try guest.domain()
        guard domain.state == .running || domain.state == .paused else {
            throw GuestError(
                .wrongState,
                "the guest \(guest.name) is \(domain.state.rawValue), and an instant is taken of guests that run only; "
                    + "back up its images instead: dozo backup --guest NAME IMAGE…")
        }
        try request.refuseLiveMemory(of: guest.name, by: "xl")
        guard request.memory == nil || domain.state == .running else { throw XenPreparation.isPaused(guest) }
        guard let lock = try XenLock.take(guest) else {
            throw GuestError(
                .busy,
                "the guest \(guest.name) is being captured by another run of dozo, or an xl save of one that "
                    + "was killed is not done; wait for it")
        }
        self.lock = lock
        volumes = VolumeManager(clock: guest.host.clock)
        let disks: [GuestDisk]
        (disks, omitted) = try GuestDisk.chosen(
            XenGuest.sized(domain.disks), excluded: request.excluded, guest: guest.name)
        guard Set(disks.map(\.name)).count == disks.count else {
            throw GuestError(.refused, "the guest \(guest.name) has two disks of one name")
        }
        let found = try XenPreparation.removeLeftovers(of: domain, volumes)
        var taken: [FrozenDisk] = []
        for (number, disk) in disks.enumerated() {
            taken.append(try FrozenDisk(disk, of: guest, volumes: found, request: request, number: number))
        }
        try XenPreparation.requireRoom(taken)
        memory = request.memory == nil ? nil : try XenMemory(guest, domain, folder: request.scratchFolder)
        // What is written now need not be written while the guest stands still.
        for item in taken { try? item.written.flush() }
        self.taken = taken
    }

    private static func isPaused(_ guest: XenGuest) -> GuestError {
        GuestError(
            .wrongState,
            "the guest \(guest.name) is paused, and has to run to bring itself to rest for its memory: let it go on "
                + "first (xl unpause), or leave --with-memory out")
    }

    /// Removes snapshots that killed runs left of the guest's volumes. - Returns: the other volumes of the host.
    private static func removeLeftovers(
        of domain: XenDomain, _ manager: VolumeManager
    ) throws(GuestError) -> [LogicalVolume] {
        let volumes = try manager.volumes()
        let devices = Set(
            domain.disks.compactMap { disk -> String? in
                guard let path = disk.location, let file = try? WrittenDisk(opening: path), file.isBlockDevice else {
                    return nil
                }
                return file.device
            })
        let origins = volumes.filter { $0.device.map(devices.contains) ?? false }
        let left = volumes.filter { volume in
            volume.name.hasPrefix(CaptureRequest.ownPrefix)
                && origins.contains { $0.group == volume.group && $0.name == volume.origin }
        }
        for volume in left { try manager.remove(group: volume.group, name: volume.name) }
        return left.isEmpty ? volumes : try manager.volumes()
    }

    /// Refuses when snapshots of one group want more than is left together.
    private static func requireRoom(_ disks: [FrozenDisk]) throws(GuestError) {
        var wanted: [String: UInt64] = [:]
        for case .snapshot(let volume, _, let byteCount) in disks.map(\.view) {
            wanted[volume.group, default: 0] += byteCount
            guard let sum = wanted[volume.group], sum <= volume.groupFree else {
                throw GuestError(
                    .scratch,
                    "the group \(volume.group) has \(volume.groupFree >> 20) MiB free, and the snapshots of the "
                        + "guest's volumes want more together: make room, or give them less with --snapshot-size")
            }
        }
    }

    func abandon() async {
        for item in taken { _ = item.remove(volumes) }
    }

    func take(watch: (any CaptureWatch)?) async throws -> any GuestCapture {
        let instant: Instant
        do {
            // Not left in the middle: the guest stands still there.
            try Task.checkCancellation()
            instant = try stopped(watch)
        } catch {
            await abandon()
            throw error
        }
        let capture = XenCapture(
            guest, lock, volumes, taken, omitted: omitted, memory: memory, instant: instant)
        do { try await capture.open() } catch {
            await capture.abandon()
            throw error
        }
        return capture
    }

    /// When the disks were taken, and how the guest stood still for it.
    struct Instant {
        /// Nanoseconds since 1970.
        let taken: UInt64
        /// Monotonic, nanoseconds.
        let began: UInt64
        /// Nanoseconds that it stood still so far.
        let pause: UInt64
        /// Whether it stands still for us until its disks were read.
        let standsStill: Bool
    }

    /// Stops the guest, freezes its disks, and lets it go on unless one of them is to be read first.
    private func stopped(_ watch: (any CaptureWatch)?) throws -> Instant {
        let wasRunning = try guest.state() == .running
        guard memory == nil || wasRunning else { throw XenPreparation.isPaused(guest) }
        if wasRunning { try watch?.stops() }
        let clock = guest.host.clock
        let (began, taken) = (clock.monotonic(), clock.wall())
        let standstill = XenStandstill(guest: guest)
        let result = Result {
            if let memory {
                try memory.save(lock: lock)
            } else if wasRunning {
                try standstill.pause()
            }
            try XenStandstill.settle(self.taken.map(\.written), clock: clock)
            for item in self.taken { try item.freeze(volumes) }
        }
        let isFrozen = (try? result.get()) != nil
        let stays = isFrozen && self.taken.contains(where: \.keepsPaused)
        if wasRunning, !stays {
            // Behind a failure it may run, or not: a pause that was not made is not taken back.
            if isFrozen || (try? guest.state()) == .paused { try standstill.unpause() }
        }
        let pause = wasRunning ? clock.monotonic() - began : 0
        if wasRunning, !stays { try watch?.runs() }
        try result.get()
        return Instant(taken: taken, began: began, pause: pause, standsStill: wasRunning && stays)
    }
}
