import BackupModel
import Synchronization

/// A raw image file or a block device, read with `pread`.
final class RawImageSource: ImageSource {
    let summary: ImageSummary
    let byteCount: UInt64
    private let file: Mutex<HostFile?>
    private let cacheUse: CacheUse

    init(_ file: HostFile, summary: ImageSummary, cacheUse: CacheUse) {
        self.summary = summary
        byteCount = file.size
        // Devices are left to the kernel: their pages are shared with whatever is mounted.
        self.cacheUse = file.isBlockDevice ? .keep : cacheUse
        PageCache.expectSequentialReads(file.descriptor)
        self.file = Mutex(file)
    }

    func extents(in range: Extent) async throws(SourceError) -> [SourceExtent] {
        let file = try opened()
        try requireInside(offset: range.start, count: range.length)
        guard summary.hasAllocationMap else {
            var list = ExtentList(covering: range)
            list.append(.data, upTo: range.end)
            return list.extents
        }
        return try file.extents(in: range)
    }

    func read(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) async throws(SourceError) {
        let file = try opened()
        try requireInside(offset: offset, count: UInt64(buffer.count))
        let absent =
            cacheUse == .keep ? [] : PageCache.absent(file.descriptor, start: offset, count: buffer.count)
        // Safety: the buffer belongs to the caller for the whole call.
        let count = try unsafe file.fill(buffer, at: offset)
        PageCache.drop(file.descriptor, absent)
        if count < buffer.count { throw .shrank(summary.path, from: byteCount, to: offset + UInt64(count)) }
    }

    func confirmUnchanged() async throws(SourceError) {
        try opened().confirmUnchanged()
    }

    func close() async {
        file.withLock { held in held = nil }
    }

    private func opened() throws(SourceError) -> HostFile {
        guard let file = file.withLock({ held in held }) else { throw .closed(summary.path) }
        return file
    }
}

extension ImageSource {
    /// Throws `outOfRange` unless `count` bytes lie at `offset`.
    func requireInside(offset: UInt64, count: UInt64) throws(SourceError) {
        guard offset <= byteCount, count <= byteCount - offset else {
            throw .outOfRange(summary.path, offset: offset, count: Int(clamping: count), size: byteCount)
        }
    }
}
