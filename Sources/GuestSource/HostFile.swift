import Effects
import Glibc

/// One file of an image, open for reading, with what it looked like when it was opened.
///
/// Closed by its deinitialiser: whoever holds it may use the descriptor, and nobody can close it under them.
final class HostFile: Sendable {
    /// What must stay the same while a regular file is read.
    struct Identity: Equatable, Sendable {
        let device: UInt64
        let inode: UInt64
        let modified: Instant
        let statusChanged: Instant
    }

    struct Instant: Equatable, Comparable, Sendable {
        let seconds: Int
        let nanoseconds: Int

        static func < (left: Instant, right: Instant) -> Bool {
            (left.seconds, left.nanoseconds) < (right.seconds, right.nanoseconds)
        }
    }

    /// What is done about others that use the file.
    enum Use: Sendable {
        /// Nothing.
        case ignored
        /// It is refused while a virtual machine or a loop device can write it, or while it is mounted; who reads it is
        /// no matter. No virtual machine can begin to write a file as long as it is open. A device is not held: what
        /// several images stand on may be read for all of them.
        case checked
        /// As checked, and no mount of a device can begin either.
        case held
    }

    /// Absolute, symbolic links resolved.
    let path: String
    let use: Use
    /// Absolute, as named by whoever asked: what relative names inside the image are relative to, as QEMU sees it.
    let name: String
    let descriptor: CInt
    let isBlockDevice: Bool
    /// In bytes, when opened.
    let size: UInt64
    /// Bytes taken on the file system; `nil` for a block device.
    let allocated: UInt64?
    let identity: Identity
    /// A second descriptor of a device that nobody else may claim; -1 without one.
    private let claim: CInt

    // Constants of the Linux ABI that the importer cannot evaluate or hides behind feature macros.
    private static let noAccessTime: CInt = 0o1000000
    private static let blockDeviceSize: UInt = 0x8008_1272
    private static let getOpenFileLock: CInt = 36
    private static let setOpenFileLock: CInt = 37
    // QEMU marks with a lock on these bytes of the file: "I read this image and want it to hold still for that", "I
    // write it", "nobody else may write it".
    private static let readerLockByte: off_t = 100
    private static let writerLockByte: off_t = 101
    private static let noWriterLockByte: off_t = 201

    /// Opens `path`, following symbolic links; refuses what is neither a regular file nor a block device.
    ///
    /// - Throws: ``SourceError``, among them `inUse` unless use is ignored.
    init(opening path: String, use: Use = .ignored) throws(SourceError) {
        let resolved = try HostFile.resolve(path)
        // Looked at first, because merely opening some devices does something.
        var before = stat()
        // Safety: stat writes one struct; the path is a terminated copy for the call.
        guard unsafe stat(resolved, &before) == 0 else { throw .system("looking at it", path, errno) }
        try HostFile.requireImage(before.st_mode, path)
        let descriptor = try HostFile.openDescriptor(resolved, path)
        do throws(SourceError) {
            var found = try HostFile.status(of: descriptor, path)
            try HostFile.requireImage(found.st_mode, path)
            isBlockDevice = found.st_mode & S_IFMT == S_IFBLK
            if !isBlockDevice {
                HostFile.waitForClock(behind: HostFile.identity(found))
                found = try HostFile.status(of: descriptor, path)
            }
            identity = HostFile.identity(found)
            size = try HostFile.size(of: descriptor, found, path)
            allocated = isBlockDevice ? nil : UInt64(clamping: found.st_blocks) * 512
            // A virtual machine holds no claim on the device it has as a disk, and a loop device none on what is below
            // it: both are looked for on devices as well.
            try HostFile.take(descriptor, use, path)
            claim = isBlockDevice ? try HostFile.claim(resolved, use, path) : -1
        } catch {
            Glibc.close(descriptor)
            throw error
        }
        self.use = use
        self.path = resolved
        name = path.hasPrefix("/") ? path : HostFile.workingDirectory() + "/" + path
        self.descriptor = descriptor
    }

    /// A file without a name, of ours alone.
    ///
    /// - Parameter name: what it is, for messages.
    /// - Throws: ``SourceError``, `readFailed`.
    init(of file: borrowing PassedDescriptor, name: String) throws(SourceError) {
        let descriptor: CInt
        do throws(FileError) { descriptor = try file.duplicate() } catch {
            throw SourceError(.readFailed, "\(name) cannot be read: \(error.sentence)", .retry)
        }
        do throws(SourceError) {
            let found = try HostFile.status(of: descriptor, name)
            identity = HostFile.identity(found)
            size = try HostFile.size(of: descriptor, found, name)
            allocated = UInt64(clamping: found.st_blocks) * 512
        } catch {
            Glibc.close(descriptor)
            throw error
        }
        isBlockDevice = false
        claim = -1
        use = .ignored
        path = name
        self.name = name
        self.descriptor = descriptor
    }

