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

    /// Extents in ascending order and apart from each other, without empty ones.
    package static func joined(_ extents: [Extent]) -> [Extent] {
        var joined: [Extent] = []
        for extent in extents.filter({ $0.length > 0 }).sorted(by: { $0.start < $1.start }) {
            if let last = joined.last, extent.start <= last.end {
                joined[joined.count - 1] = Extent(start: last.start, length: max(last.end, extent.end) - last.start)
            } else {
                joined.append(extent)
            }
        }
        return joined
    }
}
