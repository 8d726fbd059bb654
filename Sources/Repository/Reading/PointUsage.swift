import BackupModel
import RepositoryFormat

/// What one restore point takes up: what deduplication and compression made of it, and what it has for itself alone.
package struct PointUsage: Sendable {
    /// Distinct chunks of one point that are held in memory, about 40 bytes each; a larger point is refused. At the
    /// mean size of a chunk that is half a tebibyte of distinct data.
    package static let chunkLimit = 8_000_000

    /// Bytes of its disks, holes included.
    package private(set) var diskByteCount: UInt64 = 0
    /// Bytes that are no holes, as often as they occur.
    package private(set) var dataByteCount: UInt64 = 0
    /// Distinct chunks.
    package private(set) var chunkCount = 0
    /// Bytes of the distinct chunks before compression: what deduplication within the point leaves.
    package private(set) var distinctByteCount: UInt64 = 0
    /// Bytes of the distinct chunks as they are stored.
    package private(set) var storedByteCount: UInt64 = 0
    /// Of the stored bytes those of chunks that no other point uses: what deleting this point alone would free.
    package private(set) var uniqueByteCount: UInt64 = 0

    /// Adds up.
    ///
    /// Walks the point's maps and then those of all others, each leaf once however many points share it, and stops when
    /// nothing is the point's own any more.
    /// - Throws: ``RepositoryError``: `damaged` when a map cannot be read; `refused` beyond ``chunkLimit``;
    ///   `roleLacksKey` without the structure key.
    package init(of point: RestorePoint, reader: RepositoryReader) async throws {
        let walker = MapWalker(reader.blobs())
        var chunks = Set<Hash256>()
        var leaves = Set<Hash256>()
        for image in point.record.images {
            let root = try await walker.root(of: image)
            diskByteCount += root.byteCount
            var data: UInt64 = 0
            try await walker.leaves(of: root, disk: image.name) { place in
                try Task.checkCancellation()
                leaves.insert(place.identifier)
                for slice in try await walker.leaf(place, disk: image.name).slices {
                    guard let chunk = slice.chunk else { continue }
                    data += slice.byteCount
                    chunks.insert(chunk)
                }
                guard chunks.count <= PointUsage.chunkLimit else {
                    throw RepositoryError(
                        .refused,
                        "the point has more than \(PointUsage.chunkLimit) distinct chunks, which are not added up")
                }
            }
            dataByteCount += data
        }
        chunkCount = chunks.count
        var sizes: [Hash256: UInt32] = [:]
        sizes.reserveCapacity(chunks.count)
        for chunk in chunks {
            guard let entry = try await reader.entry(of: chunk) else { continue }
            distinctByteCount += UInt64(entry.plainByteCount)
            storedByteCount += UInt64(entry.storedByteCount)
            sizes[chunk] = entry.storedByteCount
        }
        try await subtract(others: point, sizes: &sizes, leaves: leaves, walker: walker, view: reader.view)
        uniqueByteCount = sizes.values.reduce(0) { $0 + UInt64($1) }
    }

    private func subtract(
        others point: RestorePoint, sizes: inout [Hash256: UInt32], leaves: Set<Hash256>, walker: MapWalker,
        view: RepositoryView
    ) async throws {
        var seen = Set<Hash256>()
        for other in view.points.reversed() where other.record.identifier != point.record.identifier {
            for image in other.record.images where !sizes.isEmpty {
                let root = try await walker.root(of: image)
                var left = sizes
                try await walker.leaves(of: root, disk: image.name) { place in
                    try Task.checkCancellation()
                    guard seen.insert(place.identifier).inserted else { return }
                    for slice in try await walker.leaf(place, disk: image.name).slices {
                        if let chunk = slice.chunk { left[chunk] = nil }
                    }
                }
                sizes = left
            }
        }
    }
}

extension RepositoryReader {
    /// What a directory says of a data chunk, from the first of its places that can be read; `nil` when none can.
    func entry(of chunk: Hash256) async throws -> PackEntry? {
        for place in try await index.places(of: chunk) {
            do {
                let entries = try await shelf.contents(of: place.pack).entries
                if place.ordinal < entries.count, entries[place.ordinal].identifier == chunk {
                    return entries[place.ordinal]
                }
            } catch let error as RepositoryError where error.isAboutBytes { continue }
        }
        return nil
    }
}
