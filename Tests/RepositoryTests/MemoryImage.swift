import BackupModel
import GuestSource

/// A disk image in memory, all of it data.
final class MemoryImage: ImageSource {
    private let content: [UInt8]
    private let changes: Bool

    /// - Parameter changes: whether it turns out in the end that the image changed while it was read.
    init(_ content: [UInt8], changes: Bool = false) {
        self.content = content
        self.changes = changes
    }

    var byteCount: UInt64 { UInt64(content.count) }

    var summary: ImageSummary {
        ImageSummary(
            format: .raw, formatOrigin: .stated, path: "disk", resolvedPath: "disk", isBlockDevice: false,
            allocatedBytes: nil, chain: [], hasAllocationMap: false, notes: [])
    }

    func extents(in range: Extent) async throws(SourceError) -> [SourceExtent] {
        [SourceExtent(extent: range, kind: .data)]
    }

    func read(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) async throws(SourceError) {
        guard offset + UInt64(buffer.count) <= byteCount else {
            throw SourceError(.outOfRange, "a read behind the end", .none)
        }
        unsafe content.withUnsafeBytes { bytes in
            // Safety: the range was checked, and the caller's buffer has the count.
            unsafe buffer.copyMemory(
                from: UnsafeRawBufferPointer(rebasing: bytes[Int(offset)..<Int(offset) + buffer.count]))
        }
    }

    func confirmUnchanged() async throws(SourceError) {
        if changes { throw SourceError(.changed, "the image changed while it was read", .retry) }
    }

    func close() async {}
}
