package import BackupModel
package import RepositoryFormat

/// Where two images differ, from their maps alone: no guest byte is read (design §4.3).
///
/// Equal parts of the maps have equal ids and are passed over, so the cost follows what differs. The answer is exact to
/// whole chunks: a chunk of which one byte changed differs as a whole. What lies behind the end of the shorter image
/// counts as zero.
package struct MapDifference {
    /// A part of a map: an id, or nothing but zeros.
    private struct Part {
        let identifier: Hash256?
        /// Level of what the id names; above it stand levels that the shorter image does not have.
        let level: Int
    }

    private struct Image {
        let root: ImageRoot
        let title: String
    }

    private let blobs: BlobReader
    private let left: Image
    private let right: Image

    /// - Throws: ``RepositoryError``: `damaged`; `roleLacksKey`; `refused` when the maps have other shapes.
    package init(
        _ left: RestorePointRecord.Image, _ right: RestorePointRecord.Image, reader: RepositoryReader
    ) async throws {
        blobs = reader.blobs()
        let walker = MapWalker(blobs)
        self.left = Image(root: try await walker.root(of: left), title: left.title)
        self.right = Image(root: try await walker.root(of: right), title: right.title)
        guard self.left.root.parameters.leafByteCount == self.right.root.parameters.leafByteCount,
            self.left.root.parameters.fanOut == self.right.root.parameters.fanOut
        else {
            throw RepositoryError(
                .refused,
                "\(left.title) of the two points has maps of different shapes, which cannot be compared; restore "
                    + "both and compare them")
        }
    }

    /// Calls `body` with every stretch that differs, ascending and apart from each other.
    ///
    /// - Throws: ``RepositoryError``, `damaged`, when a part of a map that differs cannot be read.
    package func run(_ body: (Extent) throws -> Void) async throws {
        let levels = max(left.root.depth, right.root.depth)
        var open: Extent?
        let take: (Extent) throws -> Void = { extent in
            if let last = open, last.end == extent.start {
                open = Extent(start: last.start, length: last.length + extent.length)
            } else {
                if let last = open { try body(last) }
                open = extent
            }
        }
        try await compare(
            Part(identifier: left.root.top, level: left.root.depth),
            Part(identifier: right.root.top, level: right.root.depth), level: levels, offset: 0, take)
        if let last = open { try body(last) }
    }

    private func compare(
        _ one: Part, _ two: Part, level: Int, offset: UInt64, _ body: (Extent) throws -> Void
    ) async throws {
        if one.identifier == two.identifier, one.identifier == nil || one.level == two.level { return }
        try Task.checkCancellation()
        guard level > 0 else {
            return try compare(
                try await slices(of: one, in: left, offset: offset),
                try await slices(of: two, in: right, offset: offset), offset: offset, body)
        }
        let step = left.root.parameters.byteCountCovered(atLevel: level - 1)
        let ones = try await children(of: one, in: left, level: level, offset: offset)
        let twos = try await children(of: two, in: right, level: level, offset: offset)
        let nothing = Part(identifier: nil, level: 0)
        for index in 0..<max(ones.count, twos.count) {
            try await compare(
                index < ones.count ? ones[index] : nothing, index < twos.count ? twos[index] : nothing,
                level: level - 1, offset: offset + UInt64(index) * step, body)
        }
    }

    private func children(of part: Part, in image: Image, level: Int, offset: UInt64) async throws -> [Part] {
        guard let identifier = part.identifier else { return [] }
        // The shorter image is the first child of a node that only the longer one has.
        guard part.level == level else { return [part] }
        let node = try await MapWalker(blobs).node(
            identifier, level: level, offset: offset, root: image.root, title: image.title)
        return node.children.map { Part(identifier: $0, level: level - 1) }
    }

    private func slices(of part: Part, in image: Image, offset: UInt64) async throws -> [MapSlice] {
        guard let identifier = part.identifier else { return [] }
        let size = UInt64(image.root.parameters.leafByteCount)
        let place = LeafPlace(
            identifier: identifier, offset: offset, byteCount: UInt32(min(size, image.root.byteCount - offset)))
        return try await MapWalker(blobs).leaf(place, title: image.title).slices
    }

    private func compare(
        _ ones: [MapSlice], _ twos: [MapSlice], offset: UInt64, _ body: (Extent) throws -> Void
    ) throws {
        var one = SliceCursor(ones)
        var two = SliceCursor(twos)
        var position = offset
        while let length = SliceCursor.step(one, two) {
            if !one.reads(sameAs: two) { try body(Extent(start: position, length: length)) }
            one.advance(length)
            two.advance(length)
            position += length
        }
    }
}

/// Where a reader of slices stands: a place in a chunk, a hole, or behind the last slice, which is a hole without end.
private struct SliceCursor {
    private let slices: [MapSlice]
    private var index = 0
    /// Bytes of the slice that were passed, all repetitions counted.
    private var passed: UInt64 = 0

    init(_ slices: [MapSlice]) { self.slices = slices }

    private var slice: MapSlice? { index < slices.count ? slices[index] : nil }

    /// Bytes up to the end of the repetition; `nil` behind the end.
    private var rest: UInt64? {
        slice.map { $0.chunk == nil ? $0.byteCount - passed : UInt64($0.length) - passed % UInt64($0.length) }
    }

    /// Bytes that both can go on without a change; `nil` when both are at their end.
    static func step(_ one: SliceCursor, _ two: SliceCursor) -> UInt64? {
        switch (one.rest, two.rest) {
        case (nil, nil): nil
        case (let rest?, nil), (nil, let rest?): rest
        case (let first?, let second?): min(first, second)
        }
    }

    func reads(sameAs other: SliceCursor) -> Bool {
        guard let mine = slice, let chunk = mine.chunk else { return other.slice?.chunk == nil }
        guard let theirs = other.slice, theirs.chunk == chunk else { return false }
        return UInt64(mine.skip) + passed % UInt64(mine.length) == UInt64(theirs.skip)
            + other.passed % UInt64(theirs.length)
    }

    mutating func advance(_ length: UInt64) {
        guard let slice else { return }
        passed += length
        if passed == slice.byteCount {
            index += 1
            passed = 0
        }
    }
}
