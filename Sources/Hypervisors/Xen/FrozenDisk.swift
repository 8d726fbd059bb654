import BackupModel
import Effects
import GuestSource

/// A file without a name that shares the blocks of a disk, for the capture's own use.
final class SharedFile: Sendable {
    let file: PassedDescriptor

    /// - Throws: ``FileError``.
    init(in folder: String) throws(FileError) { file = try PassedDescriptor(scratchIn: folder, byteCount: 0) }
}

/// A disk of a paused guest, and how it is read as it is then although the guest goes on.
struct FrozenDisk: Sendable {
    /// What is read instead of the disk.
    enum View: Sendable {
        /// A file without a name beside the disk's, on a file system that lets both share their blocks.
        case shared(SharedFile)
        /// A snapshot of the logical volume, with room for what is overwritten.
        case snapshot(LogicalVolume, name: String, byteCount: UInt64)
        /// The disk itself: the guest stays paused until it was read.
        case disk
    }

    /// Bytes that stay free on a file system whose blocks are shared: the guest's own writes need new ones there. When
    /// there are fewer, the view is given up. A guest writes less between two looks, a tenth of a second apart.
    static let reserve: UInt64 = 128 << 20
    /// The share of a volume that its snapshot gets for what is overwritten, unless the operator says so; the least.
    private static let usualShare: UInt64 = 10
    private static let leastRoom: UInt64 = 64 << 20

    let disk: GuestDisk
    let written: WrittenDisk
    let view: View

    /// Finds out how the disk can be frozen.
    ///
    /// - Parameters:
    ///   - volumes: all of the host.
    ///   - number: place among the guest's disks, for the snapshot's name.
    /// - Throws: ``GuestError``: `wrongState` when it can only be read with the guest paused, and nobody allowed that.
    init(
        _ disk: GuestDisk, of guest: XenGuest, volumes: [LogicalVolume], request: CaptureRequest, number: Int
    ) throws(GuestError) {
        self.disk = disk
        let path = disk.location ?? ""
        do throws(FileError) { written = try WrittenDisk(opening: path) } catch {
            throw GuestError(.refused, "disk \(disk.name) of the guest \(guest.name): \(error.sentence)")
        }
        let obstacle: String
        if written.isBlockDevice {
            let device = written.device
            if let volume = volumes.first(where: { $0.device == device }), volume.canBeSnapshotted {
                let least = max(FrozenDisk.leastRoom, volume.byteCount / FrozenDisk.usualShare)
                // More than the volume and some for LVM's own lists is never needed.
                let room = min(request.snapshotByteCount ?? least, volume.byteCount + volume.byteCount / 16 + (8 << 20))
                if volume.groupFree >= room {
                    let name = "\(request.listPrefix)\(request.point.hexadecimal.prefix(8))-\(number)"
                    view = .snapshot(volume, name: name, byteCount: room)
                    return
                }
                obstacle =
                    "its group \(volume.group) has \(volume.groupFree >> 20) MiB free, and the snapshot wants "
                    + "\(room >> 20) (--snapshot-size)"
            } else {
                obstacle = "it is no logical volume that a snapshot with room of its own can be made of"
            }
        } else {
            do throws(FileError) {
                let shared = try SharedFile(in: written.folder)
                try written.probeSharing(with: shared.file)
                guard let free = HostPaths.freeBytes(written.folder), free > FrozenDisk.reserve else {
                    throw FileError(
                        number: 0,
                        sentence:
                            "\(written.folder) has less than \(FrozenDisk.reserve >> 20) MiB free, which the guest's "
                            + "own writes may need while blocks are shared", remedy: .makeRoom)
                }
                view = .shared(shared)
                return
            } catch { obstacle = error.sentence }
        }
        guard request.mayStayPaused else {
            throw GuestError(
                .wrongState,
                "disk \(disk.name) of the guest \(guest.name) (\(path)) cannot be frozen while the guest goes on: "
                    + "\(obstacle). Say --while-paused to keep the guest paused while it is read, leave it out with "
                    + "--exclude \(disk.name), or keep it in a file on XFS or btrfs, or on a logical volume with room "
                    + "in its group")
        }
        view = .disk
    }

    /// Makes the view; the guest is paused, and nothing is under way to the disk.
    func freeze(_ volumes: VolumeManager) throws(GuestError) {
        func frozen(_ body: () throws(FileError) -> Void) throws(GuestError) {
            do throws(FileError) { try body() } catch {
                throw GuestError(.refused, "disk \(disk.name) could not be frozen: \(error.sentence)")
            }
        }
        switch view {
        case .shared(let shared):
            try frozen { () throws(FileError) in try written.share(with: shared.file) }
        case .snapshot(let volume, let name, let byteCount):
            try frozen { () throws(FileError) in try written.flush() }
            try volumes.snapshot(volume, name: name, byteCount: byteCount)
        case .disk:
            try frozen { () throws(FileError) in try written.flush() }
        }
    }

    /// Opens what was frozen.
    func open(of guest: XenGuest) async throws(SourceError) -> any ImageSource {
        switch view {
        case .shared(let shared): try ImageOpener.open(view: shared.file, name: disk.location ?? disk.name)
        case .snapshot(let volume, let name, _):
            try await ImageOpener.open(path: "/dev/\(volume.group)/\(name)", format: .raw)
        case .disk:
            try await ImageOpener.open(
                path: written.path, format: .raw, options: OpenOptions(ignoresUse: true))
        }
    }

    /// Gives its room back; its source is closed. - Returns: what went wrong.
    func remove(_ volumes: VolumeManager) -> [String] {
        switch view {
        case .shared(let shared):
            try? shared.file.empty()
            return []
        case .snapshot(let volume, let name, _):
            do throws(GuestError) {
                // One that was not made, or that somebody removed, is not there.
                let isThere = try volumes.volumes().contains { $0.group == volume.group && $0.name == name }
                if isThere { try volumes.remove(group: volume.group, name: name) }
                return []
            } catch { return ["\(error.sentence); the next run tries again"] }
        case .disk: return []
        }
    }

    /// Whether the guest stays paused for it.
    var keepsPaused: Bool { if case .disk = view { true } else { false } }
}
