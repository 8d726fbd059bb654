import CLinux
import Glibc

/// An open file or socket that is made to be given to another process, which may not reach it by its path.
// Safety: the number is private to this module, set once and closed once.
@safe package struct PassedDescriptor: ~Copyable, Sendable {
    let number: Int32

    deinit { close(number) }

    /// A new file without a name, private, empty but `byteCount` bytes long; its room goes when the last process that
    /// has it closes it, however that ends.
    ///
    /// - Parameter folder: an existing folder on local storage.
    /// - Throws: ``FileError``.
    package init(scratchIn folder: String, byteCount: UInt64) throws(FileError) {
        // Safety: the path lives through the calls.
        var file = unsafe open(folder, O_RDWR | PassedDescriptor.temporary | O_CLOEXEC, mode_t(0o600))
        if file < 0 {
            // File systems without such files (NFS among them): named, and the name taken away at once.
            let template = "\(folder)/scratch-XXXXXX"
            var name = Array(template.utf8CString)
            // Safety: the array is the terminated template that the call fills in, here and below.
            file = unsafe mkostemp(&name, O_CLOEXEC)
            if file >= 0 { unsafe unlink(name) }
        }
        guard file >= 0 else { throw HostFiles.failure(errno, "cannot make scratch space", folder) }
        guard ftruncate(file, off_t(byteCount)) == 0 else {
            let number = errno
            close(file)
            throw HostFiles.failure(number, "cannot make scratch space", folder)
        }
        number = file
    }

    /// A new file in memory, without a name, that holds `bytes` and is read from its beginning: nothing of it ever lies
    /// on a disk, but in swap space.
    ///
    /// - Throws: ``FileError``.
    package init(inMemory bytes: [UInt8]) throws(FileError) {
        let what = "a file in memory"
        // Safety: the label is terminated and lives through the call.
        let file = unsafe memory_file("dozo")
        guard file >= 0 else { throw HostFiles.failure(errno, "cannot make", what) }
        var done = 0
        while done < bytes.count {
            let count = unsafe bytes.withUnsafeBytes { buffer in
                // Safety: `done` is below the buffer's count.
                unsafe pwrite(file, buffer.baseAddress.map { unsafe $0 + done }, buffer.count - done, off_t(done))
            }
            if count > 0 {
                done += count
            } else if errno != EINTR {
                let number = errno
                close(file)
                throw HostFiles.failure(number, "cannot fill", what)
            }
        }
        number = file
    }

    /// A new file that only its owner may read or write, for what another process is going to say.
    ///
    /// - Parameter path: must not exist.
    /// - Throws: ``FileError``.
    package init(newFile path: String) throws(FileError) {
        // Safety: the path lives through the call.
        let file = unsafe open(path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, mode_t(0o600))
        guard file >= 0 else { throw HostFiles.failure(errno, "cannot make", path) }
        number = file
    }

    /// Takes room on the disk for so many bytes, without making the file longer.
    ///
    /// - Throws: ``FileError``, also where the file system cannot promise room.
    package func reserve(_ byteCount: UInt64) throws(FileError) {
        let keepSize: Int32 = 1
        guard fallocate(number, keepSize, 0, Int(clamping: byteCount)) == 0 else {
            let number = errno
            let what = "cannot take scratch space of \(byteCount >> 20) MiB"
            throw HostFiles.failure(number, what, "a file without a name")
        }
    }

    /// Another descriptor of the same file, which the caller closes.
    ///
    /// - Throws: ``FileError``.
    package func duplicate() throws(FileError) -> Int32 {
        let copy = fcntl(number, F_DUPFD_CLOEXEC, 0)
        guard copy >= 0 else { throw HostFiles.failure(errno, "cannot open", "a file without a name") }
        return copy
    }

    // O_TMPFILE of open(2), which the C library hides behind a feature macro.
    private static let temporary: Int32 = 0o20000000 | O_DIRECTORY

    /// A unix socket that listens at a path; nobody serves it yet.
    ///
    /// - Parameter path: absolute, at most 107 bytes, in a private folder; must not exist.
    /// - Throws: ``FileError``.
    package init(listeningAt path: String) throws(FileError) {
        guard let address = SocketAddress(path: path) else {
            throw HostFiles.failure(ENAMETOOLONG, "cannot make a socket", path)
        }
        let descriptor = SocketAddress.socket()
        guard descriptor >= 0 else { throw HostFiles.failure(errno, "cannot make a socket", path) }
        // Safety: the call reads the address only.
        guard unsafe address.with({ unsafe bind(descriptor, $0, $1) }) == 0, listen(descriptor, 16) == 0 else {
            let number = errno
            close(descriptor)
            throw HostFiles.failure(number, "cannot make a socket", path)
        }
        number = descriptor
    }
}

extension PassedDescriptor {
    /// Closes a copy that ``duplicate()`` gave.
    package static func giveBack(_ copy: Int32) { close(copy) }
}
