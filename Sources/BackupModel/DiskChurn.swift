/// What a run met of one disk: how much had changed, how much of that the repository did not have, and how much of that
/// could not be compressed, as what is encrypted cannot. The numbers fall off while chunks are stored; nothing is read
/// or computed for them.
package struct DiskChurn: Hashable, Sendable {
    /// Name of the disk.
    package let disk: String
    /// Bytes read.
    package var read: UInt64 = 0
    /// Bytes that may differ from the point before; all that was read where nothing is known.
    package var changed: UInt64 = 0
    /// What was new.
    package var new: NewChunks

    /// A disk of which nothing was read yet.
    package init(disk: String) {
        self.disk = disk
        new = NewChunks()
    }
}

/// Chunks that a repository did not have, as the compressor left them.
package struct NewChunks: Hashable, Sendable {
    /// A chunk that loses less than this part of its bytes counts as incompressible: a sixteenth. What is encrypted
    /// loses nothing; a chunk at whose ends something else lies loses a little.
    package static let leastGain = 16
    /// Stretches that are told apart at most; then the nearest ones are told as one.
    package static let mostRanges = 256

    /// How many.
    package private(set) var count: UInt64 = 0
    /// Their bytes.
    package private(set) var byteCount: UInt64 = 0
    /// What they came to, compressed and not yet sealed.
    package private(set) var packedByteCount: UInt64 = 0
    /// How many were incompressible.
    package private(set) var incompressibleCount: UInt64 = 0
    /// Bytes of those.
    package private(set) var incompressibleByteCount: UInt64 = 0
    /// Where those lie on the disk; with more than ``mostRanges``, stretches between them as well.
    package private(set) var ranges: [Extent] = []

    /// None.
    package init() {}

    /// What was kept of some.
    ///
    /// - Parameter ranges: in any order.
    package init(
        count: UInt64, byteCount: UInt64, packedByteCount: UInt64, incompressibleCount: UInt64,
        incompressibleByteCount: UInt64, ranges: [Extent]
    ) {
        self.count = count
        self.byteCount = byteCount
        self.packedByteCount = packedByteCount
        self.incompressibleCount = incompressibleCount
        self.incompressibleByteCount = incompressibleByteCount
        self.ranges = NewChunks.bounded(Extent.joined(ranges), NewChunks.mostRanges)
    }

    /// Counts a chunk.
    ///
    /// - Parameters:
    ///   - extent: where it lies on the disk.
    ///   - packed: bytes that it came to, as many as it has when it is stored as it is.
    package mutating func add(_ extent: Extent, packed: UInt64) {
        count += 1
        byteCount += extent.length
        packedByteCount += packed
        guard packed > extent.length - extent.length / UInt64(NewChunks.leastGain) else { return }
        incompressibleCount += 1
        incompressibleByteCount += extent.length
        if let last = ranges.last, last.end == extent.start {
            ranges[ranges.count - 1] = Extent(start: last.start, length: last.length + extent.length)
        } else {
            ranges.append(extent)
            bound()
        }
    }

    /// Counts others too.
    package static func += (left: inout NewChunks, right: NewChunks) {
        left.count += right.count
        left.byteCount += right.byteCount
        left.packedByteCount += right.packedByteCount
        left.incompressibleCount += right.incompressibleCount
        left.incompressibleByteCount += right.incompressibleByteCount
        guard !right.ranges.isEmpty else { return }
        left.ranges = Extent.joined(left.ranges + right.ranges)
        left.bound()
    }

    /// Joins what lies nearest, once there are twice too many: so most additions cost nothing.
    private mutating func bound() {
        guard ranges.count > 2 * NewChunks.mostRanges else { return }
        ranges = NewChunks.bounded(Extent.joined(ranges), NewChunks.mostRanges)
    }

    /// At most so many stretches: the nearest ones are joined.
    ///
    /// - Parameters:
    ///   - extents: ascending and apart.
    ///   - limit: at least 1.
    package static func bounded(_ extents: [Extent], _ limit: Int) -> [Extent] {
        precondition(limit > 0, "one stretch at least can be told")
        guard extents.count > limit else { return extents }
        // The widest gaps stay.
        let gaps = zip(extents, extents.dropFirst()).enumerated().map { index, pair in
            (index: index, width: pair.1.start - pair.0.end)
        }
        let kept = Set(gaps.sorted { ($1.width, $0.index) < ($0.width, $1.index) }.prefix(limit - 1).map(\.index))
        var bounded: [Extent] = []
        var start = extents[0].start
        for (index, extent) in extents.enumerated() where index == extents.count - 1 || kept.contains(index) {
            bounded.append(Extent(start: start, length: extent.end - start))
            if index < extents.count - 1 { start = extents[index + 1].start }
        }
        return bounded
    }
}
