import BackupModel
import GuestMemory
import Repository
import RepositoryFormat

/// An image of a restore point, read at any place and checked chunk by chunk.
///
/// Keeps one leaf and one chunk: whoever reads from front to back opens each once. Where the map names parts of chunks,
/// it keeps more of them, because pages of a disk lie in memory in another order: up to 64 MiB. Belongs to one task at
/// a time.
// Safety: the one pointer is into the reader's own room; it is dropped before the reader is used again.
@safe final class StoredImage: StoredBytes {
    private let map: ImageMap
    private let blobs: BlobReader
    private let name: String
    private let leafByteCount: UInt64
    /// The leaf at hand, by its number, with the places in it where its slices begin.
    private var leaf: (number: UInt64, slices: [MapSlice], starts: [UInt64])?
    /// Chunks of which parts were used lately.
    private var recent = RecentContent(byteLimit: 64 << 20)
    /// The chunk at hand, valid until the reader is used again.
    private var chunk: (identifier: Hash256, content: UnsafeRawBufferPointer)?

    var byteCount: UInt64 { map.root.byteCount }

    /// Reads the root.
    ///
    /// - Throws: ``RepositoryError``.
    init(_ image: RestorePointRecord.Image, reader: RepositoryReader) async throws {
        map = try await ImageMap(image, reader: reader)
        blobs = reader.blobs()
        name = image.name
        leafByteCount = UInt64(map.root.parameters.leafByteCount)
    }

    func read(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) async throws {
        precondition(
            offset <= byteCount && UInt64(buffer.count) <= byteCount - offset, "a read lies inside of the image")
        var done = 0
        while done < buffer.count {
            try Task.checkCancellation()
            let place = offset + UInt64(done)
            // Safety: the range lies inside of the caller's buffer.
            done += try await unsafe readSome(
                at: place, into: UnsafeMutableRawBufferPointer(rebasing: buffer[done...]))
        }
    }

    /// Reads what one repetition of a slice has. - Returns: bytes read, at least one.
    private func readSome(at place: UInt64, into buffer: UnsafeMutableRawBufferPointer) async throws -> Int {
        let number = place / leafByteCount
        let inside = place % leafByteCount
        if leaf?.number != number { try await take(number) }
        guard let leaf, let index = StoredImage.last(of: leaf.starts, upTo: inside) else {
            // All of the leaf is a hole.
            let count = Int(min(UInt64(buffer.count), leafByteCount - inside))
            unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[..<count])
                .initializeMemory(as: UInt8.self, repeating: 0)
            return count
        }
        let slice = leaf.slices[index]
        let passed = inside - leaf.starts[index]
        guard let identifier = slice.chunk else {
            let count = Int(min(UInt64(buffer.count), slice.byteCount - passed))
            unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[..<count])
                .initializeMemory(as: UInt8.self, repeating: 0)
            return count
        }
        if map.root.hasSlices { return try await unsafe readPart(slice, passed: passed, at: place, into: buffer) }
        let content = try await unsafe self.content(of: identifier, at: place)
        let range = try part(of: slice, passed: passed, at: place, content.count, atMost: buffer.count)
        // Safety: the range lies inside of the chunk and is no longer than the buffer.
        unsafe buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: content[range]))
        return range.count
    }

    /// As above, from a chunk of which other parts will be read soon.
    private func readPart(
        _ slice: MapSlice, passed: UInt64, at place: UInt64, into buffer: UnsafeMutableRawBufferPointer
    ) async throws -> Int {
        guard let identifier = slice.chunk else { preconditionFailure("a part is of a chunk") }
        let content: [UInt8]
        if let known = recent.content(of: identifier) {
            content = known
        } else {
            content = try await blobs.bytes(of: identifier, kind: .data, name: "\(name) at byte \(place)")
            recent.insert(content, of: identifier)
        }
        let range = try part(of: slice, passed: passed, at: place, content.count, atMost: buffer.count)
        // Safety: the range lies inside of the chunk and is no longer than the buffer.
        unsafe content[range].withUnsafeBytes { unsafe buffer.copyMemory(from: $0) }
        return range.count
    }

    /// Which bytes of a chunk come next.
    private func part(
        of slice: MapSlice, passed: UInt64, at place: UInt64, _ chunkByteCount: Int, atMost limit: Int
    ) throws(RepositoryError) -> Range<Int> {
        guard UInt64(slice.skip) + UInt64(slice.length) <= UInt64(chunkByteCount) else {
            throw RepositoryError(
                .damaged, "the map of \(name) at byte \(place) uses more than the \(chunkByteCount) bytes of a chunk",
                .repair)
        }
        let start = Int(passed % UInt64(slice.length))
        let from = Int(slice.skip) + start
        return from..<from + min(limit, Int(slice.length) - start)
    }

    private func take(_ number: UInt64) async throws {
        let slices = try await map.leaf(number)?.slices ?? []
        var starts: [UInt64] = []
        starts.reserveCapacity(slices.count)
        var start: UInt64 = 0
        for slice in slices {
            starts.append(start)
            start += slice.byteCount
        }
        leaf = (number, slices, starts)
    }

    /// Number of the last start that is not behind a place; `nil` when there is none.
    private static func last(of starts: [UInt64], upTo place: UInt64) -> Int? {
        var low = 0
        var high = starts.count
        while low < high {
            let middle = (low + high) / 2
            if starts[middle] <= place { low = middle + 1 } else { high = middle }
        }
        return low == 0 ? nil : low - 1
    }

    private func content(of identifier: Hash256, at place: UInt64) async throws -> UnsafeRawBufferPointer {
        if let chunk = unsafe chunk, unsafe chunk.identifier == identifier { return unsafe chunk.content }
        unsafe chunk = nil
        // Safety: the reader is used for nothing else, and what it opened is dropped before it is used again.
        let content = try await unsafe blobs.content(of: identifier, kind: .data, name: "\(name) at byte \(place)")
        unsafe chunk = (identifier, content)
        return unsafe content
    }
}

/// Contents of chunks of bounded size, of which those are forgotten that were not asked for lately.
///
/// Two halves: when the younger one is full, it becomes the older one and what that held is forgotten.
private struct RecentContent {
    private let halfLimit: Int
    private var young: [Hash256: [UInt8]] = [:]
    private var old: [Hash256: [UInt8]] = [:]
    private var youngByteCount = 0

    init(byteLimit: Int) { halfLimit = byteLimit / 2 }

    mutating func content(of identifier: Hash256) -> [UInt8]? {
        if let content = young[identifier] { return content }
        guard let content = old.removeValue(forKey: identifier) else { return nil }
        insert(content, of: identifier)
        return content
    }

    mutating func insert(_ content: [UInt8], of identifier: Hash256) {
        if youngByteCount + content.count > halfLimit {
            old = young
            young = [:]
            youngByteCount = 0
        }
        young[identifier] = content
        youngByteCount += content.count
    }
}
