import BackupModel
import GuestMemory
import GuestSource

/// A stream that lies in memory.
final class BytesOfTest: PositionedBytes {
    let path = "the stream"
    let bytes: [UInt8]
    var byteCount: UInt64 { UInt64(bytes.count) }

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    func read(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws(SourceError) {
        guard offset <= byteCount, UInt64(buffer.count) <= byteCount - offset else {
            throw SourceError(.outOfRange, "\(buffer.count) bytes at \(offset) of \(byteCount)", .none)
        }
        // Safety: the range was just found inside of the array, and is as long as the buffer.
        unsafe bytes[Int(offset)..<Int(offset) + buffer.count].withUnsafeBytes { unsafe buffer.copyMemory(from: $0) }
    }

    func confirmUnchanged() throws(SourceError) {}
}

/// An image that was not stored at all, or stored as an array.
final class StoredOfTest: StoredBytes {
    private let bytes: [UInt8]
    var byteCount: UInt64 { UInt64(bytes.count) }

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    func read(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) async throws {
        precondition(offset + UInt64(buffer.count) <= byteCount, "a read lies inside of the image")
        // Safety: the range was just found inside of the array, and is as long as the buffer.
        unsafe bytes[Int(offset)..<Int(offset) + buffer.count].withUnsafeBytes { unsafe buffer.copyMemory(from: $0) }
    }
}

/// An image that was not stored at all: what a backup would read.
final class SourceOfTest: StoredBytes {
    private let source: AssembledSource
    var byteCount: UInt64 { source.byteCount }

    init(_ source: AssembledSource) { self.source = source }

    func read(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) async throws {
        // Safety: the buffer is the caller's for the call.
        try unsafe source.fill(buffer, at: offset)
    }
}

/// An image as it would be stored, read part by part: only where it says data, in pieces of odd sizes.
func stored(_ source: any ImageSource, pieceByteCount: Int = 70_001) async throws -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: Int(source.byteCount))
    var position: UInt64 = 0
    for extent in try await source.extents(in: .init(start: 0, length: source.byteCount)) {
        precondition(extent.extent.start == position, "extents adjoin")
        position = extent.extent.end
        guard extent.kind == .data else { continue }
        var place = extent.extent.start
        while place < extent.extent.end {
            let count = min(pieceByteCount, Int(extent.extent.end - place))
            let room = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 8)
            // Safety: allocated here, filled by the source, copied before it goes.
            defer { unsafe room.deallocate() }
            try await unsafe source.read(at: place, into: room)
            unsafe bytes.replaceSubrange(Int(place)..<Int(place) + count, with: room)
            place += UInt64(count)
        }
    }
    precondition(position == source.byteCount, "extents cover the image")
    return bytes
}

/// Puts a stream together again, as a restore does.
func emitted(
    memory: any StoredBytes, skeleton: any StoredBytes, bufferByteCount: Int = 20_000
) async throws -> [UInt8] {
    var emission = try await StreamEmission(skeleton: skeleton, memory: memory)
    var bytes: [UInt8] = []
    let room = UnsafeMutableRawBufferPointer.allocate(byteCount: bufferByteCount, alignment: 8)
    // Safety: allocated here, filled by the emission, copied before it goes.
    defer { unsafe room.deallocate() }
    while true {
        let count = try await unsafe emission.next(into: room)
        if count == 0 { return bytes }
        unsafe bytes += room[..<count]
    }
}

/// Takes a stream apart and puts it together again. - Returns: what is wrong, or `nil`.
func fault(of bytes: [UInt8], bufferByteCount: Int = 20_000) async throws -> String? {
    let stream = try MemoryStream(parsing: BytesOfTest(bytes))
    guard let skeleton = stream.skeleton else {
        if stream.format != .stream { return "\(stream.format) without a skeleton" }
        return try await stored(stream.memory) == bytes ? nil : "a stream of bytes that is not what it was"
    }
    let again = try await emitted(
        memory: SourceOfTest(stream.memory), skeleton: SourceOfTest(skeleton), bufferByteCount: bufferByteCount)
    guard again == bytes else {
        let place = zip(again, bytes).enumerated().first { $1.0 != $1.1 }?.offset ?? min(again.count, bytes.count)
        return "\(stream.format.name): \(again.count) of \(bytes.count) bytes, another one at \(place)"
    }
    return nil
}
