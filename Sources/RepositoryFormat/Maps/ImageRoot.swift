package import BackupModel

/// The sizes that shape an image's map and its chunks. They stand in each image root; a repository only has defaults.
package struct ImageParameters: Hashable, Sendable {
    /// Bytes that one leaf covers.
    package var leafByteCount: UInt32 = 4 << 20
    /// Bytes that are chunked independently; a multiple of the leaf size.
    package var regionByteCount: UInt32 = 16 << 20
    /// Most children of a node.
    package var fanOut: UInt16 = 64
    /// How chunks are cut; 1 is the only one known.
    package var chunker: UInt16 = 1
    /// Where the page grid begins; 0 is the only one written.
    package var gridOrigin: UInt16 = 0
    /// Smallest chunk that a boundary may end.
    package var minimum: UInt32 = 16 << 10
    /// Largest chunk.
    package var maximum: UInt32 = 256 << 10
    /// Shortest run of zeros that is a hole.
    package var zeroRunMinimum: UInt32 = 32 << 10
    /// A boundary follows a page whose value is below this.
    package var threshold: UInt64 = UInt64.max / 13
    /// Epoch of the boundary key.
    package var boundaryEpoch: UInt32 = 0

    /// The default sizes.
    package init() {}

    /// Levels of nodes above the leaves of an image of `byteCount` bytes.
    package func depth(forImageOf byteCount: UInt64) -> Int {
        var depth = 0
        var covered = UInt64(leafByteCount)
        while covered < byteCount {
            let (next, overflow) = covered.multipliedReportingOverflow(by: UInt64(fanOut))
            depth += 1
            if overflow { break }
            covered = next
        }
        return depth
    }

    /// Bytes that a child at `level` covers: a leaf at 0; saturates at 2^64 − 1.
    package func byteCountCovered(atLevel level: Int) -> UInt64 {
        var covered = UInt64(leafByteCount)
        for _ in 0..<level {
            let (next, overflow) = covered.multipliedReportingOverflow(by: UInt64(fanOut))
            covered = overflow ? .max : next
        }
        return covered
    }

    func check(_ name: String) throws(FormatError) {
        guard chunker == 1, gridOrigin == 0 else {
            throw .unsupported(
                "\(name) was cut by chunker \(chunker) with grid origin \(gridOrigin), which this program does not know"
            )
        }
        let largest = UInt32(FormatLimits.objectByteCount)
        guard leafByteCount >= 4096, regionByteCount <= largest, leafByteCount <= regionByteCount,
            leafByteCount % 4096 == 0, regionByteCount % leafByteCount == 0, (2...1024).contains(fanOut),
            minimum >= 1, minimum <= maximum, Int(maximum) <= FormatLimits.chunkByteCount
        else { throw .notCanonical("\(name) has sizes that do not fit each other") }
    }
}

/// The top of an image (format page §7): its length, its parameters, and its map.
package struct ImageRoot: Hashable, Sendable {
    private static let knownFlags: UInt8 = 0b11

    /// Exact size of the image in bytes.
    package let byteCount: UInt64
    /// See ``ImageParameters``.
    package let parameters: ImageParameters
    /// Whether an entry uses part of a chunk elsewhere than at a leaf's edge.
    package let hasSlices: Bool
    /// The uppermost node, or the leaf of a small image; `nil` when every byte is zero.
    package let top: Hash256?

    /// The root of a whole image.
    ///
    /// - Parameter hasSlices: whether an entry uses part of a chunk elsewhere than at a leaf's edge.
    /// - Precondition: the map has at most ``FormatLimits/mapDepth`` levels, and an image of no bytes has no top.
    package init(byteCount: UInt64, parameters: ImageParameters, top: Hash256?, hasSlices: Bool = false) {
        precondition(
            parameters.depth(forImageOf: byteCount) <= FormatLimits.mapDepth, "a map is at most eight nodes high")
        precondition(byteCount > 0 || top == nil, "an image of no bytes has no map")
        self.byteCount = byteCount
        self.parameters = parameters
        self.hasSlices = hasSlices
        self.top = top
    }

    /// Levels of nodes above the leaves.
    package var depth: Int { parameters.depth(forImageOf: byteCount) }

    /// The root's bytes.
    package var encoded: [UInt8] {
        var payload: [UInt8] = []
        payload.append(littleEndian: byteCount)
        payload.append(littleEndian: parameters.leafByteCount)
        payload.append(littleEndian: parameters.regionByteCount)
        payload.append(littleEndian: parameters.fanOut)
        payload.append(UInt8(depth))
        payload.append(hasSlices ? 2 : 0)
        payload.append(littleEndian: parameters.chunker)
        payload.append(littleEndian: parameters.gridOrigin)
        payload.append(littleEndian: parameters.minimum)
        payload.append(littleEndian: parameters.maximum)
        payload.append(littleEndian: parameters.zeroRunMinimum)
        payload.append(littleEndian: parameters.threshold)
        payload.append(littleEndian: parameters.boundaryEpoch)
        payload.append(littleEndian: UInt32(0))
        payload.append(littleEndian: top == nil ? MapReference.hole : 0)
        return StructureBlob.encoded(
            kind: .imageRoot, structures: top.map { [$0] } ?? [], contents: [], payload: payload)
    }

    /// Parses the root of a whole image.
    ///
    /// - Throws: ``FormatError``; a partial root, of an image that was never finished, is `misplaced`.
    package init(parsing bytes: [UInt8], name: String) throws(FormatError) {
        let blob = try StructureBlob(parsing: bytes, kind: .imageRoot, name: name)
        var fields = FieldReader(blob.payload, of: name)
        byteCount = try fields.integer(UInt64.self)
        var parameters = ImageParameters()
        parameters.leafByteCount = try fields.integer(UInt32.self)
        parameters.regionByteCount = try fields.integer(UInt32.self)
        parameters.fanOut = try fields.integer(UInt16.self)
        let depth = try fields.integer(UInt8.self)
        let flags = try fields.integer(UInt8.self)
        guard flags & ~ImageRoot.knownFlags == 0 else {
            throw .unsupported("\(name) has flags \(flags), which this program does not know")
        }
        guard flags & 1 == 0 else { throw .misplaced("\(name) is the root of an image that was never finished") }
        hasSlices = flags & 2 != 0
        parameters.chunker = try fields.integer(UInt16.self)
        parameters.gridOrigin = try fields.integer(UInt16.self)
        parameters.minimum = try fields.integer(UInt32.self)
        parameters.maximum = try fields.integer(UInt32.self)
        parameters.zeroRunMinimum = try fields.integer(UInt32.self)
        parameters.threshold = try fields.integer(UInt64.self)
        parameters.boundaryEpoch = try fields.integer(UInt32.self)
        try fields.zeros(4)
        let reference = try fields.integer(UInt32.self)
        try fields.finish()
        try parameters.check(name)
        guard Int(depth) <= FormatLimits.mapDepth, Int(depth) == parameters.depth(forImageOf: byteCount) else {
            throw .notCanonical("\(name) has a map of depth \(depth) for \(byteCount) bytes")
        }
        guard blob.contents.isEmpty, blob.structures.count == (reference == MapReference.hole ? 0 : 1),
            reference == MapReference.hole || reference == 0, byteCount > 0 || reference == MapReference.hole
        else { throw .notCanonical("\(name): its references do not fit its top") }
        top = blob.structures.first
        self.parameters = parameters
    }
}
