import BackupModel
import RepositoryFormat

/// Which blobs of which packs are needed: a bit for each entry of a directory that was met.
///
/// Memory: a bit for each blob and about 120 bytes for each pack.
struct NeededBlobs {
    private var numbers: [ObjectKey: Int] = [:]
    private var bits: [[UInt64]] = []

    private mutating func number(of pack: ObjectKey) -> Int {
        if let known = numbers[pack] { return known }
        numbers[pack] = bits.count
        bits.append([])
        return bits.count - 1
    }

    /// Marks blobs that follow each other.
    mutating func mark(_ run: KeptMarks.Run) {
        let number = number(of: run.pack)
        let last = (run.ordinals.upperBound - 1) / 64
        while bits[number].count <= last { bits[number].append(0) }
        for ordinal in run.ordinals { bits[number][ordinal / 64] |= UInt64(1) << UInt64(ordinal % 64) }
    }

    /// Marks a blob. - Returns: whether it was not marked before.
    mutating func mark(_ place: BlobPlace) -> Bool {
        let number = number(of: place.pack)
        let word = place.ordinal / 64
        while bits[number].count <= word { bits[number].append(0) }
        let bit = UInt64(1) << UInt64(place.ordinal % 64)
        guard bits[number][word] & bit == 0 else { return false }
        bits[number][word] |= bit
        return true
    }

    /// Whether a blob is marked.
    func contains(_ place: BlobPlace) -> Bool {
        guard let number = numbers[place.pack] else { return false }
        let word = place.ordinal / 64
        return word < bits[number].count && bits[number][word] & (1 << UInt64(place.ordinal % 64)) != 0
    }

    /// Packs that a marked blob stands in.
    var packs: Set<ObjectKey> { Set(numbers.keys) }

    /// Blobs of a pack that are marked.
    func count(in pack: ObjectKey) -> Int {
        numbers[pack].map { number in bits[number].reduce(0) { $0 + $1.nonzeroBitCount } } ?? 0
    }
}
