package import BackupModel
import Glibc

// Going on with an image that an interrupted restore left. Nothing that its header names is ever opened: the header is
// read here first, and QEMU sees the image only when it names nothing.
extension ImageTarget {
    /// What came of an image that was there.
    package enum Resumption: Sendable {
        /// It is open, and to be compared with.
        case takenUp(ImageTarget)
        /// It cannot be gone on with: why, for people.
        case unfit(String)
    }

    /// Bytes of a VHDX that are compared however few of them are there: some ten seconds.
    private static let largestUnmapped: UInt64 = 16 << 30
    // Statuses of `qemu-img check`.
    private static let leaks: CInt = 3
    static let noCheck: CInt = 63

    /// Opens the image at `path` for writing when an interrupted restore of the same disk can have left it: of the
    /// format and size, naming no other file, and without a fault that `qemu-img check` finds. Clusters that nobody
    /// refers to are given back, and the log of a VHDX is replayed, as its format wants it after a crash.
    ///
    /// - Parameters: as for a new image; what is at `path` is a regular file of this user's alone that nobody writes.
    /// - Throws: ``SourceError``: `serverMissing`, `serverFailed`.
    package static func resume(
        path: String, format: ImageFormat, byteCount: UInt64, connections: Int
    ) throws(SourceError) -> Resumption {
        require(format, byteCount)
        guard let program = HostProgram.find("qemu-img") else {
            let sentence = "\(path) needs qemu-img, which is not on PATH; install the package qemu-utils"
            throw SourceError(.serverMissing, sentence, .askOperator)
        }
        do throws(SourceError) { try look(path, format, byteCount) } catch { return .unfit(error.sentence) }
        // QEMU does not say where a VHDX is empty, and reading that takes longer than writing the rest again.
        let taken = try HostFile(opening: path).allocated ?? 0
        if format == .vhdx, byteCount > max(largestUnmapped, taken.multipliedReportingOverflow(by: 4).partialValue) {
            return .unfit("a VHDX of \(byteCount) bytes, of which \(taken) are there, takes too long to compare")
        }
        if let fault = fault(path, format, program) { return .unfit(fault) }
        // What was mended is looked at again.
        do throws(SourceError) {
            try look(path, format, byteCount)
            if format == .vhdx { try requireEmptyLog(HeaderBytes(try HostFile(opening: path))) }
        } catch { return .unfit(error.sentence) }
        let target = try ImageTarget(opening: path, format: format, connections: connections)
        guard target.server.byteCount == byteCount else {
            target.server.stop()
            return .unfit("it has \(target.server.byteCount) bytes, and the disk \(byteCount)")
        }
        return .takenUp(target)
    }

    /// Ends a server that an interrupted restore started to write the image at `path`, and that outlived it. To be
    /// called only by who has the folder of the image to itself, some seconds after the restore ended.
    package static func endOrphanedServer(path: String, format: ImageFormat) {
        OrphanedServer.end(writing: path, format: format)
    }

    /// Throws unless the header is one that this program's restores make.
    private static func look(_ path: String, _ format: ImageFormat, _ byteCount: UInt64) throws(SourceError) {
        let bytes = HeaderBytes(try HostFile(opening: path))
        let header = try ImageHeader(parsing: bytes, as: format)
        guard header.backing == nil, header.extents.isEmpty else {
            throw .unsupported(path, "it names another file, which a restored image never does")
        }
        if let size = header.size, size != byteCount {
            throw .unsupported(path, "it is of a disk of \(size) bytes, and this one has \(byteCount)")
        }
        try TruncationCheck.check(bytes, as: format)
        if format == .vmdk { try TruncationCheck.requireEqualTables(bytes) }
    }

