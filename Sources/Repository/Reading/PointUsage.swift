import BackupModel
import RepositoryFormat

/// What one restore point takes up: what deduplication and compression made of it, and what it has for itself alone.
package struct PointUsage: Sendable {
    /// Distinct chunks that are held in memory at once, about 75 bytes each. A point of more is walked several times, a
    /// share of the ids each time.
    package static let chunksAtOnce = 1 << 20
    /// Leaves of other points that are remembered as seen, about 85 bytes each.
    static let leafLimit = 1 << 18

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

    /// A share of the ids: those whose leading bits are a number.
    private struct Share {
        let number: UInt64
        let bits: Int

        func holds(_ identifier: Hash256) -> Bool { bits == 0 || identifier.leadingWord >> UInt64(64 - bits) == number }
    }

    /// Stored sizes of chunks that are still the point's own, by id.
    private final class Own {
        var sizes: [Hash256: UInt32] = [:]
        /// Leaves of other points that were subtracted.
        let seen = RecentMap<Hash256, Bool>(limit: PointUsage.leafLimit)
    }

    /// Adds up.
    ///
    /// Walks the point's maps and then those of all others, each leaf mostly once however many points share it, and
    /// stops when nothing is the point's own any more.
    /// - Parameter chunksAtOnce: for tests; see ``chunksAtOnce``.
    /// - Throws: ``RepositoryError``: `damaged` when a map cannot be read; `roleLacksKey` without the structure key.
    package init(
        of point: RestorePoint, reader: RepositoryReader, chunksAtOnce: Int = PointUsage.chunksAtOnce
    ) async throws {
        let walker = MapWalker(reader.blobs())
        // How often chunks occur is at least how many there are.
        let occurrences = try await measure(point, walker)
        var bits = 0
        while occurrences >> bits > chunksAtOnce { bits += 1 }
        for number in 0..<UInt64(1 << bits) {
            try await add(Share(number: number, bits: bits), of: point, reader: reader, walker: walker)
        }
    }

    /// Adds up what the maps alone say. - Returns: how often the point names chunks.
    private mutating func measure(_ point: RestorePoint, _ walker: MapWalker) async throws -> Int {
        var (disks, data, occurrences): (UInt64, UInt64, Int) = (0, 0, 0)
        for image in point.record.images {
            let root = try await walker.root(of: image)
            disks += root.byteCount
            try await walker.leaves(of: root, title: image.title) { place in
                try Task.checkCancellation()
                for slice in try await walker.leaf(place, title: image.title).slices where slice.chunk != nil {
                    data += slice.byteCount
                    occurrences += 1
                }
            }
        }
        (diskByteCount, dataByteCount) = (disks, data)
        return occurrences
    }

    private mutating func add(
        _ share: Share, of point: RestorePoint, reader: RepositoryReader, walker: MapWalker
    ) async throws {
        let own = Own()
        var (distinct, stored): (UInt64, UInt64) = (0, 0)
        for image in point.record.images {
            let root = try await walker.root(of: image)
            try await walker.leaves(of: root, title: image.title) { place in
                try Task.checkCancellation()
                for slice in try await walker.leaf(place, title: image.title).slices {
                    guard let chunk = slice.chunk, share.holds(chunk), own.sizes[chunk] == nil else { continue }
                    // In the order of the image, in which chunks were stored: one directory answers for many.
                    let entry = try await reader.entry(of: chunk)
                    distinct += UInt64(entry?.plainByteCount ?? 0)
                    stored += UInt64(entry?.storedByteCount ?? 0)
                    own.sizes[chunk] = entry?.storedByteCount ?? 0
                }
            }
        }
        chunkCount += own.sizes.count
        distinctByteCount += distinct
        storedByteCount += stored
        for other in reader.view.points.reversed() where other.record.identifier != point.record.identifier {
            for image in other.record.images where !own.sizes.isEmpty {
                let root = try await walker.root(of: image)
                try await walker.leaves(of: root, title: image.title) { place in
                    try Task.checkCancellation()
                    guard own.seen[place.identifier] == nil else { return }
                    own.seen[place.identifier] = true
                    for slice in try await walker.leaf(place, title: image.title).slices {
                        if let chunk = slice.chunk { own.sizes[chunk] = nil }
                    }
                }
            }
        }
        uniqueByteCount += own.sizes.values.reduce(0) { $0 + UInt64($1) }
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
