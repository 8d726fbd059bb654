package import BackupModel
package import GuestSource

/// A stretch of an image that lies somewhere in a stream.
struct StreamSegment: Hashable, Sendable {
    /// Its first byte in the image.
    var start: UInt64
    /// Where that byte lies in the stream.
    var offset: UInt64
    /// Bytes of the image.
    var length: UInt64
    /// 0 when they lie in one piece; else the distance in the stream, in bytes, from one page to the next.
    var stride: UInt32

    var end: UInt64 { start + length }
    /// Bytes of the stream from the first to the last.
    var streamEnd: UInt64 {
        stride == 0
            ? offset + length
            : offset + (length / MemoryLimits.pageByteCount - 1) * UInt64(stride) + MemoryLimits.pageByteCount
    }
}

/// An image that is put together from stretches of a stream: the pages of a guest, or what is left of the stream.
///
/// What no segment describes is a hole.
package final class AssembledSource: ImageSource {
    /// Pages of a segment with a stride that are read at once.
    private static let pagesAtOnce: UInt64 = 64

    package let byteCount: UInt64
    package let summary: ImageSummary
    /// The first bytes of the image, which the stream does not hold.
    private let front: [UInt8]
    private let segments: [StreamSegment]
    private let stream: any PositionedBytes

    /// - Precondition: segments are ascending, apart from each other, behind `front` and before `byteCount`.
    init(front: [UInt8] = [], segments: [StreamSegment], byteCount: UInt64, stream: any PositionedBytes) {
        var end = UInt64(front.count)
        for segment in segments {
            precondition(
                segment.start >= end && segment.length > 0 && segment.streamEnd <= stream.byteCount
                    && (segment.stride == 0
                        || segment.length % MemoryLimits.pageByteCount == 0
                            && segment.stride > MemoryLimits.pageByteCount),
                "segments follow each other, inside the stream")
            end = segment.end
        }
        precondition(end <= byteCount, "an image ends behind its last segment")
        self.front = front
        self.segments = segments
        self.byteCount = byteCount
        self.stream = stream
        summary = ImageSummary(
            format: .raw, formatOrigin: .detected, path: stream.path, resolvedPath: stream.path, isBlockDevice: false,
            allocatedBytes: nil, chain: [], hasAllocationMap: true, notes: [])
    }

    /// Number of the first segment that ends behind a place of the image.
    private func firstSegment(endingBehind place: UInt64) -> Int {
        var low = 0
        var high = segments.count
        while low < high {
            let middle = (low + high) / 2
            if segments[middle].end > place { high = middle } else { low = middle + 1 }
        }
        return low
    }

    package func extents(in range: Extent) async throws(SourceError) -> [SourceExtent] {
        try require(range)
        var found: [SourceExtent] = []
        var position = range.start
        func append(_ kind: SourceExtent.Kind, upTo end: UInt64) {
            let to = min(end, range.end)
            guard to > position else { return }
            if let last = found.last, last.kind == kind {
                found[found.count - 1] = SourceExtent(
                    extent: Extent(start: last.extent.start, length: to - last.extent.start), kind: kind)
            } else {
                found.append(SourceExtent(extent: Extent(start: position, length: to - position), kind: kind))
            }
            position = to
        }
        append(.data, upTo: UInt64(front.count))
        var index = firstSegment(endingBehind: range.start)
        while index < segments.count, segments[index].start < range.end {
            append(.hole, upTo: segments[index].start)
            append(.data, upTo: segments[index].end)
            index += 1
        }
        append(.hole, upTo: range.end)
        return found
    }

    package func read(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) async throws(SourceError) {
        // Safety: the buffer belongs to the caller for the call.
        try unsafe fill(buffer, at: offset)
    }

    /// As ``read(at:into:)``, without waiting for anything but the stream.
    package func fill(_ buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(SourceError) {
        try require(Extent(start: offset, length: UInt64(buffer.count)))
        let end = offset + UInt64(buffer.count)
        var position = offset
        if position < UInt64(front.count) {
            let part = front[Int(position)..<Int(min(end, UInt64(front.count)))]
            // Safety: the part is no longer than the buffer, as its end is not behind the buffer's.
            unsafe part.withUnsafeBytes { unsafe buffer.copyMemory(from: $0) }
            position += UInt64(part.count)
        }
        var index = firstSegment(endingBehind: position)
        while position < end {
            let segment = index < segments.count ? segments[index] : nil
            let start = min(segment?.start ?? end, end)
            if start > position {
                // Safety: the range lies between the position and the end of the buffer.
                unsafe UnsafeMutableRawBufferPointer(
                    rebasing: buffer[Int(position - offset)..<Int(start - offset)]
                ).initializeMemory(as: UInt8.self, repeating: 0)
                position = start
            }
            guard let segment, position < end else { return }
            let stop = min(segment.end, end)
            // Safety: as above.
            try unsafe copy(
                segment, from: position,
                into: UnsafeMutableRawBufferPointer(
                    rebasing: buffer[Int(position - offset)..<Int(stop - offset)]))
            position = stop
            index += 1
        }
    }

    /// Fills a buffer with the bytes of a segment from a place of the image on.
    private func copy(
        _ segment: StreamSegment, from place: UInt64, into buffer: UnsafeMutableRawBufferPointer
    ) throws(SourceError) {
        guard segment.stride > 0 else {
            // Safety: the buffer is the caller's for the call.
            return try unsafe stream.read(at: segment.offset + (place - segment.start), into: buffer)
        }
        let page = MemoryLimits.pageByteCount
        let stride = UInt64(segment.stride)
        let room = UnsafeMutableRawBufferPointer.allocate(
            byteCount: Int(min(AssembledSource.pagesAtOnce, segment.length / page) * stride), alignment: 64)
        // Safety: allocated here and used by nobody else.
        defer { unsafe room.deallocate() }
        var done = 0
        while done < buffer.count {
            let inside = place - segment.start + UInt64(done)
            let first = inside / page
            let wanted = (inside % page + UInt64(buffer.count - done) + page - 1) / page
            let count = min(wanted, AssembledSource.pagesAtOnce)
            // Safety: as many strides have room; the last page is read without what follows it.
            let piece = unsafe UnsafeMutableRawBufferPointer(rebasing: room[..<Int((count - 1) * stride + page)])
            try unsafe stream.read(at: segment.offset + first * stride, into: piece)
            for index in 0..<count {
                let skip = index == 0 ? Int(inside % page) : 0
                let length = min(Int(page) - skip, buffer.count - done)
                let from = Int(index * stride) + skip
                // Safety: both ranges lie inside of their buffers: a page of the piece, and what is left to fill.
                unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[done..<done + length]).copyMemory(
                    from: UnsafeRawBufferPointer(rebasing: piece[from..<from + length]))
                done += length
            }
        }
    }

    private func require(_ range: Extent) throws(SourceError) {
        guard range.end <= byteCount else {
            throw SourceError(
                .outOfRange, "\(stream.path): \(range.length) bytes at \(range.start) of \(byteCount) were asked for",
                .none)
        }
    }

    package func confirmUnchanged() async throws(SourceError) { try stream.confirmUnchanged() }
    package func close() async {}
}
