/// Tells whether bytes are all zero. Data is found out at its first or last word; zeros are read at memory speed.
enum ZeroTest {
    private static let blockSize = 256

    /// Whether the `count` bytes at `bytes` are all zero; true for none.
    @inline(__always)
    static func isZero(_ bytes: UnsafeRawPointer, count: Int) -> Bool {
        if count == ChunkerParameters.pageSize {
            // Most pages of data differ from zero at an edge.
            let edges =
                unsafe bytes.loadUnaligned(as: UInt64.self)
                | bytes.loadUnaligned(fromByteOffset: ChunkerParameters.pageSize - 8, as: UInt64.self)
            if edges != 0 { return false }
        }
        var offset = 0
        while offset &+ blockSize <= count {
            // Safety: the block ends at or before `count`.
            if unsafe !isBlockZero(bytes + offset) { return false }
            offset &+= blockSize
        }
        while offset < count {
            // Safety: `offset` is below `count`.
            if unsafe bytes.load(fromByteOffset: offset, as: UInt8.self) != 0 { return false }
            offset &+= 1
        }
        return true
    }

    @inline(__always)
    private static func isBlockZero(_ block: UnsafeRawPointer) -> Bool {
        var merged = SIMD8<UInt64>(repeating: 0)
        var offset = 0
        while offset < blockSize {
            // Safety: callers pass a whole block.
            unsafe merged |= block.loadUnaligned(fromByteOffset: offset, as: SIMD8<UInt64>.self)
            offset &+= 64
        }
        let half = merged.lowHalf | merged.highHalf
        let quarter = half.lowHalf | half.highHalf
        return quarter.x | quarter.y == 0
    }
}
