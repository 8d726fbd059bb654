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
    private let disk: String
    private let salvages: Bool
    private let writes: RateLimit?
    private let room: UnsafeMutableRawBufferPointer

    init(_ blobs: BlobReader, disk: String, salvages: Bool, writes: RateLimit?) {
        self.writes = writes
        self.blobs = blobs
        walker = MapWalker(blobs)
        self.disk = disk
        self.salvages = salvages
        // Safety: ours alone until the deinitialiser.
        unsafe room = .allocate(byteCount: FormatLimits.chunkByteCount, alignment: 4096)
    }

    deinit { unsafe room.deallocate() }

    func restore(_ place: LeafPlace, to target: any DiskTarget) async throws -> LeafResult {
        var result = LeafResult(restorer: self, end: place.offset + UInt64(place.byteCount))
        let leaf: MapLeaf
        do { leaf = try await walker.leaf(place, disk: disk) } catch let error as RepositoryError
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
            } else if target.existing != nil {
                try await target.zero(extent)
            }
        }
        return result
    }

    private func lose(
        _ extent: Extent, _ error: RepositoryError, target: any DiskTarget, into result: inout LeafResult
    ) async throws {
        if target.existing != nil { try await target.zero(extent) }
        result.lost.append(LostRange(extent: extent, sentence: error.sentence))
    }

    private func restore(
        _ slice: MapSlice, of chunk: Hash256, at extent: Extent, to target: any DiskTarget,
        into result: inout LeafResult
    ) async throws {
        var bytes: [UInt8]?
        let end = Int(slice.skip) + Int(slice.length)
        for repetition in 0..<UInt64(slice.repeats) {
            let offset = extent.start + repetition * UInt64(slice.length)
            if let existing = target.existing {
                // Safety: a slice is never longer than a chunk, for which the buffer has room.
                let there = unsafe UnsafeMutableRawBufferPointer(rebasing: room[..<Int(slice.length)])
                try unsafe existing.read(into: there, at: offset)
                // A whole chunk that is there already needs not even be fetched.
                if slice.skip == 0, unsafe try blobs.isContent(UnsafeRawBufferPointer(there), of: chunk) {
                    result.keptByteCount += UInt64(slice.length)
                    continue
                }
            }
            let content: [UInt8]
            if let bytes {
                content = bytes
            } else {
                content = try await blobs.bytes(of: chunk, kind: .data, name: "disk \(disk) at byte \(offset)")
                bytes = content
            }
            guard end <= content.count else {
                throw RepositoryError(
                    .damaged,
                    "the map of disk \(disk) at byte \(offset) uses \(end) bytes of a chunk of \(content.count)",
                    .repair)
            }
            if target.existing != nil, isThere(content, Int(slice.skip)..<end) {
                result.keptByteCount += UInt64(slice.length)
                continue
            }
            try await put(content, Int(slice.skip)..<end, at: offset, to: target)
            result.writtenByteCount += UInt64(slice.length)
        }
    }

    /// Whether the buffer holds that part of a chunk.
    private func isThere(_ content: [UInt8], _ range: Range<Int>) -> Bool {
        // Safety: the buffer has room for a chunk, and the range lies inside the array.
        unsafe content.withUnsafeBytes { bytes in
            unsafe bytes[range].elementsEqual(room[..<range.count])
        }
    }

    private func put(
        _ content: [UInt8], _ range: Range<Int>, at offset: UInt64, to target: any DiskTarget
    ) async throws {
        try await writes?.pass(UInt64(range.count))
        // Safety: the bytes are copied to the worker's own buffer, which nobody else touches until the write is done; a
        // chunk has room in it.
        unsafe content.withUnsafeBytes { bytes in
            unsafe room.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[range]))
        }
        try unsafe await target.write(UnsafeRawBufferPointer(rebasing: room[..<range.count]), at: offset)
    }
}
