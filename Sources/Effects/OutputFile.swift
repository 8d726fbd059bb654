import Glibc

/// A new file that appears under its name only once it is complete: until then it is called `<name>.partial`.
///
/// Writes may come from several tasks at once, to different places. Dropping it unpublished leaves the partial file.
// Safety: the descriptor is private, set once and closed once; pwrite to one descriptor is safe from several threads.
@safe package final class OutputFile: Sendable {
    /// What a file that is not complete is called behind its name.
    package static let suffix = ".partial"

    private let path: String
    private let descriptor: Int32
    private var partialPath: String { path + OutputFile.suffix }

    /// Creates the partial file, sparse and `byteCount` bytes long, readable by its owner alone.
    ///
    /// A partial file that an earlier run left is begun anew, unless somebody is still writing it.
    /// - Throws: ``FileError``; number `EEXIST` when the name itself is taken, `EBUSY` when another run is writing.
    package init(path: String, byteCount: UInt64) throws(FileError) {
        self.path = path
        var facts = stat()
        // Safety: paths and `facts` live through the calls, here and below.
        if unsafe lstat(path, &facts) == 0 {
            throw FileError(
                number: EEXIST,
                sentence: "\(path) exists already and is not overwritten; choose another name or move it away",
                remedy: .permit)
        }
        let file = unsafe open(path + OutputFile.suffix, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, mode_t(0o600))
        guard file >= 0 else { throw OutputFile.failure(errno, "cannot create", path + OutputFile.suffix) }
        descriptor = file
        guard flock(file, LOCK_EX | LOCK_NB) == 0 else {
            close(file)
            throw FileError(
                number: EBUSY, sentence: "\(path).partial is being written by another restore", remedy: .permit)
        }
        guard ftruncate(file, 0) == 0, let size = off_t(exactly: byteCount), ftruncate(file, size) == 0 else {
            let number = errno
            close(file)
            throw OutputFile.failure(number, "cannot make a file of \(byteCount) bytes at", path + OutputFile.suffix)
        }
    }

    deinit { close(descriptor) }

    private static func failure(_ number: Int32, _ verb: String, _ path: String) -> FileError {
        HostFiles.failure(number, verb, path)
    }

    /// Writes all of `bytes` at `offset`.
    ///
    /// - Throws: ``FileError``.
    package func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(FileError) {
        var written = 0
        while written < bytes.count {
            // Safety: `written` is below the count.
            let result = unsafe pwrite(
                descriptor, bytes.baseAddress.map { unsafe $0 + written }, bytes.count - written,
                off_t(offset) + off_t(written))
            if result > 0 {
                written += result
            } else if result == 0 || errno != EINTR {
                throw OutputFile.failure(result == 0 ? EIO : errno, "cannot write", partialPath)
            }
        }
    }

    /// Makes the bytes durable and gives the file its name, which must still be free.
    ///
    /// - Throws: ``FileError``; the partial file then stays.
    package func publish() throws(FileError) {
        guard fsync(descriptor) == 0 else { throw OutputFile.failure(errno, "cannot make durable", partialPath) }
        // Safety: the paths live through each call here.
        // renameat2 with RENAME_NOREPLACE is not on every file system; a link that refuses an existing name is.
        guard unsafe link(partialPath, path) == 0 else { throw OutputFile.failure(errno, "cannot name", path) }
        guard unsafe unlink(partialPath) == 0 else { throw OutputFile.failure(errno, "cannot remove", partialPath) }
        let slash = path.lastIndex(of: "/")
        let folder = slash.map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
        let directory = unsafe open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard directory >= 0 else { throw OutputFile.failure(errno, "cannot open the folder", folder) }
        defer { close(directory) }
        guard fsync(directory) == 0 else { throw OutputFile.failure(errno, "cannot make durable the folder", folder) }
    }
}