    /// Throws when the newer header of a VHDX names a log: QEMU 7.2 finds no fault with one that holds nothing to
    /// replay, and then refuses every write that allocates.
    private static func requireEmptyLog(_ bytes: HeaderBytes) throws(SourceError) {
        var newest: (sequence: UInt64, log: [UInt8])?
        for place: UInt64 in [64 << 10, 128 << 10] where try bytes.some(at: place, count: 4) == Array("head".utf8) {
            let sequence = try bytes.little64(place + 8)
            if newest.map({ sequence > $0.sequence }) ?? true {
                newest = (sequence, try bytes.exactly(16, at: place + 48))
            }
        }
        guard let newest, newest.log.allSatisfy({ $0 == 0 }) else {
            throw .damaged(bytes.path, "its log was not closed, and QEMU would not write behind it")
        }
    }

    /// What QEMU finds wrong with an image; `nil` when nothing is, or nothing is any more.
    private static func fault(_ path: String, _ format: ImageFormat, _ program: String) -> String? {
        func check(_ more: [String]) -> (status: CInt, text: String) {
            let result = HostProgram.run([program, "check", "-q"] + more + ["-f", format.driver, path])
            return (result.status, ErrorText.printable(result.errorText))
        }
        var found = check([])
        if found.status == noCheck { return "QEMU has no check for \(format.name) images" }
        if found.status == leaks {
            _ = check(["-r", "leaks"])
            found = check([])
        } else if found.status != 0, format == .vhdx {
            // A log that waits to be replayed cannot be told from worse before it was tried.
            _ = check(["-r", "all"])
            found = check([])
        }
        return found.status == 0 ? nil : "qemu-img check ends with status \(found.status): \(found.text)"
    }

    // MARK: Comparing

    /// Fills `buffer` from `offset` on with what the image holds.
    ///
    /// - Throws: ``SourceError``, `serverFailed`, `interrupted`.
    package func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) async throws(SourceError) {
        let connection = try await server.borrow()
        defer { server.giveBack(connection) }
        // Safety: the buffer belongs to the caller for the whole call.
        try unsafe connection.read(at: offset, into: buffer)
    }

    /// Bytes that are looked at together when zeros are made.
    private static let piece: UInt64 = 1 << 20

    /// Bytes of which the allocation is asked for at once.
    private static let window: UInt64 = 1 << 30

    /// Makes the whole sectors of a range read as zeros, writing only where something else is.
    ///
    /// - Throws: ``SourceError``, `serverFailed`, `interrupted`.
    package func zero(_ range: Extent) async throws(SourceError) {
        let sector = ImageTarget.sectorByteCount
        let start = (range.start + sector - 1) / sector * sector
        let end = range.end / sector * sector
        guard start < end else { return }
        let connection = try await server.borrow()
        defer { server.giveBack(connection) }
        let room = UnsafeMutableRawBufferPointer.allocate(byteCount: Int(ImageTarget.piece), alignment: 4096)
        // Safety: allocated above, filled and read here, and freed once.
        defer { unsafe room.deallocate() }
        // Safety: the room is a piece long and this call's own.
        func zero(_ extent: Extent) throws(SourceError) {
            var position = extent.start
            while position < extent.end {
                let count = min(ImageTarget.piece, extent.end - position)
                let part = unsafe UnsafeMutableRawBufferPointer(rebasing: room[..<Int(count)])
                try unsafe connection.read(at: position, into: part)
                let isZero = unsafe ImageTarget.isZero(part)
                if !isZero { try connection.zero(at: position, count: count) }
                position += count
            }
        }
        var position = start
        while position < end {
            let window = Extent(start: position, length: min(ImageTarget.window, end - position))
            for extent in try connection.extents(in: window, mapped: hasAllocationMap) where extent.kind == .data {
                try zero(extent.extent)
            }
            position = window.end
        }
    }

    private static func isZero(_ bytes: UnsafeMutableRawBufferPointer) -> Bool {
        // Safety: never empty here. Both stretches lie inside the buffer. Each byte equals the one before it, and the
        // first is zero.
        guard let first = bytes.baseAddress, unsafe bytes[0] == 0 else { return false }
        return unsafe memcmp(first, first + 1, bytes.count - 1) == 0
    }
}
