import CLinux
import Glibc

/// Writes and reads large files past the page cache. A pack is written once and not read again soon; copying it there
/// costs as much as a tenth of its compression, and pushes out what other programs on the host have there. And whoever
/// reads a whole one checks it: then it should be what is on the disk that is checked.
// Safety: the buffer is this object's own; one task uses the object.
@safe final class DirectAccess {
    /// Files from this size on are worth it.
    static let smallestByteCount = 1 << 20
    /// Unit of size and place that devices with sectors of up to 4,096 bytes take; on larger ones the system refuses,
    /// and the ordinary way is taken.
    private static let blockByteCount = AlignedRoom.blockByteCount
    /// Bytes of one call: enough for a disk to be busy, little enough to stay in a processor's cache.
    private static let pieceByteCount = 2 << 20

    private let file: Int32
    private let flags: Int32
    private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: pieceByteCount, alignment: blockByteCount)

    /// `nil` when the file cannot be written this way.
    init?(_ file: Int32) {
        self.file = file
        flags = fcntl(file, F_GETFL)
        // Safety: given back here when the object is not made.
        guard flags >= 0, fcntl(file, F_SETFL, flags | Int32(DIRECT_INPUT_OUTPUT)) == 0 else {
            unsafe buffer.deallocate()
            return nil
        }
    }

    /// Writes as many whole blocks as there are from `start` on, at most one piece. - Returns: bytes, 0 at the end, or
    /// -1 with `errno` set.
    func write(_ bytes: [UInt8], from start: Int) -> Int {
        let count =
            min(bytes.count - start, DirectAccess.pieceByteCount) / DirectAccess.blockByteCount
            * DirectAccess.blockByteCount
        guard count > 0 else { return 0 }
        // Safety: the piece lies in the array, and the buffer has room for it.
        unsafe bytes.withUnsafeBytes { source in
            unsafe buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: source[start..<start + count]))
        }
        return unsafe pwrite(file, buffer.baseAddress, count, off_t(start))
    }

    /// Reads a file from its front into whole aligned blocks, piece by piece. - Returns: bytes read; what is behind
    /// them, or does not come this way, is for ordinary reads.
    static func read(_ file: Int32, into output: UnsafeMutableRawBufferPointer) -> Int {
        let flags = fcntl(file, F_GETFL)
        guard flags >= 0, fcntl(file, F_SETFL, flags | Int32(DIRECT_INPUT_OUTPUT)) == 0 else { return 0 }
        defer { _ = fcntl(file, F_SETFL, flags) }
        var filled = 0
        // A piece that is no whole block is the last.
        while filled < output.count, filled % blockByteCount == 0 {
            // Safety: the rest of the output, which begins at a block.
            let count = unsafe pread(
                file, output.baseAddress.map { unsafe $0 + filled }, min(output.count - filled, pieceByteCount),
                off_t(filled))
            if count <= 0 { break }
            filled += count
        }
        return filled
    }

    /// Goes back to ordinary access.
    func end() {
        _ = fcntl(file, F_SETFL, flags)
        unsafe buffer.deallocate()
    }
}
