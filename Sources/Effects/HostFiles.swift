import Glibc

/// ``DurableFiles`` on a real folder. Everything it makes is private to its owner: folders 0700, files 0600, whatever
/// the umask.
package struct HostFiles: DurableFiles {
    /// The folder below which all paths lie.
    package let root: String
    private let kept = OpenFileCache()

    /// - Parameter root: an existing folder, absolute.
    package init(root: String) { self.root = root }

    private func full(_ path: String) -> String { path.isEmpty ? root : "\(root)/\(path)" }

    private func failure(_ number: Int32, _ verb: String, _ path: String) -> FileError {
        HostFiles.failure(number, verb, full(path))
    }

    /// What a call that failed with `number` comes to, in the system's words.
    static func failure(_ number: Int32, _ verb: String, _ path: String) -> FileError {
        let remedy: FileError.Remedy =
            switch number {
            case ENOSPC, EDQUOT: .makeRoom
            case EACCES, EPERM: .permit
            case EROFS: .remount
            default: .inspect
            }
        // Safety: strerror answers a terminated string for every number.
        let words = unsafe String(cString: strerror(number))
        return FileError(number: number, sentence: "\(verb) \(path): \(words)", remedy: remedy)
    }

    /// Calls the system again as long as a signal interrupts it.
    private func call(_ verb: String, _ path: String, _ body: () -> Int) throws(FileError) -> Int {
        while true {
            let result = body()
            if result >= 0 { return result }
            let number = errno
            if number != EINTR { throw failure(number, verb, path) }
        }
    }

    private func opened(_ path: String, _ flags: Int32, _ verb: String) throws(FileError) -> Int32 {
        // Safety: the path lives through the call.
        Int32(try call(verb, path) { unsafe Int(open(full(path), flags | O_CLOEXEC, mode_t(0o600))) })
    }

    package func makeFolder(_ path: String) throws(FileError) -> Bool {
        // Safety: the path lives through the call, here and below.
        if unsafe mkdir(full(path), mode_t(0o700)) == 0 { return true }
        let number = errno
        guard number == EEXIST else { throw failure(number, "cannot make the folder", path) }
        return false
    }

    package func writeNew(_ path: String, _ bytes: [UInt8]) throws(FileError) {
        let file = try opened(path, O_WRONLY | O_CREAT | O_EXCL, "cannot create")
        defer { close(file) }
        do throws(FileError) { try write(bytes, to: file, path) } catch {
            // It is ours, for it was not there before. On a disk that is full, half of it would keep the disk full.
            _ = try? remove(path)
            throw error
        }
    }

    private func write(_ bytes: [UInt8], to file: Int32, _ path: String) throws(FileError) {
        var written = bytes.count >= DirectAccess.smallestByteCount ? try writeDirect(file, path, bytes) : 0
        while written < bytes.count {
            written += try call("cannot write", path) {
                unsafe bytes.withUnsafeBytes { buffer in
                    // Safety: `written` is below the buffer's count.
                    unsafe pwrite(
                        file, buffer.baseAddress.map { unsafe $0 + written }, buffer.count - written, off_t(written))
                }
            }
        }
    }

    /// Writes the front of a large file past the page cache, as far as the file system allows it. - Returns: bytes
    /// written, whole blocks; the rest is for ordinary writes.
    private func writeDirect(_ file: Int32, _ path: String, _ bytes: [UInt8]) throws(FileError) -> Int {
        guard let writer = DirectAccess(file) else { return 0 }
        defer { writer.end() }
        var written = 0
        while true {
            let start = written
            let count: Int
            do throws(FileError) {
                count = try call("cannot write", path) { writer.write(bytes, from: start) }
            } catch {
                // What cannot be written this way can be written the other.
                guard error.number == EINVAL else { throw error }
                return written
            }
            if count == 0 { return written }
            written += count
        }
    }

    package func syncFile(_ path: String) throws(FileError) {
        let file = try opened(path, O_RDONLY, "cannot open")
        defer { close(file) }
        _ = try call("cannot make durable", path) { Int(fsync(file)) }
    }

    package func link(_ existing: String, to new: String) throws(FileError) -> Bool {
        // Safety: both paths live through the call.
        if unsafe Glibc.link(full(existing), full(new)) == 0 { return true }
        let number = errno
        guard number == EEXIST else { throw failure(number, "cannot name", new) }
        return false
    }

    package func syncFolder(_ path: String) throws(FileError) {
        let folder = try opened(path, O_RDONLY | O_DIRECTORY, "cannot open the folder")
        defer { close(folder) }
        _ = try call("cannot make durable the folder", path) { Int(fsync(folder)) }
    }

    package func remove(_ path: String) throws(FileError) {
        kept.forget(path)
        // Safety: the path lives through the call.
        guard unsafe unlink(full(path)) != 0 else { return }
        let number = errno
        if number != ENOENT { throw failure(number, "cannot remove", path) }
    }

    /// Reads from the front look the path up each time, so that they notice when another file lies there; reads from
    /// the middle go on in the file that was found before.
    package func read(_ path: String, offset: UInt64, count: Int) throws(FileError) -> [UInt8]? {
        let file: OpenFile
        if offset > 0, let open = kept.file(path) {
            file = open
        } else {
            guard let found = try openForReading(path) else { return nil }
            file = found
            if offset > 0 { kept.keep(found, as: path) }
        }
        let available = file.byteCount > offset ? Int(clamping: file.byteCount - offset) : 0
        let wanted = Swift.min(count, available)
        var failure: FileError?
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: wanted) { buffer, filled in
            do throws(FileError) {
                // Safety: `wanted` bytes have room.
                let room = unsafe UnsafeMutableRawBufferPointer(
                    rebasing: UnsafeMutableRawBufferPointer(buffer)[..<wanted])
                try unsafe read(file, path, at: offset, into: room, filled: &filled)
            } catch { failure = error }
        }
        if let failure { throw failure }
        return bytes
    }

    /// Fills a buffer with what stands from `offset` on, behind the bytes that are `filled` already; ends early at the
    /// end of the file.
    private func read(
        _ file: OpenFile, _ path: String, at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer,
        filled: inout Int
    ) throws(FileError) {
        while filled < buffer.count {
            let (start, rest) = (filled, buffer.count - filled)
            let got = try call("cannot read", path) {
                // Safety: `start` is below the buffer's count.
                unsafe pread(
                    file.descriptor, buffer.baseAddress.map { unsafe $0 + start }, rest, off_t(offset) + off_t(start))
            }
            if got == 0 { return }
            filled += got
        }
    }

    /// Large files are read past the page cache: whoever reads a whole one checks it, and then it should be what is on
    /// the disk that is checked.
    package func read(_ path: String, limit: Int, into room: AlignedRoom) throws(FileError) -> Bool {
        guard let file = try openForReading(path) else { return false }
        let wanted = Swift.min(limit, Int(clamping: file.byteCount))
        // Safety: the buffer lives through the call, here and below.
        try unsafe room.fill(wanted) { (buffer) throws(FileError) in
            var filled = 0
            if wanted >= DirectAccess.smallestByteCount {
                // Safety: the buffer is whole blocks, for `wanted` bytes.
                filled = unsafe Swift.min(wanted, DirectAccess.read(file.descriptor, into: buffer))
            }
            // What did not come that way comes the ordinary one, or says why not.
            // Safety: as above.
            let all = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[..<wanted])
            try unsafe read(file, path, at: 0, into: all, filled: &filled)
            return filled
        }
        return true
    }

    private func openForReading(_ path: String) throws(FileError) -> OpenFile? {
        guard let facts = try facts(path) else { return nil }
        // A folder or pipe where a file belongs is something in the way, and not nothing; it is not even opened.
        guard facts.st_mode & S_IFMT == S_IFREG else { throw failure(EISDIR, "cannot read", path) }
        do {
            return OpenFile(
                descriptor: try opened(path, O_RDONLY, "cannot open"), byteCount: UInt64(facts.st_size))
        } catch {
            if error.number == ENOENT { return nil }
            throw error
        }
    }

    private func facts(_ path: String) throws(FileError) -> stat? {
        var facts = stat()
        // Safety: `facts` lives through the call.
        if unsafe stat(full(path), &facts) == 0 { return facts }
        let number = errno
        guard number == ENOENT || number == ENOTDIR else { throw failure(number, "cannot look at", path) }
        return nil
    }

    package func byteCount(_ path: String) throws(FileError) -> UInt64? {
        guard let facts = try facts(path), facts.st_mode & S_IFMT == S_IFREG else { return nil }
        return UInt64(facts.st_size)
    }

    package func isFolder(_ path: String) throws(FileError) -> Bool {
        // A link at the top may be where somebody put a large folder; one further down could lead anywhere, and back.
        if path.contains("/") {
            var facts = stat()
            // Safety: `facts` lives through the call.
            return unsafe lstat(full(path), &facts) == 0 && facts.st_mode & S_IFMT == S_IFDIR
        }
        guard let facts = try facts(path) else { return false }
        return facts.st_mode & S_IFMT == S_IFDIR
    }

    // FS_IOC_GETFLAGS, FS_IOC_SETFLAGS and FS_IMMUTABLE_FL of linux/fs.h, where `long` has 64 bits.
    private static let getFlags: UInt = 0x8008_6601
    private static let setFlags: UInt = 0x4008_6602
    private static let immutableFlag = 0x10

    package func isImmutable(_ path: String) throws(FileError) -> Bool? {
        try withFlags(path) { (_, flags) throws(FileError) -> Bool in flags & HostFiles.immutableFlag != 0 }
    }

    package func setImmutable(_ path: String, _ isImmutable: Bool) throws(FileError) {
        _ = try withFlags(path) { (file, flags) throws(FileError) -> Void in
            // The others stay as they are.
            var new = isImmutable ? flags | HostFiles.immutableFlag : flags & ~HostFiles.immutableFlag
            if new == flags { return }
            let verb = "cannot \(isImmutable ? "set" : "take off") the immutable flag of"
            // Safety: `new` lives through the call; no file system reads more than a long.
            _ = try call(verb, path) { unsafe Int(ioctl(file, HostFiles.setFlags, &new)) }
        }
    }

    /// Opens a file and asks for its flags. - Returns: `nil` when there is no such file.
    private func withFlags<Result>(
        _ path: String, _ body: (_ file: Int32, _ flags: Int) throws(FileError) -> Result
    ) throws(FileError) -> Result? {
        let verb = "cannot ask for the immutable flag of"
        let file: Int32
        // Never through a link, whose end may be a file of somebody else; never waiting for a pipe's other end.
        do throws(FileError) { file = try opened(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, verb) } catch {
            if error.number == ENOENT { return nil }
            throw error
        }
        defer { close(file) }
        var facts = stat()
        // Safety: `facts` and `flags` live through the calls; no file system writes more than a long.
        _ = try call(verb, path) { unsafe Int(fstat(file, &facts)) }
        guard facts.st_mode & S_IFMT == S_IFREG else { throw failure(EINVAL, verb, path) }
        var flags = 0
        // Safety: as above.
        _ = try call(verb, path) { unsafe Int(ioctl(file, HostFiles.getFlags, &flags)) }
        return try body(file, flags)
    }

    package func lock(_ path: String) throws(FileError) -> (any HeldLock)? { try FileLock(path: full(path)) }

    package func names(in path: String) throws(FileError) -> [String] {
        // Safety: the stream is closed below and used by nobody else; an entry is copied before the next call.
        guard let stream = unsafe opendir(full(path)) else {
            let number = errno
            if number == ENOENT { return [] }
            throw failure(number, "cannot list", path)
        }
        defer { unsafe closedir(stream) }
        var names: [String] = []
        while let entry = unsafe readdir(stream) {
            let name = unsafe withUnsafeBytes(of: entry.pointee.d_name) { bytes in
                unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != "." && name != ".." { names.append(name) }
        }
        return names
    }
}
