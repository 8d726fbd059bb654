/// One piece of a region: a chunk of data, or a hole. The pieces of a region cover it exactly, ascending.
package struct RegionPiece: Hashable, Sendable {
    /// Offset of the first byte, in bytes from the region's start; a multiple of the page.
    package var offset: UInt32
    /// Bytes; a multiple of the page except for the region's last piece; never 0.
    package var length: UInt32
    /// Whether all bytes are zero and none is stored. Two holes never adjoin.
    package var isHole: Bool

    /// A piece by its place in the region, in bytes; nothing is checked here.
    package init(offset: UInt32, length: UInt32, isHole: Bool) {
        self.offset = offset
        self.length = length
        self.isHole = isHole
    }

    /// Offset of the first byte behind the piece.
    package var end: UInt32 { offset + length }
}
