package import BackupModel
package import GuestSource
import Synchronization
package import TestKit

/// A disk image in memory, strict about what may be asked of it.
package final class SimulatedImage: ImageSource {
    private let content: [UInt8]
    private let executor: SeededExecutor?
    private let changes: Bool
    private let pauses: Int
    private let isClosed = Mutex(false)

    /// An image.
    ///
    /// - Parameters:
    ///   - executor: decides when a read goes on; without one it goes on at once.
    ///   - changes: whether it turns out in the end that the image changed while it was read.
    ///   - pauses: how often others go on before a read does.
    package init(_ content: [UInt8], executor: SeededExecutor? = nil, changes: Bool = false, pauses: Int = 1) {
        self.pauses = pauses
        self.content = content
        self.executor = executor
        self.changes = changes
    }

    package var byteCount: UInt64 { UInt64(content.count) }

    package var summary: ImageSummary {
        ImageSummary(
            format: .raw, formatOrigin: .stated, path: "disk", resolvedPath: "disk", isBlockDevice: false,
            allocatedBytes: nil, chain: [], hasAllocationMap: true, notes: [])
    }

    /// Pages of zeros are holes, the others data.
    package func extents(in range: Extent) async throws(SourceError) -> [SourceExtent] {
        precondition(!isClosed.withLock { $0 }, "a closed image is asked for nothing")
        guard range.end <= byteCount else { throw SourceError(.outOfRange, "extents behind the end", .none) }
        var found: [SourceExtent] = []
        var position = range.start
        while position < range.end {
            let end = min(range.end, (position / 4096 + 1) * 4096)
            let isZero = content[Int(position)..<Int(end)].allSatisfy { $0 == 0 }
            let kind: SourceExtent.Kind = isZero ? .hole : .data
            if let last = found.last, last.kind == kind {
                found[found.count - 1] = SourceExtent(
                    extent: Extent(start: last.extent.start, length: end - last.extent.start), kind: kind)
            } else {
                found.append(SourceExtent(extent: Extent(start: position, length: end - position), kind: kind))
            }
            position = end
        }
        return found
    }

    package func read(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) async throws(SourceError) {
        precondition(!isClosed.withLock { $0 }, "a closed image is not read")
        await executor?.pause(times: pauses)
        guard offset + UInt64(buffer.count) <= byteCount else {
            throw SourceError(.outOfRange, "a read behind the end", .none)
        }
        unsafe content.withUnsafeBytes { bytes in
            // Safety: the range was checked, and the caller's buffer has the count.
            unsafe buffer.copyMemory(
                from: UnsafeRawBufferPointer(rebasing: bytes[Int(offset)..<Int(offset) + buffer.count]))
        }
    }

    package func confirmUnchanged() async throws(SourceError) {
        if changes { throw SourceError(.changed, "the image changed while it was read", .retry) }
    }

    package func close() async { isClosed.withLock { $0 = true } }
}
