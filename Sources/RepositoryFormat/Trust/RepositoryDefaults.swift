/// Sizes that new images and packs are made with; every image root states its own (format page §3).
package struct RepositoryDefaults: Hashable, Sendable {
    /// Least bytes of a chunk, at least 1.
    package var minimum: UInt32
    /// Most bytes of a chunk, at least ``minimum`` and at most ``FormatLimits/chunkByteCount``.
    package var maximum: UInt32
    /// A boundary lies behind a page whose value is below this.
    package var threshold: UInt64
    /// Least bytes of zeros that make a hole, at least 1.
    package var zeroRun: UInt32
    /// Bytes of a region, at least ``maximum``.
    package var region: UInt32
    /// Bytes that one map leaf covers, at least 1.
    package var leaf: UInt32
    /// Most children of a map node, at least 2.
    package var fanOut: UInt16
    /// Bytes at which a pack is full, at least 1 and at most ``FormatLimits/objectByteCount``.
    package var pack: UInt32

    /// Takes values that ``check(of:)`` accepts.
    package init(
        minimum: UInt32, maximum: UInt32, threshold: UInt64, zeroRun: UInt32, region: UInt32, leaf: UInt32,
        fanOut: UInt16, pack: UInt32
    ) {
        self.minimum = minimum
        self.maximum = maximum
        self.threshold = threshold
        self.zeroRun = zeroRun
        self.region = region
        self.leaf = leaf
        self.fanOut = fanOut
        self.pack = pack
    }

    /// Checks the ranges; who cuts chunks has stricter rules of its own.
    ///
    /// - Throws: ``FormatError``, `malformed`.
    package func check(of what: String) throws(FormatError) {
        guard minimum >= 1, zeroRun >= 1, leaf >= 1, fanOut >= 2, pack >= 1 else {
            throw .notCanonical("\(what): a size is 0, or the fan-out below 2")
        }
        guard minimum <= maximum, maximum <= region else {
            throw .notCanonical(
                "\(what): minimum \(minimum), maximum \(maximum) and region \(region) are not in ascending order")
        }
        guard Int(maximum) <= FormatLimits.chunkByteCount else {
            throw .overLimit(
                "the maximum of \(what)", value: UInt64(maximum), limit: UInt64(FormatLimits.chunkByteCount))
        }
        guard Int(pack) <= FormatLimits.objectByteCount else {
            throw .overLimit(
                "the pack size of \(what)", value: UInt64(pack), limit: UInt64(FormatLimits.objectByteCount))
        }
    }

    var value: RecordValue {
        .map([
            "minimum": .unsigned(UInt64(minimum)), "maximum": .unsigned(UInt64(maximum)),
            "threshold": .unsigned(threshold), "zero_run": .unsigned(UInt64(zeroRun)),
            "region": .unsigned(UInt64(region)), "leaf": .unsigned(UInt64(leaf)),
            "fan_out": .unsigned(UInt64(fanOut)), "pack": .unsigned(UInt64(pack)),
        ])
    }

    init(_ fields: RecordFields, of what: String) throws(FormatError) {
        minimum = try fields.word("minimum")
        maximum = try fields.word("maximum")
        threshold = try fields.unsigned("threshold")
        zeroRun = try fields.word("zero_run")
        region = try fields.word("region")
        leaf = try fields.word("leaf")
        fanOut = UInt16(try fields.unsigned("fan_out", limit: UInt64(UInt16.max)))
        pack = try fields.word("pack")
        try check(of: what)
    }
}
