package import BackupModel
package import RepositoryFormat

/// A leaf of an image's map, by its place.
package struct LeafPlace: Hashable, Sendable {
    /// Id of the leaf.
    package let identifier: Hash256
    /// Its first byte in the image.
    package let offset: UInt64
    /// Bytes it covers.
    package let byteCount: UInt32
}

/// A part of an image whose map cannot be read.
package struct LostMap: Sendable {
    /// Id of the node.
    package let identifier: Hash256
    /// The bytes of the image that it describes.
    package let extent: Extent
    /// Why.
    package let error: RepositoryError
}

/// Walks the maps of images from root to leaf, in ascending order. Belongs to one worker at a time.
package struct MapWalker {
    private let reader: BlobReader

    /// Walks with the keys of `reader`, which must open structure.
    package init(_ reader: BlobReader) { self.reader = reader }

    /// Reads the root of an image and compares its length with what the record says.
    ///
    /// - Throws: ``RepositoryError``: `damaged`, naming the image.
    package func root(of image: RestorePointRecord.Image) async throws -> ImageRoot {
        let name = "the root of \(image.title)"
        let bytes = try await reader.bytes(of: image.root, kind: .imageRoot, name: name)
        let root = try await RepositoryError.translating { try ImageRoot(parsing: bytes, name: name) }
        guard root.byteCount == image.byteCount else {
            throw RepositoryError(
                .damaged, "\(name) says \(root.byteCount) bytes and the restore point \(image.byteCount)", .repair)
        }
        return root
    }

    /// Calls `body` for each leaf that is no hole, in ascending order.
    ///
    /// - Parameter failed: called, instead of throwing, for a node that cannot be read: what is below it is skipped.
    package func leaves(
        of root: ImageRoot, title: String, failed: ((LostMap) async throws -> Void)? = nil,
        _ body: (LeafPlace) async throws -> Void
    ) async throws {
        guard let top = root.top else { return }
        try await visit(top, level: root.depth, offset: 0, root: root, title: title, failed: failed, body)
    }

    private func visit(
        _ identifier: Hash256, level: Int, offset: UInt64, root: ImageRoot, title: String,
        failed: ((LostMap) async throws -> Void)?, _ body: (LeafPlace) async throws -> Void
    ) async throws {
        let covered = min(root.parameters.byteCountCovered(atLevel: level), root.byteCount - offset)
        guard level > 0 else {
            try await body(LeafPlace(identifier: identifier, offset: offset, byteCount: UInt32(covered)))
            return
        }
        let step = root.parameters.byteCountCovered(atLevel: level - 1)
        let node: MapNode
        do {
            node = try await self.node(identifier, level: level, offset: offset, root: root, title: title)
        } catch let error as RepositoryError where error.code == .damaged {
            guard let failed else { throw error }
            try await failed(
                LostMap(
                    identifier: identifier, extent: Extent(start: offset, length: covered), error: error))
            return
        }
        for (index, child) in node.children.enumerated() {
            guard let child else { continue }
            try await visit(
                child, level: level - 1, offset: offset + UInt64(index) * step, root: root, title: title,
                failed: failed, body)
        }
    }

    /// Reads and parses the node of `level`, at least 1, that begins at `offset`, in bytes of the image.
    ///
    /// - Throws: ``RepositoryError``: `damaged`, naming disk and place.
    func node(
        _ identifier: Hash256, level: Int, offset: UInt64, root: ImageRoot, title: String
    ) async throws -> MapNode {
        let covered = min(root.parameters.byteCountCovered(atLevel: level), root.byteCount - offset)
        let count = (covered - 1) / root.parameters.byteCountCovered(atLevel: level - 1) + 1
        let name = "the map of \(title) at byte \(offset)"
        let bytes = try await reader.bytes(of: identifier, kind: .mapNode, name: name)
        return try await RepositoryError.translating {
            try MapNode(parsing: bytes, level: UInt8(level), childCount: Int(count), name: name)
        }
    }

    /// Reads and parses a leaf.
    package func leaf(_ place: LeafPlace, title: String) async throws -> MapLeaf {
        let name = "the map of \(title) at byte \(place.offset)"
        let bytes = try await reader.bytes(of: place.identifier, kind: .mapLeaf, name: name)
        return try await RepositoryError.translating {
            try MapLeaf(parsing: bytes, byteCount: place.byteCount, name: name)
        }
    }
}
