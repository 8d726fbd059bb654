/// The few file operations a store in a directory is built from, so that a test can put a simulated disk that loses
/// power underneath. Paths are relative to one folder, `/`-separated, without `.` or `..`.
///
/// Nothing but ``syncFile(_:)`` and ``syncFolder(_:)`` makes anything survive a power loss.
package protocol DurableFiles: Sendable {
    /// Creates a folder. - Returns: `false` when it was there already.
    func makeFolder(_ path: String) throws(FileError) -> Bool
    /// Creates a file that must not exist and writes all of `bytes`.
    func writeNew(_ path: String, _ bytes: [UInt8]) throws(FileError)
    /// Makes a file's bytes durable (not its name).
    func syncFile(_ path: String) throws(FileError)
    /// Gives a file a second name. - Returns: `false` when that name is taken.
    func link(_ existing: String, to new: String) throws(FileError) -> Bool
    /// Makes the names in a folder durable; "" is the outermost folder.
    func syncFolder(_ path: String) throws(FileError)
    /// Removes a name; a name that is not there is no error.
    func remove(_ path: String) throws(FileError)
    /// At most `count` bytes from `offset`, fewer at the end of the file; `nil` when there is no such file.
    func read(_ path: String, offset: UInt64, count: Int) throws(FileError) -> [UInt8]?
    /// The whole file, or its first `limit` bytes, into `room`. - Returns: `false` when there is no such file.
    func read(_ path: String, limit: Int, into room: AlignedRoom) throws(FileError) -> Bool
    /// Size in bytes; `nil` when there is no such file.
    func byteCount(_ path: String) throws(FileError) -> UInt64?
    /// Whether the path names a folder; a link counts only at the top.
    func isFolder(_ path: String) throws(FileError) -> Bool
    /// Names in a folder, in no order; empty when there is no such folder.
    func names(in path: String) throws(FileError) -> [String]
    /// Takes a lock, making its file when there is none; it goes with the process that holds it. Nothing about it is
    /// durable: after a power loss nobody holds any. - Returns: `nil` when another holds it.
    func lock(_ path: String) throws(FileError) -> (any HeldLock)?
    /// Whether a file carries the flag with which nobody, root included, changes or removes it; `nil` when there is no
    /// such file.
    func isImmutable(_ path: String) throws(FileError) -> Bool?
    /// Sets that flag of a file, or takes it off; a file that is not there is no error. Not durable: after a power loss
    /// it may be as before.
    func setImmutable(_ path: String, _ isImmutable: Bool) throws(FileError)
}

extension DurableFiles {
    /// For files that have no such flag: always an error.
    package func isImmutable(_ path: String) throws(FileError) -> Bool? { throw noFlag(path) }

    /// For files that have no such flag: always an error.
    package func setImmutable(_ path: String, _ isImmutable: Bool) throws(FileError) { throw noFlag(path) }

    private func noFlag(_ path: String) -> FileError {
        FileError(number: 95, sentence: "\(path) lies where files have no immutable flag", remedy: .inspect)
    }

    /// Takes a lock that others hold for a moment only, and waits for them.
    ///
    /// - Parameter patience: looks before it is given up, a few milliseconds apart.
    /// - Throws: ``FileError``, number `EAGAIN`, when somebody holds it on and on: a process that was stopped.
    package func waitForLock(_ path: String, patience: Int = 12_000) throws(FileError) -> any HeldLock {
        for _ in 0..<patience {
            if let lock = try lock(path) { return lock }
            ThreadPause.take(milliseconds: 5)
        }
        throw FileError(
            number: 11,
            sentence: "another process has held the lock \(path) in this host's state folder for a minute: is it "
                + "stopped? Let it go on or end it", remedy: .inspect)
    }

    /// By way of an array, for files that have none of their own.
    package func read(_ path: String, limit: Int, into room: AlignedRoom) throws(FileError) -> Bool {
        guard let bytes = try read(path, offset: 0, count: limit) else { return false }
        room.fill(bytes)
        return true
    }
}

/// A file operation that the system refused.
package struct FileError: Error, Hashable, Sendable, CustomStringConvertible {
    /// What to do about it.
    package enum Remedy: Hashable, Sendable {
        /// Make room, then try again.
        case makeRoom
        /// Give the right to do this, then try again.
        case permit
        /// Mount the file system for writing, then try again.
        case remount
        /// Look at the disk: the system could not read or write it.
        case inspect
    }

    /// The `errno` of the call; 0 when no call failed.
    package let number: Int32
    /// One sentence with the path and the system's words.
    package let sentence: String
    /// See ``Remedy``.
    package let remedy: Remedy

    /// A refusal with the system's number and a sentence that names the file.
    package init(number: Int32, sentence: String, remedy: Remedy) {
        self.number = number
        self.sentence = sentence
        self.remedy = remedy
    }

    package var description: String { sentence }
}
