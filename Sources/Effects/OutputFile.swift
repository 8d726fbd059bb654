import Glibc

/// A new disk file that appears under its name only once it is complete: until then it is called `<name>.partial`.
///
/// Writes may come from several tasks at once, to different places. Dropping it unpublished leaves the partial file,
/// and the next one for the same name and size goes on with it.
package final class OutputFile: Sendable {
    /// What a file that is not complete is called behind its name.
    package static let suffix = ".partial"

    private let path: String
    private let replaces: Bool
    private let disk: ExistingDisk
    private let isResumed: Bool
    private var partialPath: String { path + OutputFile.suffix }

    /// What an earlier run left, to be compared with; `nil` when the file is new and reads as zeros.
    package var earlier: ExistingDisk? { isResumed ? disk : nil }

    /// Creates the partial file, sparse and `byteCount` bytes long, readable by its owner alone; or takes the one that
    /// an earlier run left, when it has that size.
    ///
    /// - Parameter replaces: whether a regular file of the name is replaced in the end; its owner and rights stay.
    /// - Throws: ``FileError``; number `EEXIST` when the name itself is taken, `EBUSY` when another run is writing.
    package init(path: String, byteCount: UInt64, replaces: Bool = false) throws(FileError) {
        self.path = path
        self.replaces = replaces
        if !replaces { try OutputFile.refuseTaken(path) }
        // Safety: the path lives through the call.
        let made = unsafe open(
            path + OutputFile.suffix, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode_t(0o600))
        if made >= 0 {
            close(made)
        } else if errno != EEXIST {
            throw HostFiles.failure(errno, "cannot create", path + OutputFile.suffix)
        }
        do throws(FileError) {
            disk = try ExistingDisk(path: path + OutputFile.suffix, ignoresUse: false, followsLinks: false)
        } catch {
            guard error.number == EBUSY else { throw error }
            throw FileError(
                number: EBUSY, sentence: "\(path).partial is being written by another restore", remedy: .permit)
        }
        isResumed = disk.byteCount == byteCount && byteCount > 0
        if !isResumed {
            try disk.resize(to: 0)
            try disk.resize(to: byteCount)
        }
    }

    /// Refuses a name that is taken.
    ///
    /// - Throws: ``FileError``, number `EEXIST`.
    package static func refuseTaken(_ path: String) throws(FileError) {
        guard HostPaths.exists(path) else { return }
        throw FileError(
            number: EEXIST,
            sentence: "\(path) exists already and is not overwritten; choose another name, move it away, or say "
                + "--overwrite or --in-place",
            remedy: .permit)
    }

    /// Writes all of `bytes` at `offset`.
    ///
    /// - Throws: ``FileError``.
    package func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(FileError) {
        // Safety: the buffer is the caller's for the call.
        try unsafe disk.write(bytes, at: offset)
    }

    /// Makes the bytes durable and gives the file its name, which must still be free unless it replaces one.
    ///
    /// - Throws: ``FileError``; the partial file then stays.
    package func publish() throws(FileError) {
        if replaces { disk.adoptRights(of: path) }
        try disk.sync()
        try FileNaming.publish(partialPath, as: path, replaces: replaces)
    }
}
