import BackupModel
import GuestSource
import RepositoryFormat

/// Gives out the regions of an image in order, with what is known about holes.
struct ImageFeed {
    /// Bytes of an image whose extents are asked for at once.
    static let windowByteCount: UInt64 = 4 << 30

    private let source: any ImageSource
    private let earlier: EarlierImage?
    private let parameters: ImageParameters
    private let regionByteCount: UInt64
    private var position: UInt64 = 0
    private var windowEnd: UInt64 = 0
    private var extents: ArraySlice<SourceExtent> = []
    private var changed: ArraySlice<Extent>
    /// Whether a leaf is proven because the earlier map says so; else each of its chunks is looked for.
    var trustsProofs = true

    init(_ source: any ImageSource, since earlier: EarlierImage?, parameters: ImageParameters) {
        self.source = source
        self.earlier = earlier
        self.parameters = parameters
        regionByteCount = UInt64(parameters.regionByteCount)
        changed = earlier?.changed[...] ?? []
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
        var job = RegionJob(
            number: Int(position / regionByteCount), extent: region, extents: parts, changed: changes(in: region))
        if job.changed != nil, let earlier { job.isToBeProven = !trustsProofs || !earlier.map.isProven(region) }
        if job.changed != nil, earlier?.sampling.takes(region: job.number) ?? false { job.isSample = true }
        position += length
        return job
    }

    /// What may have changed in the next region; `nil` when it has to be read whole.
    private mutating func changes(in region: Extent) -> [Extent]? {
        guard let earlier, earlier.covers(region, parameters: parameters) else { return nil }
        var parts: [Extent] = []
        while let first = changed.first, first.start < region.end {
            if let part = first.intersection(region) { parts.append(part) }
            if first.end > region.end { break }
            changed.removeFirst()
        }
        // What was all written is read like a region of which nothing is known.
        return parts == [region] ? nil : parts
    }
}

extension RegionJob {
    /// Whether nothing of the region has to be read, because all of it is zero.
    var isHole: Bool { !extents.isEmpty && extents.allSatisfy { $0.kind == .hole } }
    /// Whether the region is what it was in the earlier image. One with holes is looked at first.
    var isInherited: Bool {
        !isSample && !isToBeProven && changed?.isEmpty ?? false && extents.allSatisfy { $0.kind == .data }
    }
}
