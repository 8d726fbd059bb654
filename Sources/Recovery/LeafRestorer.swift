import BackupModel
import Effects
import Repository
import RepositoryFormat

/// What became of one leaf.
struct LeafResult: Sendable {
    let restorer: LeafRestorer
    var writtenByteCount: UInt64 = 0
    var keptByteCount: UInt64 = 0
    var lost: [LostRange] = []
    let end: UInt64
}

/// Restores one leaf after the other.
// Safety: given to a child task with a leaf and coming back with the result; one task at a time holds it. The buffer is
// private, of one chunk's largest size, and freed once.
@safe final class LeafRestorer: @unchecked Sendable {
    private let blobs: BlobReader
    private let walker: MapWalker
    private let title: String
    private let salvages: Bool
    private let writes: RateLimit?
    /// What is in the buffer and not written yet.
    private var waiting: (start: UInt64, byteCount: Int) = (0, 0)
    private let room: UnsafeMutableRawBufferPointer

    init(_ blobs: BlobReader, title: String, salvages: Bool, writes: RateLimit?) {
        self.writes = writes
        self.blobs = blobs
        walker = MapWalker(blobs)
        self.title = title
        self.salvages = salvages
        // Safety: ours alone until the deinitialiser.
        unsafe room = .allocate(byteCount: FormatLimits.chunkByteCount, alignment: 4096)
    }

    deinit { unsafe room.deallocate() }

    func restore(_ place: LeafPlace, to target: any DiskTarget) async throws -> LeafResult {
        var result = LeafResult(restorer: self, end: place.offset + UInt64(place.byteCount))
        let leaf: MapLeaf
        do { leaf = try await walker.leaf(place, title: title) } catch let error as RepositoryError
            where error.isAboutBytes && salvages
        {
            try await lose(
                Extent(start: place.offset, length: UInt64(place.byteCount)), error, target: target, into: &result)
            return result
        }
        var offset = place.offset
        for slice in leaf.slices {
            try Task.checkCancellation()
            let extent = Extent(start: offset, length: slice.byteCount)
            offset = extent.end
            if let chunk = slice.chunk {
                do { try await restore(slice, of: chunk, at: extent, to: target, into: &result) } catch let error
                    as RepositoryError where error.isAboutBytes && salvages
                {
                    try await lose(extent, error, target: target, into: &result)
                }
            } else if target.compares {
                try await target.zero(extent)
            }
        }
        try await flush(to: target)
        return result
    }

    private func lose(
        _ extent: Extent, _ error: RepositoryError, target: any DiskTarget, into result: inout LeafResult
    ) async throws {
        if target.compares { try await target.zero(extent) }
        result.lost.append(LostRange(extent: extent, sentence: error.sentence))
    }

    private func restore(
        _ slice: MapSlice, of chunk: Hash256, at extent: Extent, to target: any DiskTarget,
        into result: inout LeafResult
    ) async throws {
        var opened: UnsafeRawBufferPointer?
        let end = Int(slice.skip) + Int(slice.length)
        for repetition in 0..<UInt64(slice.repeats) {
            let offset = extent.start + repetition * UInt64(slice.length)
            if target.compares {
                // Safety: a slice is never longer than a chunk, for which the buffer has room.
                let there = unsafe UnsafeMutableRawBufferPointer(rebasing: room[..<Int(slice.length)])
                try unsafe await target.read(into: there, at: offset)
                // A whole chunk that is there already needs not even be fetched.
                if slice.skip == 0, unsafe try blobs.isContent(UnsafeRawBufferPointer(there), of: chunk) {
                    result.keptByteCount += UInt64(slice.length)
                    continue
                }
            }
            let content: UnsafeRawBufferPointer
            if let there = unsafe opened {
                unsafe content = there
            } else {
                // Safety: valid until another blob is read, which is behind this slice.
                unsafe content = try await blobs.content(
                    of: chunk, kind: .data, name: "\(title) at byte \(offset)")
                unsafe opened = content
            }
            guard end <= content.count else {
                throw RepositoryError(
                    .damaged,
                    "the map of \(title) at byte \(offset) uses \(end) bytes of a chunk of \(content.count)",
                    .repair)
            }
            if target.compares, unsafe isThere(content, Int(slice.skip)..<end) {
                result.keptByteCount += UInt64(slice.length)
                continue
            }
            try unsafe await put(content, Int(slice.skip)..<end, at: offset, to: target)
            result.writtenByteCount += UInt64(slice.length)
        }
    }

    /// Whether the buffer holds that part of a chunk.
    private func isThere(_ content: UnsafeRawBufferPointer, _ range: Range<Int>) -> Bool {
        // Safety: the buffer has room for a chunk, and the range lies inside the chunk.
        unsafe content[range].elementsEqual(room[..<range.count])
    }

    private func put(
        _ content: UnsafeRawBufferPointer, _ range: Range<Int>, at offset: UInt64, to target: any DiskTarget
    ) async throws {
        // Neighbours go out together: each write locks the whole file, and workers wait for each other.
        if waiting.start + UInt64(waiting.byteCount) != offset
            || waiting.byteCount + range.count > FormatLimits.chunkByteCount
        {
            try await flush(to: target)
            waiting.start = offset
        }
        // Safety: the bytes are copied to the worker's own buffer, which has room for them behind those that wait, and
        // which nobody else touches until they are written.
        let place = unsafe UnsafeMutableRawBufferPointer(rebasing: room[waiting.byteCount...])
        unsafe place.copyMemory(from: UnsafeRawBufferPointer(rebasing: content[range]))
        waiting.byteCount += range.count
        // What is there is read into the same buffer.
        if target.compares { try await flush(to: target) }
    }

    /// Writes what waits.
    private func flush(to target: any DiskTarget) async throws {
        guard waiting.byteCount > 0 else { return }
        try await writes?.pass(UInt64(waiting.byteCount))
        // Safety: as above.
        try unsafe await target.write(
            UnsafeRawBufferPointer(rebasing: room[..<waiting.byteCount]), at: waiting.start)
        waiting.byteCount = 0
    }
}
