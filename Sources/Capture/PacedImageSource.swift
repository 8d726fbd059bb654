package import BackupModel
package import Effects
package import GuestSource

/// An image that is read no faster than a rate allows.
package final class PacedImageSource: ImageSource {
    /// Bytes that are let through at a time.
    private static let pieceByteCount = 1 << 20

    private let source: any ImageSource
    private let limit: RateLimit

    /// Wraps a source, which is closed with this one.
    package init(_ source: any ImageSource, limit: RateLimit) {
        self.source = source
        self.limit = limit
    }

    package var byteCount: UInt64 { source.byteCount }
    package var summary: ImageSummary { source.summary }

    package func extents(in range: Extent) async throws(SourceError) -> [SourceExtent] {
        try await source.extents(in: range)
    }

    package func read(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) async throws(SourceError) {
        var done = 0
        while done < buffer.count {
            let count = min(PacedImageSource.pieceByteCount, buffer.count - done)
            do { try await limit.pass(UInt64(count)) } catch {
                throw SourceError(.interrupted, "interrupted while reading \(summary.path)", .retry)
            }
            // Safety: the piece lies inside the caller's buffer.
            let piece = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[done..<(done + count)])
            try await unsafe source.read(at: offset + UInt64(done), into: piece)
            done += count
        }
    }

    package func confirmUnchanged() async throws(SourceError) { try await source.confirmUnchanged() }
    package func close() async { await source.close() }
}
