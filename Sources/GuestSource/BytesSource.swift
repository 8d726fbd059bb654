package import BackupModel

/// Bytes in memory, read like a disk: what is small and made by this program itself.
package final class BytesSource: ImageSource {
    package let summary: ImageSummary
    private let bytes: [UInt8]

    /// - Parameter name: for messages and records.
    package init(_ bytes: [UInt8], name: String) {
        self.bytes = bytes
        summary = ImageSummary(
            format: .raw, formatOrigin: .stated, path: name, resolvedPath: name, isBlockDevice: false,
            allocatedBytes: nil, chain: [], hasAllocationMap: false, notes: [])
    }

    package var byteCount: UInt64 { UInt64(bytes.count) }

    package func extents(in range: Extent) async throws(SourceError) -> [SourceExtent] {
        try requireInside(offset: range.start, count: range.length)
        return range.length == 0 ? [] : [SourceExtent(extent: range, kind: .data)]
    }

    package func read(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) async throws(SourceError) {
        try requireInside(offset: offset, count: UInt64(buffer.count))
        // Safety: as many bytes as the buffer has.
        unsafe buffer.copyBytes(from: bytes[Int(offset)..<Int(offset) + buffer.count])
    }

    package func confirmUnchanged() async throws(SourceError) {}

    package func close() async {}
}
