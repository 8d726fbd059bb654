import Glibc

/// A lock that is held as long as this object is there, and that goes with its process however that ends.
package protocol HeldLock: AnyObject, Sendable {}

/// A lock that one process holds, or several that share it, and that goes with them however they end.
// Safety: the descriptor is private, set once and closed once.
@safe package final class FileLock: HeldLock {
    private let descriptor: Int32

    /// Takes the lock, or gives `nil` when another process holds it. Two locks of one process are two holders.
    ///
    /// - Parameter isShared: whether others may hold it at the same time, when they share it as well.
    /// - Throws: ``FileError`` when the file cannot be made.
    package init?(path: String, isShared: Bool = false) throws(FileError) {
        // Safety: the path lives through the call.
        let file = unsafe open(path, O_RDWR | O_CREAT | O_CLOEXEC, mode_t(0o600))
        guard file >= 0 else { throw HostFiles.failure(errno, "cannot open the lock", path) }
        while flock(file, (isShared ? LOCK_SH : LOCK_EX) | LOCK_NB) != 0 {
            let number = errno
            if number == EINTR { continue }
            close(file)
            if number == EWOULDBLOCK { return nil }
            throw HostFiles.failure(number, "cannot take the lock", path)
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
