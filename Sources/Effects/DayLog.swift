import Glibc

/// Lines that a host keeps by day, a file for each day in one folder, within bounds of age and size.
///
/// Any number of processes append and read at once: whoever appends or drops holds the lock of the folder, readers hold
/// none. A line is durable when ``append(_:day:oldest:condense:)`` returns. After a crash the last line of a file may
/// be torn; it stays alone on its line, and whoever reads passes over what is no line of theirs.
///
/// Private to its owner: folder 0700, files 0600.
package struct DayLog: Sendable {
    /// How much is kept.
    package struct Bounds: Hashable, Sendable {
        /// Bytes of all days; beyond them the oldest go.
        package let total: UInt64
        /// Bytes of one day; beyond them it is condensed, and loses its oldest lines if that is not enough.
        package let day: UInt64

        /// - Parameters: see the properties; a day has at most half of all.
        package init(total: UInt64, day: UInt64) {
            precondition(day > 0 && day <= total / 2, "a day has at most half of what is kept of all")
            self.total = total
            self.day = day
        }
    }

    /// Most bytes of one line.
    package static let longestLine = 1 << 20

    /// Absolute path of the folder, made when something is appended.
    package let folder: String
    /// How much is kept.
    package let bounds: Bounds

    /// - Parameters: see the properties.
    package init(folder: String, bounds: Bounds) {
        self.folder = folder
        self.bounds = bounds
    }

    private static let suffix = ".jsonl"
    private static let lineEnd = UInt8(ascii: "\n")

    private func path(_ day: String) -> String { "\(folder)/\(day)\(DayLog.suffix)" }

    /// Whether a text is a day as files are named: `2028-02-29`.
    private static func isDay(_ text: some StringProtocol) -> Bool {
        let bytes = Array(text.utf8)
        return bytes.count == 10
            && bytes.enumerated().allSatisfy { index, byte in
                index == 4 || index == 7 ? byte == UInt8(ascii: "-") : (48...57).contains(byte)
            }
    }

    // MARK: Reading

    /// Days of which there is anything, ascending.
    ///
    /// - Throws: ``FileError`` when the folder is there and cannot be listed.
    package func days() throws(FileError) -> [String] {
        try HostFiles(root: folder).names(in: "").compactMap { name in
            let day = name.dropLast(DayLog.suffix.utf8.count)
            return name.hasSuffix(DayLog.suffix) && DayLog.isDay(day) ? String(day) : nil
        }.sorted()
    }

    /// The lines of a day in the order they came, without their ends; none when there is no such day. The last may be
    /// torn.
    ///
    /// - Throws: ``FileError``.
    package func lines(of day: String) throws(FileError) -> [ArraySlice<UInt8>] {
        let limit = Int(clamping: bounds.day) + 2 * DayLog.longestLine
        guard DayLog.isDay(day),
            let bytes = try HostFiles(root: folder).read("\(day)\(DayLog.suffix)", offset: 0, count: limit)
        else { return [] }
        return bytes.split(separator: DayLog.lineEnd)
    }

    // MARK: Writing

    /// Adds a line to a day, durably, and then drops what is beyond the bounds; what cannot be dropped now is dropped
    /// by one of the next calls.
    ///
    /// - Parameters:
    ///   - line: without a line's end in it, at most ``longestLine`` bytes.
    ///   - day: as `2028-02-29`.
    ///   - oldest: days before this one are dropped.
    ///   - condense: is given the lines of a day that has grown too large and returns those that are still needed, in
    ///     their order.
    /// - Throws: ``FileError``; the line is then not there, or torn.
    package func append(
        _ line: [UInt8], day: String, oldest: String, condense: ([ArraySlice<UInt8>]) -> [ArraySlice<UInt8>] = { $0 }
    ) throws(FileError) {
        precondition(DayLog.isDay(day), "a day is written as 2028-02-29")
        precondition(
            line.count <= DayLog.longestLine && !line.contains(DayLog.lineEnd), "a line is one line within its bound")
        try HostPaths.makeFolders(folder)
        let lock = try FileLock(waitingAt: "\(folder)/lock")
        defer { withExtendedLifetime(lock) {} }
        let byteCount = try add(line, to: path(day))
        if byteCount > bounds.day { try? shorten(day, condense) }
        try? drop(before: oldest, except: day)
    }

    /// Writes behind what is there. - Returns: bytes of the file then.
    private func add(_ line: [UInt8], to path: String) throws(FileError) -> UInt64 {
        // Safety: the path lives through the call.
        let file = unsafe open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, mode_t(0o600))
        guard file >= 0 else { throw HostFiles.failure(errno, "cannot open", path) }
        defer { close(file) }
        let before = lseek(file, 0, SEEK_END)
        guard before >= 0 else { throw HostFiles.failure(errno, "cannot look at", path) }
        var last = DayLog.lineEnd
        // Safety: one byte is read into one.
        if before > 0, unsafe pread(file, &last, 1, before - 1) != 1 {
            throw HostFiles.failure(errno, "cannot read", path)
        }
        // What a crash has left without an end stays a line of its own.
        let bytes = (last == DayLog.lineEnd ? [] : [DayLog.lineEnd]) + line + [DayLog.lineEnd]
        do throws(FileError) {
            try DayLog.write(bytes, to: file, path)
        } catch {
            // Half a line helps nobody; where it cannot be cut off it is passed over.
            _ = ftruncate(file, before)
            throw error
        }
        guard fsync(file) == 0 else { throw HostFiles.failure(errno, "cannot make durable", path) }
        if before == 0 { try HostFiles(root: folder).syncFolder("") }
        return UInt64(before) + UInt64(bytes.count)
    }

    private static func write(_ bytes: [UInt8], to file: Int32, _ path: String) throws(FileError) {
        var done = 0
        while done < bytes.count {
            let count = unsafe bytes.withUnsafeBytes { buffer in
                // Safety: `done` is below the buffer's count.
                unsafe Glibc.write(file, buffer.baseAddress.map { unsafe $0 + done }, buffer.count - done)
            }
            if count > 0 {
                done += count
            } else if errno != EINTR {
                throw HostFiles.failure(errno, "cannot write", path)
            }
        }
    }

    /// Replaces a day by what is still needed of it, at most half of its bound.
    private func shorten(
        _ day: String, _ condense: ([ArraySlice<UInt8>]) -> [ArraySlice<UInt8>]
    ) throws(FileError) {
        let needed = condense(try lines(of: day))
        var byteCount = needed.reduce(0) { $0 + $1.count + 1 }
        let kept = needed.drop { line in
            guard byteCount > bounds.day / 2 else { return false }
            byteCount -= line.count + 1
            return true
        }
        let files = HostFiles(root: folder)
        let temporary = "shortened"
        try files.remove(temporary)
        try files.writeNew(temporary, Array(kept.map { Array($0) + [DayLog.lineEnd] }.joined()))
        try files.syncFile(temporary)
        // Safety: both paths live through the call.
        guard unsafe rename("\(folder)/\(temporary)", path(day)) == 0 else {
            throw HostFiles.failure(errno, "cannot replace", path(day))
        }
        try files.syncFolder("")
    }

    /// Drops old days, and the oldest ones while there is too much of all.
    private func drop(before oldest: String, except current: String) throws(FileError) {
        let files = HostFiles(root: folder)
        var sizes: [(day: String, byteCount: UInt64)] = []
        for day in try days() { sizes.append((day, try files.byteCount("\(day)\(DayLog.suffix)") ?? 0)) }
        var total = sizes.reduce(UInt64(0)) { $0 + $1.byteCount }
        for (day, byteCount) in sizes where day != current && (day < oldest || total > bounds.total) {
            try files.remove("\(day)\(DayLog.suffix)")
            total -= byteCount
        }
    }
}
