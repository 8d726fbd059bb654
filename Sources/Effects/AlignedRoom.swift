/// Room for one whole file or object after the other, as large as the largest so far, placed so that a disk can write
/// into it without a copy in between. Belongs to one worker at a time.
// Safety: the memory is this object's own, allocated and freed by it, and never smaller than `byteCount`.
@safe package final class AlignedRoom {
    /// Unit of size and place of the room, which every disk takes.
    static let blockByteCount = 4096

    private var room: UnsafeMutableRawBufferPointer
    private var byteCount = 0

    /// Room for 1 MiB.
    package init() {
        unsafe room = .allocate(byteCount: 1 << 20, alignment: AlignedRoom.blockByteCount)
    }

    deinit { unsafe room.deallocate() }

    /// What was put here last; valid until something else is.
    package var bytes: UnsafeRawBufferPointer { unsafe UnsafeRawBufferPointer(rebasing: room[..<byteCount]) }

    /// Copies bytes here.
    package func fill(_ bytes: [UInt8]) {
        // Safety: the room has so many bytes, and the array lives through the call.
        unsafe fill(bytes.count) { (room) in
            unsafe bytes.withUnsafeBytes { unsafe room.copyMemory(from: $0) }
            return bytes.count
        }
    }

    /// Lets `body` fill room for `count` bytes and whole blocks, and say how many bytes it put there, at most `count`.
    func fill<Failure: Error>(
        _ count: Int, _ body: (UnsafeMutableRawBufferPointer) throws(Failure) -> Int
    ) throws(Failure) {
        byteCount = 0
        let size = (count + AlignedRoom.blockByteCount - 1) / AlignedRoom.blockByteCount * AlignedRoom.blockByteCount
        if unsafe room.count < size {
            unsafe room.deallocate()
            unsafe room = .allocate(byteCount: size, alignment: AlignedRoom.blockByteCount)
        }
        // Safety: the room is at least as large by now, and lives through the call.
        let filled = try unsafe body(UnsafeMutableRawBufferPointer(rebasing: room[..<size]))
        precondition(filled <= count, "no more is filled than was asked for")
        byteCount = filled
    }
}
