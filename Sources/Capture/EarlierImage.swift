package import BackupModel
import Chunking
package import RepositoryFormat

/// A disk as an earlier point has it, and what may have changed since.
///
/// Who gives it vouches for two things. The earlier point was found among the points that count after this session's
/// slot was claimed (format page §11, "Inheriting"); else its chunks may be swept away while the new point leans on
/// them. Leaves of which that is not so are not proven, and each of their chunks is looked for before it is leant on.
/// And every byte outside `changed` is what it was; else the new point is silently wrong.
package struct EarlierImage: Sendable {
    let map: any EarlierMap
    /// Ascending and apart from each other.
    let changed: [Extent]
    let sampling: ChangeSampling
    /// The point that leaves which are proven belong to, and the entry that committed it; `nil` when that is not known:
    /// then a backup that has gone on in another session takes no leaf for proven.
    let provenBy: (point: PointID, commit: SessionHead)?

    /// - Parameters:
    ///   - changed: bytes of the disk that may differ from the map, in any order; may overlap.
    ///   - sampling: how much of the rest is read and compared all the same.
    ///   - provenBy: the point that proven leaves belong to.
    package init(
        map: any EarlierMap, changed: [Extent], sampling: ChangeSampling = ChangeSampling(perMille: 0, seed: 0),
        provenBy: (point: PointID, commit: SessionHead)? = nil
    ) {
        self.map = map
        self.provenBy = provenBy
        self.sampling = sampling
        self.changed = Extent.joined(changed)
    }

    /// Bytes that may differ from the map.
    package var changedByteCount: UInt64 { changed.reduce(0) { $0 + $1.length } }

    /// How changes are found with it, as a record says it.
    var trust: String { sampling.perMille > 0 ? "bitmap-sampled" : "bitmap" }

    /// Whether a region of an image cut by `parameters` may be built on the earlier map at all: it was cut by the same
    /// rule, and this region was as long.
    func covers(_ region: Extent, parameters: ImageParameters) -> Bool {
        guard map.root.parameters == parameters, !map.root.hasSlices, region.start < map.root.byteCount else {
            return false
        }
        return min(UInt64(parameters.regionByteCount), map.root.byteCount - region.start) == region.length
    }
}

/// An image's map, leaf by leaf. May be asked from several tasks at once.
package protocol EarlierMap: Sendable {
    /// The top of the image.
    var root: ImageRoot { get }

    /// The id of a leaf by its number; `nil` when all of it is a hole.
    ///
    /// - Throws: ``RepositoryError``.
    func identifier(ofLeaf number: UInt64) async throws -> Hash256?

    /// What a leaf says; `nil` when all of it is a hole.
    ///
    /// - Throws: ``RepositoryError``.
    func leaf(_ number: UInt64) async throws -> MapLeaf?

    /// Whether a leaf, and so all that it names, belongs to a point that counts.
    func isProven(leaf number: UInt64) -> Bool
}

extension EarlierMap {
    /// The map is of a point.
    package func isProven(leaf number: UInt64) -> Bool { true }

    /// Whether all of a region is.
    func isProven(_ region: Extent) -> Bool {
        let size = UInt64(root.parameters.leafByteCount)
        return (region.start / size..<(region.end + size - 1) / size).allSatisfy(isProven)
    }
}

/// What a region was cut into, put together from the slices of its leaves.
struct EarlierCut {
    private(set) var pieces: [RegionPiece] = []
    /// Ids of the pieces; `nil` for holes.
    private(set) var identifiers: [Hash256?] = []

    /// Reads the leaves of a region.
    ///
    /// - Returns: `nil` when an entry uses part of a chunk, which a cut never gives: the region is then read whole.
    static func of(_ region: Extent, map: any EarlierMap) async throws -> EarlierCut? {
        let size = UInt64(map.root.parameters.leafByteCount)
        var cut = EarlierCut()
        var position: UInt64 = 0
        while position < region.length {
            let length = UInt32(min(size, region.length - position))
            if let leaf = try await map.leaf((region.start + position) / size) {
                guard leaf.byteCount == length, cut.append(leaf) else { return nil }
            } else {
                cut.appendHole(length)
            }
            position += UInt64(length)
        }
        return cut
    }

    /// The parts of extents that were data.
    ///
    /// - Parameters:
    ///   - extents: ascending, in bytes of the image.
    ///   - start: where the region begins in the image.
    func data(in extents: [Extent], from start: UInt64) -> [Extent] {
        var found: [Extent] = []
        var rest = extents[...]
        for piece in pieces where !piece.isHole {
            let extent = Extent(start: start + UInt64(piece.offset), length: UInt64(piece.length))
            while let first = rest.first, first.end <= extent.start { rest.removeFirst() }
            for candidate in rest {
                guard candidate.start < extent.end else { break }
                if let part = candidate.intersection(extent) { found.append(part) }
            }
        }
        return found
    }

    private mutating func appendHole(_ length: UInt32) {
        if let last = pieces.last, last.isHole {
            pieces[pieces.count - 1].length = last.length + length
        } else {
            pieces.append(RegionPiece(offset: pieces.last?.end ?? 0, length: length, isHole: true))
            identifiers.append(nil)
        }
    }

    /// Takes the slices of the next leaf. - Returns: false when they are not whole chunks.
    private mutating func append(_ leaf: MapLeaf) -> Bool {
        for (position, slice) in leaf.slices.enumerated() {
            guard let chunk = slice.chunk else {
                appendHole(slice.length)
                continue
            }
            if slice.skip > 0 {
                // The rest of a chunk that began in the leaf before.
                guard position == 0, slice.repeats == 1, let last = pieces.last, last.length == slice.skip,
                    identifiers.last == .some(chunk)
                else { return false }
                pieces[pieces.count - 1].length = last.length + slice.length
                continue
            }
            for _ in 0..<slice.repeats {
                pieces.append(RegionPiece(offset: pieces.last?.end ?? 0, length: slice.length, isHole: false))
                identifiers.append(chunk)
            }
        }
        return true
    }
}
