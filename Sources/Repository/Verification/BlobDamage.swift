import BackupModel
import RepositoryFormat

/// Which copies of blobs a verification has looked at, and found damaged.
struct BlobDamage {
    /// The packs with something wrong, and which of their blobs open all the same.
    private(set) var packs: [ObjectKey: [Int: Hash256]] = [:]
    /// Packs that were looked at.
    private var checked: Set<ObjectKey> = []

    /// Takes what the check of a pack came to.
    mutating func note(_ result: PackResult) {
        checked.insert(result.pack.key)
        if result.sentence != nil { packs[result.pack.key] = result.survivors }
    }

    /// Whether the copy of a blob at a place is whole as far as was seen. What nobody looked at is not: a point is
    /// never called whole for a pack that was left out.
    func isWhole(_ identifier: Hash256, at place: BlobPlace) -> Bool {
        guard checked.contains(place.pack) else { return false }
        guard let survivors = packs[place.pack] else { return true }
        return survivors[place.ordinal] == identifier
    }

    /// The blobs of each damaged pack that no other copy replaces.
    func losses(_ index: ChunkIndex) async throws -> [ObjectKey: [Hash256]] {
        guard !packs.isEmpty else { return [:] }
        var losses: [ObjectKey: [Hash256]] = [:]
        for (pack, identifiers) in try await index.identifiers(in: Set(packs.keys)) {
            for identifier in identifiers
            where try await !index.places(of: identifier).contains(where: { isWhole(identifier, at: $0) }) {
                losses[pack, default: []].append(identifier)
            }
        }
        return losses
    }
}
