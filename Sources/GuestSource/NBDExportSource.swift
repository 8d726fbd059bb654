package import BackupModel

/// A disk that a hypervisor serves over an NBD socket, as it was at one instant.
///
/// Nothing is opened and nothing started: the server, and what it serves, belong to whoever asked the hypervisor.
package final class NBDExportSource: ImageSource {
    package let summary: ImageSummary
    package let byteCount: UInt64
    private let pool: ConnectionPool
    private let dirtyContext: String?

    private init(
        pool: ConnectionPool, byteCount: UInt64, summary: ImageSummary, dirtyContext: String?
    ) {
        self.pool = pool
        self.byteCount = byteCount
        self.summary = summary
        self.dirtyContext = dirtyContext
    }

    /// Connects.
    ///
    /// - Parameters:
    ///   - socket: absolute path of the server's unix socket.
    ///   - export: name of the export.
    ///   - dirtyContext: `qemu:dirty-bitmap:NAME` when the export has such a list of changes.
    ///   - connections: reads at once, 1 … 16.
    ///   - name: what the disk is called, for messages and records.
    /// - Throws: `serverFailed` when the server does not answer, or has no such export or list.
    package static func open(
        socket: String, export: String, dirtyContext: String?, connections: Int, name: String
    ) throws(SourceError) -> NBDExportSource {
        var all: [NBDConnection] = []
        for number in 0..<max(1, connections) {
            // One of them asks about changes; a context costs the server a look at every question.
            let contexts = number == 0 ? [dirtyContext].compactMap(\.self) : []
            let connection = try NBDConnection(path: name, peer: .hypervisor, export: export, contexts: contexts)
            try connection.connect(socket: socket)
            try connection.finishConnecting()
            all.append(connection)
        }
        guard let byteCount = all[0].byteCount else { throw .exported(name, "its size could not be asked for") }
        if let dirtyContext, !all[0].has(dirtyContext) {
            throw .exported(name, "the hypervisor does not serve its list of changes")
        }
        let summary = ImageSummary(
            format: .raw, formatOrigin: .stated, path: name, resolvedPath: name, isBlockDevice: false,
            allocatedBytes: nil, chain: [], hasAllocationMap: all[0].hasAllocationMap, notes: [])
        let source = NBDExportSource(
            pool: ConnectionPool(Array(all.reversed()), path: name), byteCount: byteCount, summary: summary,
            dirtyContext: dirtyContext)
        return source
    }

    /// What was written since the list of changes began, ascending and apart, in bytes; in whole blocks of the list's
    /// granularity. To be asked for before anything else, by one task.
    ///
    /// - Throws: `serverFailed`; `closed`.
    package func dirtyExtents() async throws(SourceError) -> [Extent] {
        guard let dirtyContext else { return [Extent(start: 0, length: byteCount)] }
        let connection = try await pool.borrow()
        defer { pool.giveBack(connection) }
        guard connection.has(dirtyContext) else {
            throw .exported(summary.path, "its list of changes was not asked for")
        }
        return try connection.dirtyExtents(dirtyContext, in: Extent(start: 0, length: byteCount))
    }

    package func extents(in range: Extent) async throws(SourceError) -> [SourceExtent] {
        try requireInside(offset: range.start, count: range.length)
        let connection = try await pool.borrow()
        defer { pool.giveBack(connection) }
        return try connection.extents(in: range, mapped: summary.hasAllocationMap)
    }

    package func read(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) async throws(SourceError) {
        try requireInside(offset: offset, count: UInt64(buffer.count))
        let connection = try await pool.borrow()
        defer { pool.giveBack(connection) }
        // Safety: the buffer belongs to the caller for the whole call.
        try unsafe connection.read(at: offset, into: buffer)
    }

    /// The hypervisor vouches for the instant: whether it still does is asked of the capture, not of the export.
    package func confirmUnchanged() async throws(SourceError) {}

    package func close() async { pool.stop() }
}

extension SourceError {
    static func exported(_ disk: String, _ reason: String) -> SourceError {
        SourceError(
            .serverFailed, "disk \(disk) could not be read from the hypervisor: \(reason)", .retry)
    }
}
