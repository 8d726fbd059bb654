import BackupModel
import Synchronization

/// A raw image file, a raw member of an archive or a block device, read with `pread`.
final class RawImageSource: ImageSource {
    let summary: ImageSummary
    let byteCount: UInt64
    /// Bytes that are read without a look whether the task was cancelled: a slow disk has them within a second or two.
    private static let pieceByteCount = 4 << 20

    private let part: Mutex<ImagePart?>
    private let cacheUse: CacheUse

    init(_ part: ImagePart, summary: ImageSummary, cacheUse: CacheUse) {
        self.summary = summary
        byteCount = part.size
        // Devices are left to the kernel: their pages are shared with whatever is mounted.
        self.cacheUse = part.file.isBlockDevice ? .keep : cacheUse
        PageCache.expectSequentialReads(part.file.descriptor)
        self.part = Mutex(part)
    }

    func extents(in range: Extent) async throws(SourceError) -> [SourceExtent] {
        let part = try opened()
        try requireInside(offset: range.start, count: range.length)
        guard summary.hasAllocationMap else {
            var list = ExtentList(covering: range)
            list.append(.data, upTo: range.end)
            return list.extents
        }
        let found = try part.file.extents(in: Extent(start: part.start + range.start, length: range.length))
        guard part.start > 0 else { return found }
        return found.map { piece in
            SourceExtent(
                extent: Extent(start: piece.extent.start - part.start, length: piece.extent.length), kind: piece.kind)
        }
    }

    func read(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) async throws(SourceError) {
        let part = try opened()
        try requireInside(offset: offset, count: UInt64(buffer.count))
        let place = part.start + offset
        let absent =
            cacheUse == .keep ? [] : PageCache.absent(part.file.descriptor, start: place, count: buffer.count)
        var done = 0
        while done < buffer.count {
            if Task.isCancelled {
                throw SourceError(.interrupted, "interrupted while reading \(summary.path)", .retry)
            }
            let wanted = min(RawImageSource.pieceByteCount, buffer.count - done)
            // Safety: the buffer belongs to the caller for the whole call, and the piece lies in it.
            let count = try unsafe part.file.fill(
                UnsafeMutableRawBufferPointer(rebasing: buffer[done..<done + wanted]), at: place + UInt64(done))
            done += count
            if count < wanted { break }
        }
        PageCache.drop(part.file.descriptor, absent)
        if done < buffer.count { throw .shrank(summary.path, from: byteCount, to: offset + UInt64(done)) }
    }

    func confirmUnchanged() async throws(SourceError) {
        try opened().file.confirmUnchanged()
    }

    func close() async {
        part.withLock { held in held = nil }
    }

    private func opened() throws(SourceError) -> ImagePart {
        guard let part = part.withLock({ held in held }) else { throw .closed(summary.path) }
        return part
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
