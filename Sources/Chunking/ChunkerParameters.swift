/// How an image is cut into chunks. Stored in every image root: two images cut by equal parameters (and keys) share
/// chunks wherever they share runs of pages. All sizes are in bytes.
package struct ChunkerParameters: Hashable, Sendable {
    /// Number of this cutting rule in the format: page-aligned, NH then one AES block.
    package static let algorithm: UInt16 = 1
    /// The page of algorithm 1; a boundary may only follow a page.
    package static let pageSize = 4096
    /// No chunk is larger, whatever the parameters say: bounds every buffer that holds one chunk.
    package static let largestChunk = 4 << 20
    /// No region is larger: bounds the buffer of one worker.
    package static let largestRegion = 64 << 20

    /// Images are cut in aligned regions of this size, each alone. A power of two, of whole pages.
    package var regionSize: Int
    /// No chunk is shorter, except at the end of a segment. A multiple of the page.
    package var minimum: Int
    /// No chunk is longer. A multiple of the page.
    package var maximum: Int
    /// A boundary follows a page whose value is below this. Thresholds nest: larger means the same boundaries and more.
    package var threshold: UInt64
    /// A maximal run of zero pages of at least this many bytes is a hole. A multiple of the page.
    package var zeroRunMinimum: Int
    /// Where the page grid starts, 0…4095. This version writes 0 only.
    package var gridOrigin: Int

    /// One page in 13 ends a chunk once the minimum of four pages is reached: the mean is 3 + 13 pages = 64 KiB.
    package static let defaultThreshold = UInt64.max / 13

    /// The defaults: regions of 16 MiB, chunks of 16…256 KiB with mean 64 KiB, holes from 32 KiB.
    package init(
        regionSize: Int = 16 << 20, minimum: Int = 16 << 10, maximum: Int = 256 << 10,
        threshold: UInt64 = ChunkerParameters.defaultThreshold, zeroRunMinimum: Int = 32 << 10, gridOrigin: Int = 0
    ) {
        self.regionSize = regionSize
        self.minimum = minimum
        self.maximum = maximum
        self.threshold = threshold
        self.zeroRunMinimum = zeroRunMinimum
        self.gridOrigin = gridOrigin
    }

    /// Checks every range; called before writing and after reading an image root.
    ///
    /// - Throws: ``ChunkingError`` with code `parameterOutOfRange`, naming the parameter, its value and the rule.
    package func validate() throws(ChunkingError) {
        let page = ChunkerParameters.pageSize
        guard regionSize >= page, regionSize <= ChunkerParameters.largestRegion, regionSize & (regionSize - 1) == 0
        else {
            throw .outOfRange("regionSize", regionSize, mustBe: "a power of two in 4096…67108864")
        }
        try checkPages("minimum", minimum, in: page...ChunkerParameters.largestChunk)
        try checkPages("maximum", maximum, in: page...ChunkerParameters.largestChunk)
        guard minimum <= maximum else {
            throw .outOfRange("minimum", minimum, mustBe: "at most the maximum, \(maximum)")
        }
        guard maximum <= regionSize else {
            throw .outOfRange("maximum", maximum, mustBe: "at most the region size, \(regionSize)")
        }
        try checkPages("zeroRunMinimum", zeroRunMinimum, in: page...ChunkerParameters.largestRegion)
        guard (0..<page).contains(gridOrigin) else {
            throw .outOfRange("gridOrigin", gridOrigin, mustBe: "in 0…4095")
        }
    }

    /// As ``validate()``, and also refuses what this version can read but not write.
    package func validateForWriting() throws(ChunkingError) {
        try validate()
        guard gridOrigin == 0 else { throw .unsupportedGridOrigin(gridOrigin) }
    }

    private func checkPages(_ name: String, _ value: Int, in range: ClosedRange<Int>) throws(ChunkingError) {
        guard range.contains(value), value % ChunkerParameters.pageSize == 0 else {
            throw .outOfRange(
                name, value, mustBe: "a multiple of 4096 in \(range.lowerBound)…\(range.upperBound)")
        }
    }
}
