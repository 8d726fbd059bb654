import Glibc

/// A file or block device that a running guest writes through the host, open for looking: whether anything is under
/// way, to flush it, and to share its blocks with a file of ours.
// Safety: the descriptor is private, set once and closed once.
@safe package final class WrittenDisk: Sendable {
    /// Absolute, symbolic links resolved.
    package let path: String
    /// Whether it is a block device rather than a file.
    package let isBlockDevice: Bool
    /// Its number, `major:minor`; of a file that of the file system it lies on.
    package let device: String
    /// In bytes, when it was opened.
    package let byteCount: UInt64
    private let descriptor: Int32

    // Constants of the Linux ABI that the importer cannot evaluate.
    private static let cloneRange: UInt = 0x4020_940D
    private static let flushBuffers: UInt = 0x1261
    /// Bytes of a file that are shared to find out whether it can be: a multiple of every file system's block.
    private static let probeByteCount: UInt64 = 1 << 20
    private static let longestCounts = 256

    /// Opens it for reading.
    ///
    /// - Throws: ``FileError``, also when it is neither a file nor a block device.
    package init(opening path: String) throws(FileError) {
        let resolved = HostPaths.resolved(path)
        // Safety: the path lives through the call.
        let file = unsafe open(resolved, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard file >= 0 else { throw HostFiles.failure(errno, "cannot open", path) }
        var facts = stat()
        // Safety: `facts` lives through the call.
        let status = unsafe fstat(file, &facts)
        let kind = facts.st_mode & S_IFMT
        let end = lseek(file, 0, SEEK_END)
        guard status == 0, kind == S_IFREG || kind == S_IFBLK, end >= 0 else {
            close(file)
            throw FileError(
                number: EINVAL, sentence: "\(path) is neither a file nor a block device", remedy: .inspect)
        }
        self.path = resolved
        descriptor = file
        isBlockDevice = kind == S_IFBLK
        device = WrittenDisk.text(isBlockDevice ? facts.st_rdev : facts.st_dev)
        byteCount = UInt64(end)
    }

    deinit { close(descriptor) }

    // The encoding of makedev(3).
    private static func text(_ device: dev_t) -> String {
        let number = UInt64(device)
        let major = (number >> 8) & 0xFFF | (number >> 32) & 0xFFFF_F000
        let minor = number & 0xFF | (number >> 12) & 0xFFFF_FF00
        return "\(major):\(minor)"
    }

    /// The folder that a file lies in.
    package var folder: String {
        let slash = path.lastIndex(of: "/") ?? path.startIndex
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    /// Whether nothing is under way to the device, or to the loop devices that stand on the file, as the kernel counts.
    /// Where it does not count, true.
    package var isIdle: Bool {
        let folders =
            isBlockDevice
            ? ["/sys/dev/block/\(device)"]
            : LoopDevices.system.attachments(of: descriptor).map {
                "/sys/block/\($0.device.split(separator: "/").last ?? "")"
            }
        return folders.allSatisfy { folder in
            guard let bytes = try? HostPaths.read("\(folder)/inflight", limit: WrittenDisk.longestCounts) else {
                return true
            }
            return bytes.allSatisfy { $0 == UInt8(ascii: "0") || $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\n") }
        }
    }

    /// Writes what the page cache holds of it; of a device also forgets what was read, which the device's own writers
    /// may have overwritten past the cache.
    ///
    /// - Throws: ``FileError``.
    package func flush() throws(FileError) {
        guard fdatasync(descriptor) == 0 else { throw HostFiles.failure(errno, "cannot flush", path) }
        if isBlockDevice, ioctl(descriptor, WrittenDisk.flushBuffers, 0) != 0 {
            throw HostFiles.failure(errno, "cannot flush", path)
        }
    }

    /// The `file_clone_range` of ioctl_ficlonerange(2).
    private struct Range {
        var source: Int64
        var sourceOffset: UInt64 = 0
        var byteCount: UInt64
        var targetOffset: UInt64 = 0
    }

    /// Makes `file` what this file is now, by sharing its blocks (XFS, btrfs and others); what the page cache holds is
    /// written first. The file's later writes do not change the other.
    ///
    /// - Throws: ``FileError`` where the file system cannot.
    package func share(with file: borrowing PassedDescriptor) throws(FileError) {
        try share(with: file, byteCount: 0)
    }

    /// Tries whether ``share(with:)`` can be done, with a small part.
    ///
    /// - Throws: ``FileError`` when it cannot.
    package func probeSharing(with file: borrowing PassedDescriptor) throws(FileError) {
        try share(with: file, byteCount: byteCount >= WrittenDisk.probeByteCount ? WrittenDisk.probeByteCount : 0)
        try file.empty()
    }

    /// - Parameter count: bytes from the front; 0 for all.
    private func share(with file: borrowing PassedDescriptor, byteCount count: UInt64) throws(FileError) {
        var range = Range(source: Int64(descriptor), byteCount: count)
        // Safety: the call reads the structure, which lives through it.
        guard unsafe ioctl(file.number, WrittenDisk.cloneRange, &range) == 0 else {
            throw HostFiles.failure(errno, "cannot share the blocks of", path)
        }
    }
}

extension PassedDescriptor {
    /// Gives all room of the file back; whoever reads it finds nothing.
    ///
    /// - Throws: ``FileError``.
    package func empty() throws(FileError) {
        guard ftruncate(number, 0) == 0 else {
            throw HostFiles.failure(errno, "cannot empty", "a file without a name")
        }
    }
}
