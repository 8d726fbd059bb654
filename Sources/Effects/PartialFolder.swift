import Glibc

/// The folder in which a file that is not complete lies under its own name; one process at a time has it.
// Safety: the descriptor is private, set once and closed once.
@safe package final class PartialFolder: Sendable {
    private let descriptor: CInt

    /// Makes the folder, private to this user, or takes the one that an earlier run left.
    ///
    /// - Throws: ``FileError``; number `EBUSY` when another process has it, `EEXIST` when it is not what an earlier run
    ///   leaves: a link, no folder, another user's, or open to others.
    package init(path: String) throws(FileError) {
        try HostPaths.makeFolders(path)
        // Safety: the path lives through the calls, and `facts` is filled by the one it is given to.
        let folder = unsafe open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        guard folder >= 0 else {
            let number = errno
            if number == ELOOP || number == ENOTDIR { throw PartialFolder.foreign(path) }
            throw HostFiles.failure(number, "cannot open the folder", path)
        }
        descriptor = folder
        var facts = stat()
        guard unsafe fstat(folder, &facts) == 0, facts.st_uid == geteuid(), facts.st_mode & 0o077 == 0 else {
            close(folder)
            throw PartialFolder.foreign(path)
        }
        guard flock(folder, LOCK_EX | LOCK_NB) == 0 else {
            close(folder)
            throw FileError(
                number: EBUSY, sentence: "\(path) is being written by another restore; wait for it", remedy: .permit)
        }
    }

    deinit { close(descriptor) }

    private static func foreign(_ path: String) -> FileError {
        FileError(
            number: EEXIST,
            sentence: "\(path) is there and is not the private folder that an interrupted restore leaves; move it away "
                + "first", remedy: .permit)
    }
}