    deinit {
        Glibc.close(descriptor)
        if claim >= 0 { Glibc.close(claim) }
    }

    /// Tries at a device, 50 ms apart: programs that look at new devices claim them for a moment.
    private static let claimAttempts = 21

    /// Opens a device so that the kernel refuses it when it is mounted, swapped to or part of another device, and lets
    /// nobody do so as long as it is open. - Returns: the descriptor; -1 when it is not held.
    private static func claim(_ resolved: String, _ use: Use, _ path: String) throws(SourceError) -> CInt {
        guard use != .ignored else { return -1 }
        var claim: CInt = -1
        for attempt in 0..<claimAttempts {
            // Safety: the path is a terminated copy for the call.
            claim = unsafe open(resolved, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_EXCL)
            if claim >= 0 || errno != EBUSY || attempt == claimAttempts - 1 { break }
            ThreadPause.take(milliseconds: 50)
        }
        guard claim >= 0 else {
            if errno == EBUSY { throw .deviceInUse(path) }
            throw .system("claiming it", path, errno)
        }
        if use == .held { return claim }
        Glibc.close(claim)
        return -1
    }

    /// Refuses a file or device that a virtual machine writes, and marks it so that none begins to. A file system
    /// without locks says nothing.
    private static func take(_ descriptor: CInt, _ use: Use, _ path: String) throws(SourceError) {
        guard use != .ignored else { return }
        try refuseWriter(descriptor, path)
        for byte in [readerLockByte, noWriterLockByte] {
            var lock = HostFile.lock(F_RDLCK, byte)
            // Safety: F_OFD_SETLK reads one flock struct.
            _ = unsafe fcntl(descriptor, setOpenFileLock, &lock)
        }
        // One that began between the look and the mark.
        try refuseWriter(descriptor, path)
    }

    private static func lock(_ kind: Int32, _ byte: off_t) -> flock {
        var lock = flock()
        lock.l_type = Int16(kind)
        lock.l_whence = Int16(SEEK_SET)
        lock.l_start = byte
        lock.l_len = 1
        return lock
    }

    /// Throws when the file is not what it was when it was opened, or when a running QEMU or a loop device writes it.
    func confirmUnchanged() throws(SourceError) {
        let now = try HostFile.status(of: descriptor, path)
        let found = try HostFile.size(of: descriptor, now, path)
        if found < size { throw .shrank(path, from: size, to: found) }
        if found > size { throw .changed(path, what: "it grew from \(size) to \(found) bytes") }
        if !isBlockDevice {
            let current = HostFile.identity(now)
            if current.modified != identity.modified { throw .changed(path, what: "it was written") }
            if current != identity { throw .changed(path, what: "it was renamed, replaced or given other rights") }
        }
        try refuseWriter()
    }

    /// Throws `inUse` when a running QEMU or a loop device holds the image for writing, unless use is ignored.
    func refuseWriter() throws(SourceError) {
        if use != .ignored { try HostFile.refuseWriter(descriptor, path) }
    }

    /// Looks at most whether a QEMU still writes, 50 ms apart: ten seconds, in which it writes its tables and makes
    /// them durable.
    private static let writerLooks = 200

    /// Waits, for some seconds, until no QEMU holds the file at `path` for writing, as far as its locks tell.
    static func waitForWriter(_ path: String) {
        guard let file = try? HostFile(opening: path) else { return }
        for _ in 0..<writerLooks {
            if (try? refuseWriter(file.descriptor, path)) != nil { return }
            ThreadPause.take(milliseconds: 50)
        }
    }

    private static func refuseWriter(_ descriptor: CInt, _ path: String) throws(SourceError) {
        var lock = lock(F_WRLCK, writerLockByte)
        // Safety: F_OFD_GETLK reads and writes one flock struct.
        if unsafe fcntl(descriptor, getOpenFileLock, &lock) == 0, lock.l_type != Int16(F_UNLCK) { throw .inUse(path) }
        // What is attached for reading only cannot change.
        if let found = LoopDevices.system.attachments(of: descriptor).first(where: { !$0.isReadOnly }) {
            throw .attached(path, found)
        }
    }

    /// Fills `buffer` from `offset` on; stops early only at the end of the file.
    func fill(_ buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(SourceError) -> Int {
        var done = 0
        while done < buffer.count {
            // Safety: the range starts inside the buffer and ends at its end.
            let rest = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[done...])
            let count = unsafe pread(descriptor, rest.baseAddress, rest.count, off_t(clamping: offset) + off_t(done))
            if count > 0 {
                done += count
            } else if count == 0 {
                break
            } else if errno != EINTR {
                throw .system("reading at \(offset + UInt64(done))", path, errno)
            }
        }
        return done
    }

