import CLinux
import Glibc

/// A disk file or block device that is there already and is written where it stands.
///
/// While it is held, a QEMU that follows its own locking does not start on it, and no other restore writes it. Reads
/// and writes may come from several tasks at once, to different places.
// Safety: the descriptor is private, set once and closed once; pread and pwrite on one descriptor are safe from several
// threads.
@safe package final class ExistingDisk: Sendable {
    // Constants of the Linux ABI that the importer cannot evaluate or hides behind feature macros.
    private static let blockDeviceSize: UInt = 0x8008_1272
    private static let blockZeroOut: UInt = 0x127F
    private static let blockSectorSize: UInt = 0x1268
    private static let getOpenFileLock: CInt = 36
    private static let setOpenFileLock: CInt = 37
    // QEMU marks with a shared lock on byte 100 + n that it uses permission n of a file, and on 200 + n that it lets
    // nobody else have it: 0 consistent reads, 1 writes, 3 resizes (QEMU, docs/system/qemu-block-drivers, locking).
    private static let used: off_t = 100
    private static let unshared: off_t = 200
    private static let permissions: [off_t] = [0, 1, 3]
    private static let zeros = [UInt8](repeating: 0, count: 1 << 20)

    /// The path as it was given.
    package let path: String
    /// Whether it is a block device: its size is fixed.
    package let isBlockDevice: Bool
    /// Size in bytes when it was opened.
    package let byteCount: UInt64
    /// Bytes of a device's logical sector, which is what the kernel can make zero; of a file 1.
    private let sectorByteCount: UInt64
    private let descriptor: CInt
    /// The same file for writes past the page cache; -1 where that is not to be had.
    private let directDescriptor: CInt
    private let calls: any DiskCalls

    /// Opens a file or device for reading and writing, and takes it.
    ///
    /// - Parameters:
    ///   - ignoresUse: take it although a guest, a mount, a loop device or another program seems to use it.
    ///   - followsLinks: whether the last part of the path may be a symbolic link.
    ///   - calls: what it is written with.
    /// - Throws: ``FileError``; number `EBUSY` when it is in use, `ENOENT` when it is not there, `EINVAL` for what is
    ///   neither a file nor a block device.
    package init(
        path: String, ignoresUse: Bool, followsLinks: Bool = true, calls: any DiskCalls = HostDiskCalls()
    ) throws(FileError) {
        self.path = path
        self.calls = calls
        var facts = stat()
        // Safety: paths and `facts` live through the calls, here and below.
        guard unsafe stat(path, &facts) == 0 else { throw HostFiles.failure(errno, "cannot look at", path) }
        let kind = facts.st_mode & S_IFMT
        guard kind == S_IFREG || kind == S_IFBLK else {
            throw FileError(
                number: EINVAL, sentence: "\(path) is neither a file nor a block device", remedy: .permit)
        }
        isBlockDevice = kind == S_IFBLK
        // O_EXCL on a device: the kernel refuses what is mounted, swapped to, or part of another device.
        let exclusive = isBlockDevice && !ignoresUse ? O_EXCL : 0
        let flags = O_RDWR | O_CLOEXEC | O_NONBLOCK | exclusive | (followsLinks ? 0 : O_NOFOLLOW)
        let file: CInt
        do throws(FileError) {
            file = CInt(try calls.tried("cannot open for writing", path) { $0.open(path, flags: flags) })
        } catch {
            if error.number == EBUSY { throw ExistingDisk.busy(path, "it is mounted, or part of another device") }
            throw error
        }
        descriptor = file
        // By its number: the path may name another file by now.
        let direct: CInt =
            kind == S_IFREG
            ? CInt(calls.open("/proc/self/fd/\(file)", flags: O_WRONLY | O_CLOEXEC | Int32(DIRECT_INPUT_OUTPUT))) : -1
        directDescriptor = direct
        do throws(FileError) {
            guard unsafe fstat(file, &facts) == 0 else { throw HostFiles.failure(errno, "cannot look at", path) }
            var size = UInt64(clamping: facts.st_size)
            if isBlockDevice, unsafe ioctl(file, ExistingDisk.blockDeviceSize, &size) != 0 {
                throw HostFiles.failure(errno, "cannot ask for the size of", path)
            }
            byteCount = size
            var sector: CInt = 0
            // Safety: BLKSSZGET writes one int.
            if isBlockDevice, unsafe ioctl(file, ExistingDisk.blockSectorSize, &sector) != 0 { sector = 0 }
            sectorByteCount = UInt64(max(1, sector))
            guard flock(file, LOCK_EX | LOCK_NB) == 0 || ignoresUse else {
                throw ExistingDisk.busy(path, "another program holds a lock on it")
            }
            if !ignoresUse { try ExistingDisk.take(file, path) }
            if !ignoresUse { try ExistingDisk.refuseAttached(file, path) }
        } catch {
            close(file)
            if direct >= 0 { close(direct) }
            throw error
        }
    }

    /// Opens a file that is no link as soon as nobody uses it.
    ///
    /// - Parameter tries: looks at most, 50 ms apart.
    /// - Throws: ``FileError``; number `EBUSY` when it is in use at the last look.
    package static func whenFree(path: String, tries: Int) throws(FileError) -> ExistingDisk {
        for _ in 1..<max(1, tries) {
            do throws(FileError) { return try ExistingDisk(path: path, ignoresUse: false, followsLinks: false) } catch {
                guard error.number == EBUSY else { throw error }
            }
            ThreadPause.take(milliseconds: 50)
        }
        return try ExistingDisk(path: path, ignoresUse: false, followsLinks: false)
    }

    deinit {
        close(descriptor)
        if directDescriptor >= 0 { close(directDescriptor) }
    }

    private static func busy(_ path: String, _ why: String) -> FileError {
        FileError(
            number: EBUSY, sentence: "\(path) is in use: \(why); shut the guest down or unmount it first",
            remedy: .permit)
    }

    /// Refuses a file or device behind a loop device: also a read-only one, whose mounts would see their bytes change.
    private static func refuseAttached(_ descriptor: CInt, _ path: String) throws(FileError) {
        guard let found = LoopDevices.system.attachments(of: descriptor).first else { return }
        throw FileError(number: EBUSY, sentence: "\(path) is in use: \(found.reason)", remedy: .permit)
    }

    private static func lock(_ descriptor: CInt, _ command: CInt, _ kind: Int32, _ byte: off_t) -> (CInt, Int16) {
        var lock = flock()
        lock.l_type = Int16(kind)
        lock.l_whence = Int16(SEEK_SET)
        lock.l_start = byte
        lock.l_len = 1
        // Safety: the call reads and writes one flock struct.
        let status = unsafe fcntl(descriptor, command, &lock)
        return (status, lock.l_type)
    }

    /// Refuses a file that a QEMU uses, then marks it as QEMU would. A file system without locks says nothing.
    private static func take(_ descriptor: CInt, _ path: String) throws(FileError) {
        for permission in permissions {
            for byte in [used + permission, unshared + permission] {
                let (status, kind) = lock(descriptor, getOpenFileLock, F_WRLCK, byte)
                if status == 0, kind != Int16(F_UNLCK) {
                    throw busy(path, "a virtual machine or a QEMU tool has it open")
                }
            }
        }
        for permission in permissions {
            for byte in [used + permission, unshared + permission] {
                _ = lock(descriptor, setOpenFileLock, F_RDLCK, byte)
            }
        }
    }

    /// Gives a file another size; bytes behind the end of the old one are zero. A device keeps its size.
    ///
    /// - Throws: ``FileError``.
    package func resize(to byteCount: UInt64) throws(FileError) {
        precondition(!isBlockDevice, "a device has the size it has")
        _ = try calls.tried("cannot give \(byteCount) bytes to", path) { $0.resize(descriptor, to: byteCount) }
    }

    /// Whether a path still names this very file, and no other name does: nobody exchanged it, and writing it changes
    /// nothing else.
    package func isAlone(at path: String) -> Bool {
        var (mine, there) = (stat(), stat())
        // Safety: both live through the calls.
        guard unsafe fstat(descriptor, &mine) == 0, unsafe lstat(path, &there) == 0 else { return false }
        return mine.st_dev == there.st_dev && mine.st_ino == there.st_ino && mine.st_nlink == 1
    }

    /// Whether the file is this user's, and nobody else may read or write it.
    package var isPrivate: Bool {
        var facts = stat()
        // Safety: `facts` lives through the call.
        guard unsafe fstat(descriptor, &facts) == 0 else { return false }
        return facts.st_uid == geteuid() && facts.st_mode & 0o077 == 0
    }

    /// Gives the file the owner and the rights of another one, as far as this user may.
    func adoptRights(of other: String) {
        var facts = stat()
        // Safety: `facts` lives through the call.
        guard unsafe stat(other, &facts) == 0 else { return }
        _ = fchown(descriptor, facts.st_uid, facts.st_gid)
        _ = fchmod(descriptor, facts.st_mode & 0o7777)
    }

    /// Fills `buffer` from `offset` on; what lies behind the end reads as zeros.
    ///
    /// - Throws: ``FileError``.
    package func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(FileError) {
        var done = 0
        while done < buffer.count {
            // Safety: the range starts inside the buffer and ends at its end.
            let rest = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[done...])
            let count = try calls.tried("cannot read", path) { calls in
                unsafe calls.read(descriptor, into: rest, at: offset + UInt64(done))
            }
            guard count > 0 else {
                unsafe rest.initializeMemory(as: UInt8.self, repeating: 0)
                return
            }
            done += count
        }
    }

    /// Whether a write is worth going past the page cache, and can: large, in whole blocks, from an aligned address.
    /// What a restore writes is read by somebody else, later. Where sectors are larger than this block the system
    /// refuses, and the write goes the ordinary way; so do all writes to devices, whose sectors the kernel then fills
    /// up itself.
    private static func isDirect(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) -> Bool {
        let block = 4096
        return bytes.count >= 256 << 10 && bytes.count % block == 0 && offset % UInt64(block) == 0
            && UInt(bitPattern: bytes.baseAddress) % UInt(block) == 0
    }

    /// Writes all of `bytes` at `offset`.
    ///
    /// - Throws: ``FileError``.
    package func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(FileError) {
        var done = 0
        if directDescriptor >= 0, unsafe ExistingDisk.isDirect(bytes, at: offset) {
            // What does not go this way, all of it or the rest, goes the ordinary one, and says why it fails.
            done = max(0, unsafe calls.write(directDescriptor, bytes, at: offset))
        }
        while done < bytes.count {
            // Safety: `done` is below the count.
            let rest = unsafe UnsafeRawBufferPointer(rebasing: bytes[done...])
            let count = try calls.tried("cannot write", path) { calls in
                unsafe calls.write(descriptor, rest, at: offset + UInt64(done))
            }
            if count == 0 { throw HostFiles.failure(EIO, "cannot write", path) }
            done += count
        }
    }

    /// Makes a range read as zeros, giving its room back where the file system or device can.
    ///
    /// - Throws: ``FileError``.
    package func zero(at offset: UInt64, count: UInt64) throws(FileError) {
        let end = offset + count
        if isBlockDevice {
            // The kernel takes whole sectors; what is left of the first and the last one is written.
            let first = (offset + sectorByteCount - 1) / sectorByteCount * sectorByteCount
            let last = end / sectorByteCount * sectorByteCount
            var range = (first, last > first ? last - first : 0)
            // Safety: BLKZEROOUT reads two 64-bit numbers.
            if last > first, unsafe ioctl(descriptor, ExistingDisk.blockZeroOut, &range) == 0 {
                try writeZeros(from: offset, to: first)
                return try writeZeros(from: last, to: end)
            }
        } else if calls.punch(descriptor, at: offset, count: count) >= 0 {
            return
        }
        try writeZeros(from: offset, to: end)
    }

    private func writeZeros(from start: UInt64, to end: UInt64) throws(FileError) {
        var position = start
        while position < end {
            let part = Int(min(UInt64(ExistingDisk.zeros.count), end - position))
            // Safety: the array outlives the call.
            try unsafe ExistingDisk.withZeros(part) { buffer throws(FileError) in
                try unsafe write(buffer, at: position)
            }
            position += UInt64(part)
        }
    }

    private static func withZeros(
        _ count: Int, _ body: (UnsafeRawBufferPointer) throws(FileError) -> Void
    ) throws(FileError) {
        var result: Result<Void, FileError> = .success(())
        // Safety: the slice lies inside the array, which lives through the closure.
        unsafe zeros.withUnsafeBytes { buffer in
            do throws(FileError) { try unsafe body(UnsafeRawBufferPointer(rebasing: buffer[..<count])) } catch {
                result = .failure(error)
            }
        }
        try result.get()
    }

    /// Makes everything written durable.
    ///
    /// - Throws: ``FileError``.
    package func sync() throws(FileError) {
        _ = try calls.tried("cannot make durable", path) { $0.sync(descriptor) }
    }

    /// Makes what is there durable and lets reads come from the disk: after a write that failed the page cache shows
    /// bytes that the disk never got, and an interrupted run may have met one. To be called before comparing.
    ///
    /// - Throws: ``FileError``.
    package func readFromDisk() throws(FileError) {
        try sync()
        // A kernel that does not forget is no error: then nothing can be said about it.
        _ = calls.forget(descriptor)
    }
}

extension FileError {
    /// Whether somebody else uses the file.
    package var isAboutUse: Bool { number == EBUSY }
}
