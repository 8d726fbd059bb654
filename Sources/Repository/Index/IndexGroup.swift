import BackupModel
import ObjectStorage
import RepositoryFormat
import Synchronization

/// One run, or the parts of one merge: a sorted list of entries over one list of packs.
final class IndexGroup: Sendable {
    /// The run that lists the packs.
    let head: ObjectKey
    /// The parts in ascending order of ids, the head's own entries last.
    let parts: [IndexPart]
    /// The index's own numbers of the packs, by the number that entries use.
    let packs: [UInt32]
    /// Runs that are merged into this one.
    let merged: [Hash256]
    /// Entries of all parts.
    let entryCount: Int
    /// The leading word of each part's first id.
    private let firstWords: [UInt64]

    init(head: ObjectKey, parts: [IndexPart], packs: [UInt32], merged: [Hash256]) {
        self.head = head
        self.parts = parts
        self.packs = packs
        self.merged = merged
        entryCount = parts.reduce(0) { $0 + $1.blocks.entryCount }
        firstWords = parts.map { $0.blocks.prefixes.first ?? 0 }
    }

    /// Hashes of all runs of this group.
    var runs: [Hash256] { parts.map(\.key.hash) }

    /// The parts in which an id can stand: mostly one.
    func candidates(for identifier: Hash256) -> Range<Int> {
        guard parts.count > 1 else { return 0..<parts.count }
        return firstWords.pieces(thatMayHold: identifier.leadingWord)
    }
}

/// One run of a group.
final class IndexPart: Sendable {
    /// Name of the run.
    let key: ObjectKey
    /// Number by which the cache knows it.
    let number: UInt32
    /// Its blocks.
    let blocks: IndexRunBlocks
    /// Where the store has it.
    let object: ObjectName
    private let built: Mutex<IndexFilter?>

    init(key: ObjectKey, number: UInt32, blocks: IndexRunBlocks, filter: IndexFilter?) {
        self.key = key
        self.number = number
        self.blocks = blocks
        object = ObjectAccess.name(key.runName)
        built = Mutex(filter)
    }

    /// Says which ids are not here; `nil` before one was built.
    var filter: IndexFilter? {
        get { built.withLock { $0 } }
        set { built.withLock { $0 = newValue } }
    }
}