    /// Up to `count` bytes at `offset`; fewer at the end of the file, none behind it.
    func bytes(at offset: UInt64, count: Int) throws(SourceError) -> [UInt8] {
        guard count > 0, offset < size else { return [] }
        var bytes = [UInt8](repeating: 0, count: Int(min(UInt64(count), size - offset)))
        var result: Result<Int, SourceError> = .success(0)
        // Safety: the array lives through the call and is filled within its count.
        unsafe bytes.withUnsafeMutableBytes { buffer in
            do throws(SourceError) {
                result = .success(try unsafe fill(buffer, at: offset))
            } catch {
                result = .failure(error)
            }
        }
        bytes.removeLast(bytes.count - (try result.get()))
        return bytes
    }

    /// Absolute name without symbolic links.
    static func resolve(_ path: String) throws(SourceError) -> String {
        if path.isEmpty || path.utf8.contains(0) {
            throw SourceError(.notFound, "an image needs a file name, and a file name has no zero byte", .askOperator)
        }
        // Safety: realpath returns a terminated string from malloc, copied and freed here.
        guard let resolved = unsafe realpath(path, nil) else { throw .system("finding it", path, errno) }
        defer { unsafe free(resolved) }
        return unsafe String(cString: resolved)
    }

    private static func workingDirectory() -> String {
        // Safety: getcwd returns a terminated string from malloc, copied and freed here.
        guard let folder = unsafe getcwd(nil, 0) else { return "" }
        defer { unsafe free(folder) }
        return unsafe String(cString: folder)
    }

    private static func openDescriptor(_ resolved: String, _ path: String) throws(SourceError) -> CInt {
        // Non-blocking only so that a FIFO put there in between cannot hold us.
        let flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK
        while true {
            // Safety: the path is a terminated copy for the call.
            var descriptor = unsafe open(resolved, flags | noAccessTime)
            // Only the owner may leave the access time alone.
            if descriptor < 0, errno == EPERM { descriptor = unsafe open(resolved, flags) }
            if descriptor >= 0 { return descriptor }
            if errno != EINTR { throw .system("opening it", path, errno) }
        }
    }

    private static func status(of descriptor: CInt, _ path: String) throws(SourceError) -> stat {
        var found = stat()
        // Safety: fstat writes one struct.
        guard unsafe fstat(descriptor, &found) == 0 else { throw .system("looking at it", path, errno) }
        return found
    }

    private static func identity(_ found: stat) -> Identity {
        Identity(
            device: UInt64(found.st_dev), inode: UInt64(found.st_ino),
            modified: Instant(seconds: found.st_mtim.tv_sec, nanoseconds: found.st_mtim.tv_nsec),
            statusChanged: Instant(seconds: found.st_ctim.tv_sec, nanoseconds: found.st_ctim.tv_nsec))
    }

    private static func size(of descriptor: CInt, _ found: stat, _ path: String) throws(SourceError) -> UInt64 {
        guard found.st_mode & S_IFMT == S_IFBLK else { return UInt64(clamping: found.st_size) }
        var bytes: UInt64 = 0
        // Safety: BLKGETSIZE64 writes one 64-bit number.
        if unsafe ioctl(descriptor, blockDeviceSize, &bytes) == 0 { return bytes }
        let end = lseek(descriptor, 0, SEEK_END)
        if end < 0 { throw .system("asking for its size", path, errno) }
        return UInt64(end)
    }

    private static func requireImage(_ mode: mode_t, _ path: String) throws(SourceError) {
        switch mode & S_IFMT {
        case S_IFREG, S_IFBLK: return
        case S_IFDIR: throw .notAnImage(path, isA: "a directory")
        case S_IFIFO: throw .notAnImage(path, isA: "a FIFO (give - to read standard input)")
        case S_IFCHR: throw .notAnImage(path, isA: "a character device")
        case S_IFSOCK: throw .notAnImage(path, isA: "a socket")
        default: throw .notAnImage(path, isA: "a special file")
        }
    }

    /// File times move in clock ticks: a write within the tick of the last one would leave no trace. So one tick is let
    /// pass, some milliseconds, when the file was changed in the current one; times in the future are left alone.
    private static func waitForClock(behind identity: Identity) {
        let last = max(identity.modified, identity.statusChanged)
        for _ in 0..<20 {
            var now = timespec()
            // Safety: clock_gettime writes one timespec.
            guard unsafe clock_gettime(CLOCK_REALTIME_COARSE, &now) == 0 else { return }
            if Instant(seconds: now.tv_sec, nanoseconds: now.tv_nsec) != last { return }
            ThreadPause.take(milliseconds: 1)
        }
    }
}
