import BackupModel
import GuestSource

/// Gives out the regions of an image in order, with what is known about holes.
struct ImageFeed {
    /// Bytes of an image whose extents are asked for at once.
    static let windowByteCount: UInt64 = 4 << 30

    private let source: any ImageSource
    private let regionByteCount: UInt64
    private var position: UInt64 = 0
    private var windowEnd: UInt64 = 0
    private var extents: ArraySlice<SourceExtent> = []

    init(_ source: any ImageSource, regionByteCount: UInt64) {
        self.source = source
        self.regionByteCount = regionByteCount
    }

    /// The next region, or `nil` behind the last. A region that is one hole has no data extent.
    mutating func next() async throws -> RegionJob? {
        guard position < source.byteCount else { return nil }
        let length = min(regionByteCount, source.byteCount - position)
        let region = Extent(start: position, length: length)
        if position >= windowEnd {
            let window = min(max(ImageFeed.windowByteCount, regionByteCount), source.byteCount - position)
            extents = try await source.extents(in: Extent(start: position, length: window))[...]
            windowEnd = position + window
        }
        var parts: [SourceExtent] = []
        while let first = extents.first {
            if let part = first.extent.intersection(region) {
                parts.append(SourceExtent(extent: part, kind: first.kind))
            }
            if first.extent.end > region.end { break }
            extents.removeFirst()
        }
        let job = RegionJob(number: Int(position / regionByteCount), extent: region, extents: parts)
        position += length
        return job
    }
}

extension RegionJob {
    /// Whether nothing of the region has to be read.
    var isHole: Bool { !extents.isEmpty && extents.allSatisfy { $0.kind == .hole } }
}
