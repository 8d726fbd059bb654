import Glibc

/// A disk that arrives on standard input: unknown length, read once, from front to back.
package struct StandardInputSource: ~Copyable {
    /// Bytes at the beginning that are looked at.
    private static let lookByteCount = 512

    private let descriptor: CInt
    /// What kind of container the first bytes look like, by its usual name; `nil` for a raw disk. It is read as one all
    /// the same: what comes down a pipe cannot be opened again.
    package private(set) var containerName: String?
    /// Bytes delivered so far; the disk's size once `next` has returned less than it was asked for.
    package private(set) var byteCount: UInt64 = 0

    /// - Parameter descriptor: an open descriptor that stays the caller's; standard input unless told otherwise.
    /// - Throws: `inputIsTerminal` when somebody would have to type the disk; `notReadable` when it is not open.
    package init(descriptor: CInt = 0) throws(SourceError) {
        if isatty(descriptor) == 1 {
            let sentence = "standard input is a terminal; pipe the disk into it"
            throw SourceError(.inputIsTerminal, sentence, .askOperator)
        }
        if fcntl(descriptor, F_GETFD) < 0 {
            throw SourceError(.notReadable, "standard input is not open", .askOperator, cause: errno)
        }
        self.descriptor = descriptor
    }

    /// Fills `buffer` with the next bytes, waiting for the writer as long as it takes, and returns how many there are.
    ///
    /// Only the last region is shorter than the buffer; 0 says that the input has ended. A writer that died looks like
    /// an end: whoever pipes checks the writer's exit status. Blocks the calling thread.
    /// - Throws: `readFailed`.
    package mutating func next(into buffer: UnsafeMutableRawBufferPointer) async throws(SourceError) -> Int {
        var done = 0
        while done < buffer.count {
            try await waitForBytes()
            // Safety: the range starts inside the caller's buffer and ends at its end.
            let rest = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[done...])
            let count = unsafe Glibc.read(descriptor, rest.baseAddress, rest.count)
            if count == 0 { break }
            if count > 0 {
                done += count
            } else if errno != EINTR && errno != EAGAIN {
                throw .system("reading", "standard input", errno)
            }
        }
        if byteCount == 0 {
            // Safety: the buffer is the caller's, and filled up to `done`.
            let head = unsafe Array(buffer[..<min(done, StandardInputSource.lookByteCount)])
            containerName = ContentLook.containerName(ofHead: head)
        }
        byteCount += UInt64(done)
        return done
    }

    /// Waits for bytes or the end, and looks now and then whether the task was cancelled meanwhile: a writer may be
    /// silent for hours.
    private func waitForBytes() async throws(SourceError) {
        while true {
            if Task.isCancelled {
                throw SourceError(.interrupted, "interrupted while waiting for standard input", .retry)
            }
            var wait = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            // Safety: one entry, as the count says.
            let ready = unsafe poll(&wait, 1, 200)
            if ready > 0 || (ready < 0 && errno != EINTR) { return }
        }
    }
}
