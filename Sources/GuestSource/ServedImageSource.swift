import BackupModel
import Synchronization

/// An image in a container format, read through a `qemu-nbd` of its own.
final class ServedImageSource: ImageSource {
    let summary: ImageSummary
    let byteCount: UInt64
    /// Open, and so marked as in use, until the source is closed.
    private let chain: Mutex<ImageChain?>
    private let server: NBDServer

    init(_ chain: ImageChain, _ server: NBDServer, summary: ImageSummary) {
        self.chain = Mutex(chain)
        self.server = server
        self.summary = summary
        byteCount = server.byteCount
    }

    deinit { server.stop() }

    func extents(in range: Extent) async throws(SourceError) -> [SourceExtent] {
        try requireInside(offset: range.start, count: range.length)
        let connection = try await server.borrow()
        defer { server.giveBack(connection) }
        return try connection.extents(in: range, mapped: summary.hasAllocationMap)
    }

    func read(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) async throws(SourceError) {
        try requireInside(offset: offset, count: UInt64(buffer.count))
        let connection = try await server.borrow()
        defer { server.giveBack(connection) }
        // Safety: the buffer belongs to the caller for the whole call.
        try unsafe connection.read(at: offset, into: buffer)
    }

    func confirmUnchanged() async throws(SourceError) {
        guard let files = chain.withLock({ $0?.files }) else { throw .closed(summary.path) }
        for file in files { try file.confirmUnchanged() }
    }

    func close() async {
        server.stop()
        chain.withLock { $0 = nil }
    }
}
