import BackupModel
import RepositoryFormat

/// Builds an image's map from its leaves in order, storing each node as soon as its children are known.
///
/// Memory: at most fan-out ids a level.
struct MapAssembler {
    private let parameters: ImageParameters
    private let writer: StructureWriter
    /// Children collected for the next node of level 1, 2, ….
    private var levels: [[Hash256?]] = [[]]

    init(parameters: ImageParameters, writer: StructureWriter) {
        self.parameters = parameters
        self.writer = writer
    }

    /// Appends the next leaf; `nil` for a hole.
    mutating func append(leaf: Hash256?) async throws { try await append(leaf, level: 0) }

    private mutating func append(_ child: Hash256?, level: Int) async throws {
        if levels.count == level { levels.append([]) }
        levels[level].append(child)
        if levels[level].count == Int(parameters.fanOut) { try await closeNode(level: level) }
    }

    private mutating func closeNode(level: Int) async throws {
        let children = levels[level]
        levels[level] = []
        var identifier: Hash256?
        if children.contains(where: { $0 != nil }) {
            identifier = try await writer.store(
                MapNode(level: UInt8(level + 1), children: children).encoded, kind: .mapNode)
        }
        try await append(identifier, level: level + 1)
    }

    /// What no node covers yet, so that below them lies all that was appended: at most fan-out ids a level.
    var openRoots: [Hash256] { levels.flatMap { $0.compactMap(\.self) } }

    /// Completes the map and stores the image's root. - Returns: the root's id and its bytes.
    mutating func finish(byteCount: UInt64, hasSlices: Bool) async throws -> (identifier: Hash256, root: [UInt8]) {
        let depth = parameters.depth(forImageOf: byteCount)
        for level in 0..<depth where levels.count > level && !levels[level].isEmpty {
            try await closeNode(level: level)
        }
        let top = levels.count > depth ? levels[depth].first ?? nil : nil
        let root = ImageRoot(
            byteCount: byteCount, parameters: parameters, top: top, hasSlices: hasSlices
        ).encoded
        return (try await writer.store(root, kind: .imageRoot), root)
    }
}
