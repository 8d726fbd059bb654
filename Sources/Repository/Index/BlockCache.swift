import BackupModel
import ChunkEncryption
import RepositoryFormat
import Synchronization

/// Opened blocks of index runs, the most useful of them, in one piece of memory: ``blockLimit`` × 2,000 bytes, 16 MB.
final class BlockCache: Sendable {
    /// Blocks kept.
    static let blockLimit = 8192

    /// Which block of which run, by numbers that the index gives out.
    struct Name: Hashable {
        let run: UInt32
        let block: UInt32

        func hash(into hasher: inout Hasher) { hasher.combine(UInt64(run) << 32 | UInt64(block)) }
    }

    /// Where an entry says that an id stands. No tuple: the runtime would look its type up each time.
    struct Place {
        /// Number of the pack in the group.
        let pack: UInt32
        /// Which entry of its directory.
        let ordinal: UInt32
    }

    /// Entries of one id in one block.
    typealias Found = Few<Place>

    private let slots = Mutex(Slots())

    /// The entries of an id in a block that is here; `nil` when it is not.
    func entries(of identifier: Hash256, in name: Name) -> Found? {
        slots.withLock { slots in slots.find(name).map { slots.entries(of: identifier, in: $0) } }
    }

    /// Opens a block, keeps it, and looks in it.
    ///
    /// - Throws: ``FormatError``, `damaged`; nothing is kept then.
    func entries(
        of identifier: Hash256, in name: Name, opening sealed: [UInt8], of blocks: IndexRunBlocks, packCount: Int
    ) throws(FormatError) -> Found {
        try slots.withLock { slots throws(FormatError) in
            if let slot = slots.find(name) { return slots.entries(of: identifier, in: slot) }
            return slots.entries(
                of: identifier, in: try slots.open(name, sealed, of: blocks, packCount: packCount))
        }
    }

    // Safety: the memory is this object's own; every use of the object is under the lock.
    @safe private final class Slots {
        private static let slotByteCount = IndexRunLayout.blockEntryCount * IndexEntry.byteCount
        private let room = UnsafeMutableRawBufferPointer.allocate(
            byteCount: BlockCache.blockLimit * slotByteCount, alignment: 64)
        private let cipher = AuthenticatedCipher()
        private var places: [Name: Int] = [:]
        private var names = [Name?](repeating: nil, count: BlockCache.blockLimit)
        private var byteCounts = [Int](repeating: 0, count: BlockCache.blockLimit)
        private var wasUsed = [Bool](repeating: false, count: BlockCache.blockLimit)
        private var hand = 0

        deinit { unsafe room.deallocate() }

        func find(_ name: Name) -> Int? {
            guard let slot = places[name] else { return nil }
            wasUsed[slot] = true
            return slot
        }

        func open(
            _ name: Name, _ sealed: [UInt8], of blocks: IndexRunBlocks, packCount: Int
        ) throws(FormatError) -> Int {
            // The clock: whatever was used since the hand last passed stays for another round.
            while wasUsed[hand] {
                wasUsed[hand] = false
                hand = (hand + 1) % BlockCache.blockLimit
            }
            let slot = hand
            hand = (hand + 1) % BlockCache.blockLimit
            if let old = names[slot] { places[old] = nil }
            names[slot] = nil
            let count = blocks.entryCount(ofBlock: Int(name.block)) * IndexEntry.byteCount
            let start = slot * Slots.slotByteCount
            // Safety: a block has at most as many entries as a slot.
            let output = unsafe UnsafeMutableRawBufferPointer(rebasing: room[start..<start + count])
            do {
                try unsafe sealed.withUnsafeBytes { sealed in
                    try unsafe blocks.open(
                        block: Int(name.block), sealed, packCount: packCount, cipher: cipher, into: output)
                }
            } catch let error as FormatError { throw error } catch { preconditionFailure("only a format error comes") }
            names[slot] = name
            places[name] = slot
            byteCounts[slot] = count
            wasUsed[slot] = true
            return slot
        }

        func entries(of identifier: Hash256, in slot: Int) -> Found {
            let start = slot * Slots.slotByteCount
            // Safety: the slot holds an opened block of that many bytes, and nobody changes it under the lock.
            let entries = unsafe IndexBlockEntries(
                UnsafeRawBufferPointer(rebasing: room[start..<start + byteCounts[slot]]))
            var found = Found()
            for position in entries.positions(of: identifier) {
                let entry = entries[position]
                found.append(Place(pack: entry.pack, ordinal: entry.ordinal))
            }
            return found
        }
    }
}
