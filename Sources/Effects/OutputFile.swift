import Glibc
import Synchronization

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
    private let writing = Mutex(())
    private let calls: any DiskCalls
    private var partialPath: String { path + OutputFile.suffix }

    /// What an earlier run left, to be compared with; `nil` when the file is new and reads as zeros.
    package var earlier: ExistingDisk? { isResumed ? disk : nil }

    /// Creates the partial file, sparse and `byteCount` bytes long, readable by its owner alone; or takes the one that
    /// an earlier run left: of that size, this user's, private, with no other name.
    ///
    /// - Parameter replaces: whether a regular file of the name is replaced in the end; its owner and rights stay.
    /// - Throws: ``FileError``; number `EEXIST` when the name or that of the partial file is taken, `EBUSY` when
    ///   another run is writing.
    package init(
        path: String, byteCount: UInt64, replaces: Bool = false, calls: any DiskCalls = HostDiskCalls()
    ) throws(FileError) {
        self.path = path
        self.calls = calls
        self.replaces = replaces
        if !replaces { try OutputFile.refuseTaken(path) }
        let partial = path + OutputFile.suffix
        var isThere = false
        do throws(FileError) {
            let made = try calls.tried("cannot create", partial) {
                $0.open(partial, flags: O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW)
            }
            close(CInt(made))
        } catch {
            guard error.number == EEXIST else { throw error }
            isThere = true
        }
        do throws(FileError) {
            disk = try ExistingDisk(
                path: path + OutputFile.suffix, ignoresUse: false, followsLinks: false, calls: calls)
        } catch {
            switch error.number {
            case EBUSY:
                throw FileError(
                    number: EBUSY,
                    sentence: "\(error.sentence); it is what an interrupted restore left, or one that is "
                        + "running", remedy: .permit)
            case ELOOP, EINVAL, EACCES,
                EPERM where isThere:
                throw OutputFile.foreign(partial)
            default: throw error
            }
        }
        // One without a byte was made by a run that came no further.
        isResumed = isThere && disk.byteCount > 0
        // What is there is taken only when it can be nothing else than what an interrupted restore of this left.
        guard !isThere || disk.isPrivate && disk.isAlone(at: partial) && (!isResumed || disk.byteCount == byteCount)
        else {
            throw OutputFile.foreign(partial)
        }
        guard isResumed else {
            do throws(FileError) { try disk.resize(to: byteCount) } catch {
                // Nothing was restored into it.
                _ = calls.unlink(partial)
                throw error
            }
            return
        }
        try disk.readFromDisk()
    }

    private static func foreign(_ partial: String) -> FileError {
        FileError(
            number: EEXIST,
            sentence: "\(partial) is there and is not what an interrupted restore of this disk leaves; move it away "
                + "first", remedy: .permit)
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
        // The kernel lets one at a time write into a file, and others spin meanwhile: here they sleep.
        try writing.withLock { _ throws(FileError) in
            // Safety: the buffer is the caller's for the call.
            try unsafe disk.write(bytes, at: offset)
        }
    }

    /// Makes the bytes durable and gives the file its name, which must still be free unless it replaces one.
    ///
    /// - Throws: ``FileError``; the partial file then stays.
    package func publish() throws(FileError) {
        guard disk.isAlone(at: partialPath) else {
            throw FileError(
                number: EBUSY, sentence: "\(partialPath) was exchanged while it was written; nothing was named",
                remedy: .inspect)
        }
        if replaces { disk.adoptRights(of: path) }
        try disk.sync()
        try FileNaming.publish(partialPath, as: path, replaces: replaces, calls: calls)
    }
}
