package import BackupModel
package import RepositoryFormat
import Synchronization

/// The map of an image of a restore point, leaf by leaf in any order: for whoever needs parts of an image.
///
/// Keeps the nodes on the way to the last leaf: at most ``FormatLimits/mapDepth`` of them. May be asked from several
/// tasks at once.
package final class ImageMap: Sendable {
    private struct Place: Hashable {
        let level: Int
        let number: UInt64
    }

    private struct Step {
        let place: Place
        let node: MapNode
    }

    /// The top of the image.
    package let root: ImageRoot
    private let reader: RepositoryReader
    private let title: String
    private let path = Mutex<[Step]>([])

    /// Reads the root of an image.
    ///
    /// - Throws: ``RepositoryError``: `damaged`, naming the image; `roleLacksKey` without the structure key.
    package init(_ image: RestorePointRecord.Image, reader: RepositoryReader) async throws {
        root = try await MapWalker(reader.blobs()).root(of: image)
        self.reader = reader
        title = image.title
    }

    /// The id of leaf `number`, which begins at `number` times the leaf size; `nil` when all of it is a hole.
    ///
    /// - Precondition: the image has such a leaf.
    /// - Throws: ``RepositoryError``: `damaged`.
    package func identifier(ofLeaf number: UInt64) async throws -> Hash256? {
        precondition(
            number * UInt64(root.parameters.leafByteCount) < root.byteCount, "the image has a leaf with this number")
        guard var identifier = root.top else { return nil }
        let fanOut = UInt64(root.parameters.fanOut)
        var level = root.depth
        while level > 0 {
            var place = number
            for _ in 0..<level { place /= fanOut }
            let node = try await node(identifier, at: Place(level: level, number: place))
            var child = number
            for _ in 0..<level - 1 { child /= fanOut }
            guard let next = node.children[Int(child % fanOut)] else { return nil }
            identifier = next
            level -= 1
        }
        return identifier
    }

    /// Leaf `number`, read and parsed; `nil` when all of it is a hole.
    ///
    /// - Throws: ``RepositoryError``: `damaged`.
    package func leaf(_ number: UInt64) async throws -> MapLeaf? {
        guard let identifier = try await identifier(ofLeaf: number) else { return nil }
        let offset = number * UInt64(root.parameters.leafByteCount)
        let byteCount = UInt32(min(UInt64(root.parameters.leafByteCount), root.byteCount - offset))
        return try await MapWalker(reader.blobs()).leaf(
            LeafPlace(identifier: identifier, offset: offset, byteCount: byteCount), title: title)
    }

    private func node(_ identifier: Hash256, at place: Place) async throws -> MapNode {
        if let step = path.withLock({ $0.first { $0.place == place } }) { return step.node }
        let offset = place.number * root.parameters.byteCountCovered(atLevel: place.level)
        let node = try await MapWalker(reader.blobs()).node(
            identifier, level: place.level, offset: offset, root: root, title: title)
        path.withLock { path in
            path.removeAll { $0.place.level <= place.level }
            path.append(Step(place: place, node: node))
        }
        return node
    }
}
