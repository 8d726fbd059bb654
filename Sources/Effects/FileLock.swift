import Glibc

/// A lock that one process holds, and that goes with it however it ends.
// Safety: the descriptor is private, set once and closed once.
@safe package final class FileLock: Sendable {
    private let descriptor: Int32

    /// Takes the lock, or gives `nil` when another process holds it.
    ///
    /// - Throws: ``FileError`` when the file cannot be made.
    package init?(path: String) throws(FileError) {
        // Safety: the path lives through the call.
        let file = unsafe open(path, O_RDWR | O_CREAT | O_CLOEXEC, mode_t(0o600))
        guard file >= 0 else { throw HostFiles.failure(errno, "cannot open the lock", path) }
        guard flock(file, LOCK_EX | LOCK_NB) == 0 else {
            close(file)
            return nil
        }
        descriptor = file
    }

    /// Takes the lock, and waits for whoever holds it: for locks that are held for a few calls.
    ///
    /// - Throws: ``FileError`` when the file cannot be made or locked.
    package init(waitingAt path: String) throws(FileError) {
        // Safety: the path lives through the call.
        let file = unsafe open(path, O_RDWR | O_CREAT | O_CLOEXEC, mode_t(0o600))
        guard file >= 0 else { throw HostFiles.failure(errno, "cannot open the lock", path) }
        while flock(file, LOCK_EX) != 0 {
            let number = errno
            if number == EINTR { continue }
            close(file)
            throw HostFiles.failure(number, "cannot take the lock", path)
        }
        descriptor = file
    }

    /// Another descriptor, which the caller closes: a process that has it holds the lock too.
    ///
    /// - Throws: ``FileError``.
    package func duplicate() throws(FileError) -> Int32 {
        let copy = fcntl(descriptor, F_DUPFD_CLOEXEC, 0)
        guard copy >= 0 else { throw HostFiles.failure(errno, "cannot share", "a lock") }
        return copy
    }

    deinit { close(descriptor) }
}
