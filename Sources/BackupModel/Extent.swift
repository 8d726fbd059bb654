/// A half-open range of bytes of an image: `start ..< end`, in bytes from the image's first byte.
package struct Extent: Hashable, Sendable {
    /// Offset of the first byte.
    package let start: UInt64
    /// Number of bytes; may be zero.
    package let length: UInt64

    /// - Precondition: `start + length` fits 64 bits; past that is a bug, and traps.
    package init(start: UInt64, length: UInt64) {
        precondition(!start.addingReportingOverflow(length).overflow, "an extent ends below 2^64")
        self.start = start
        self.length = length
    }

    /// Offset of the first byte behind the extent.
    package var end: UInt64 { start + length }

    /// The part that both extents share; `nil` when they share no byte.
    package func intersection(_ other: Extent) -> Extent? {
        let from = Swift.max(start, other.start)
        let to = Swift.min(end, other.end)
        return from < to ? Extent(start: from, length: to - from) : nil
    }
}
