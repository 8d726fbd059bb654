package import BackupModel

/// The children of a stretch of an image (format page §7): at level 1 leaves, above it nodes.
package struct MapNode: Hashable, Sendable {
    /// 1 … ``FormatLimits/mapDepth``.
    package let level: UInt8
    /// Ids in order; `nil` where all bytes are zero.
    package let children: [Hash256?]

    /// - Precondition: not all children are holes; such a node is a hole itself and is not stored.
    package init(level: UInt8, children: [Hash256?]) {
        precondition(children.contains { $0 != nil }, "a node of holes is a hole")
        self.level = level
        self.children = children
    }

    /// The node's bytes.
    package var encoded: [UInt8] {
        var references: [Hash256: UInt32] = [:]
        var structures: [Hash256] = []
        var payload: [UInt8] = [level, 0, 0, 0]
        payload.append(littleEndian: UInt32(children.count))
        for child in children {
            guard let child else {
                payload.append(littleEndian: MapReference.hole)
                continue
            }
            if references[child] == nil {
                references[child] = UInt32(structures.count)
                structures.append(child)
            }
            payload.append(littleEndian: references[child] ?? MapReference.hole)
        }
        return StructureBlob.encoded(kind: .mapNode, structures: structures, contents: [], payload: payload)
    }

    /// Parses a node and refuses every spelling but the canonical one.
    ///
    /// - Parameters:
    ///   - level: level it must have, from its place in the map.
    ///   - childCount: children it must have, from the image's length.
    /// - Throws: ``FormatError``.
    package init(parsing bytes: [UInt8], level: UInt8, childCount: Int, name: String) throws(FormatError) {
        let blob = try StructureBlob(parsing: bytes, kind: .mapNode, name: name)
        guard blob.contents.isEmpty else { throw .notCanonical("\(name): a map node leans on maps alone") }
        var fields = FieldReader(blob.payload, of: name)
        let found = try fields.integer(UInt8.self)
        try fields.zeros(3)
        let count = Int(try fields.integer(UInt32.self))
        guard found == level, count == childCount else {
            throw .damaged(
                "\(name) has \(count) children at level \(found) where the image has \(childCount) at level \(level)")
        }
        var seen = 0
        var children: [Hash256?] = []
        for _ in 0..<count {
            let reference = try fields.integer(UInt32.self)
            if reference == MapReference.hole {
                children.append(nil)
                continue
            }
            guard Int(reference) < blob.structures.count, Int(reference) <= seen else {
                throw .notCanonical("\(name): references are not in order of first use")
            }
            if Int(reference) == seen { seen += 1 }
            children.append(blob.structures[Int(reference)])
        }
        try fields.finish()
        guard seen == blob.structures.count, seen > 0, Set(blob.structures).count == seen else {
            throw .notCanonical("\(name): references that are unused or repeated")
        }
        self.level = level
        self.children = children
    }
}
