import Glibc

/// Standard output for bytes instead of lines.
package enum StandardOutput {
    /// Whether somebody would have to read the bytes on a screen.
    package static var isTerminal: Bool { isatty(STDOUT_FILENO) == 1 }

    /// Writes all of `bytes`, waiting for the reader as long as it takes.
    ///
    /// - Throws: ``FileError``, also when the reader has gone.
    package static func write(_ bytes: UnsafeRawBufferPointer) throws(FileError) {
        var done = 0
        while done < bytes.count {
            // Safety: the range starts inside the caller's buffer and ends at its end.
            let rest = unsafe UnsafeRawBufferPointer(rebasing: bytes[done...])
            let count = unsafe Glibc.write(STDOUT_FILENO, rest.baseAddress, rest.count)
            if count > 0 {
                done += count
            } else if errno == EAGAIN {
                var wait = pollfd(fd: STDOUT_FILENO, events: Int16(POLLOUT), revents: 0)
                // Safety: one entry, as the count says.
                _ = unsafe poll(&wait, 1, 1000)
            } else if errno != EINTR {
                throw HostFiles.failure(errno, "cannot write to", "standard output")
            }
        }
    }
}
