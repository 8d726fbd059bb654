import BackupModel
import RepositoryFormat
import Synchronization

// Merging
// -------
// Every backup adds a run or more, and a look-up asks all of them. So that their number grows with the logarithm of
// what is stored, a session merges runs of about one size once there are enough (size-tiered merging, as in P. O'Neil
// et al., "The Log-Structured Merge-Tree", 1996). Nothing is lost by it: readers pass the merged runs over only while
// the new one is whole, and a sweep deletes them later. Two hosts that merge the same runs at the same time waste work,
// nothing else; each waits for a number of runs of its own.

/// Merges runs of the index into one with parts (format page §9).
package struct IndexMerge {
    /// Runs of about one size that are merged; a session waits for up to twice as many.
    package static let width = 4
    /// Entries of the smallest size that is told apart from the next.
    package static let smallestTier = 1 << 13
    /// Most entries of one merge: it reads and writes 640 MiB.
    package static let entryLimit = 1 << 24
    /// Entries of one part: composing it takes about 30 MiB of memory.
    package static let partEntryCount = 1 << 18
    /// Blocks read at once from each run.
    static let blocksPerRead = 128

    /// Of the packs that all runs name so many are gone when runs are merged to be rid of their names: a quarter.
    static let goneShare = 4

    /// What a group weighs.
    package struct Weight {
        let entryCount: Int
        let (packCount, goneCount): (Int, Int)

        /// Entries of a group, packs that it names, and those of them that will never be needed again.
        package init(entryCount: Int, packCount: Int, goneCount: Int) {
            self.entryCount = entryCount
            (self.packCount, self.goneCount) = (packCount, goneCount)
        }
    }

    let index: ChunkIndex
    let access: ObjectAccess
    /// Packs that are left out, with what stands in them.
    let gone: Set<ObjectKey>
    /// Runs that something still names.
    let named: Set<Hash256>
    /// Composes a run from entries, packs, the runs it merges and its other parts, and puts it.
    let put: ([IndexEntry], [ObjectKey], [Hash256], [Hash256]) async throws -> PutRun

    /// Which of some groups to merge, by their numbers of entries; empty when it is not time.
    ///
    /// - Parameter width: groups of one tier that are enough; a tier spans a factor of ``width``.
    package static func choice(_ entryCounts: [Int], width: Int) -> [Int] {
        var tiers: [Int: [Int]] = [:]
        for (position, count) in entryCounts.enumerated() where count <= entryLimit / 2 {
            var tier = 0
            var size = smallestTier * IndexMerge.width
            while count >= size {
                tier += 1
                size *= IndexMerge.width
            }
            tiers[tier, default: []].append(position)
        }
        for (_, members) in tiers.sorted(by: { $0.key < $1.key }) where members.count >= width {
            var chosen: [Int] = []
            var sum = 0
            for position in members.sorted(by: { entryCounts[$0] < entryCounts[$1] }) {
                guard sum + entryCounts[position] <= entryLimit else { break }
                chosen.append(position)
                sum += entryCounts[position]
            }
            if chosen.count > 1 { return chosen.sorted() }
        }
        return []
    }

    /// Which of some groups a sweep merges, by their places in the list: what is of one size, and what names many packs
    /// that are gone.
    package static func due(_ groups: [Weight]) -> [Int] {
        // What names nothing else is not merged: it goes as it is.
        let counts = groups.map { $0.goneCount < $0.packCount ? $0.entryCount : .max }
        var chosen = Set(choice(counts, width: width))
        let (packs, gone) = groups.reduce((0, 0)) { ($0.0 + $1.packCount, $0.1 + $1.goneCount) }
        guard gone > 0, gone * goneShare >= packs else { return chosen.sorted() }
        var sum = chosen.reduce(0) { $0 + counts[$1] }
        let stale = counts.indices.filter { groups[$0].goneCount > 0 && counts[$0] < .max && !chosen.contains($0) }
        for position in stale.sorted(by: { counts[$0] < counts[$1] }) where sum + counts[position] <= entryLimit {
            chosen.insert(position)
            sum += counts[position]
        }
        return chosen.sorted()
    }

    /// Merges groups into one and puts it.
    ///
    /// - Returns: its parts, the head last; none when nothing but what is gone stands in the groups.
    /// - Throws: ``RepositoryError``: `storage`, `damaged` when a run cannot be read; `CancellationError`.
    func merged(_ groups: [IndexGroup]) async throws -> [PutRun] {
        var packs: [ObjectKey] = []
        var numbers: [UInt32: UInt32] = [:]
        let facts = index.table.withLock { table in groups.flatMap(\.packs).map { ($0, table[$0].key) } }
        for (number, key) in facts where numbers[number] == nil && !gone.contains(key) {
            numbers[number] = UInt32(packs.count)
            packs.append(key)
        }
        var cursors = groups.map { IndexCursor(group: $0, access: access, numbers: numbers) }
        for index in cursors.indices { try await cursors[index].advance() }
        var parts: [PutRun] = []
        var entries: [IndexEntry] = []
        entries.reserveCapacity(IndexMerge.partEntryCount + IndexRunLayout.blockEntryCount)
        while let next = IndexMerge.least(of: cursors) {
            try Task.checkCancellation()
            // All places of one id stay in one part.
            if entries.count >= IndexMerge.partEntryCount, let last = entries.last, last.identifier != next {
                parts.append(try await put(entries, [], [], []))
                entries.removeAll(keepingCapacity: true)
            }
            let first = entries.count
            for index in cursors.indices {
                while let entry = cursors[index].current, entry.identifier == next {
                    entries.append(entry)
                    try await cursors[index].advance()
                }
            }
            if entries.count - first > 1 {
                let places = Set(entries[first...]).sorted()
                entries.replaceSubrange(first..., with: places)
            }
        }
        guard !entries.isEmpty else { return [] }
        // What those have merged is still named, until a sweep lets it go.
        let earlier = groups.flatMap(\.merged).filter { named.contains($0) }
        parts.append(try await put(entries, packs, groups.flatMap(\.runs) + earlier, parts.map(\.key.hash)))
        return parts
    }

    /// The lowest id that some cursors stand at; `nil` when all are at their ends.
    static func least(of cursors: [IndexCursor]) -> Hash256? {
        var least: Hash256?
        for cursor in cursors {
            guard let current = cursor.current?.identifier else { continue }
            if least.map({ current < $0 }) ?? true { least = current }
        }
        return least
    }
}

extension WritingSession {
    /// Merges what is due and puts it. - Returns: the runs for the next entry to name; none when nothing is due, or
    /// when what is due cannot be read or put: then it stays as it is, and no backup fails for it.
    ///
    /// - Throws: `CancellationError`, when cancelled meanwhile; who was cancelled before merges nothing.
    func mergeWhatIsDue() async throws -> [Inventory.Run] {
        // The last words of a session that was interrupted are short.
        guard !Task.isCancelled else { return [] }
        let groups = index.groups
        // Hosts that begin at the same hour do not all take up the same merge.
        let width = IndexMerge.width + Int(session.bytes.first ?? 0) % IndexMerge.width
        let chosen = IndexMerge.choice(groups.map(\.entryCount), width: width).map { groups[$0] }
        guard !chosen.isEmpty else { return [] }
        let merge = IndexMerge(
            index: index, access: repository.access,
            // Wording F: freshly condemned packs stay until their verdict.
            gone: Set(view.log.ledger?.condemnedCarried.filter { $0.kind == .pack }.map(\.key) ?? []),
            named: Set((view.runs.map(\.key) + view.generation).map(\.hash)).union(ownRuns),
            put: { try await self.put($0, packs: $1, merged: $2, parts: $3) })
        do {
            let runs = try await merge.merged(chosen)
            index.take(runs, isOwn: false, replacing: Set(chosen.map(\.head)))
            return runs.map(\.listed)
        } catch let error as RepositoryError {
            addLateNote("index runs were not merged: \(error.sentence)")
            return []
        }
    }
}

/// Walks through the entries of a group in their order, and gives them the pack numbers of a merge.
struct IndexCursor {
    private let group: IndexGroup
    private let access: ObjectAccess
    private let numbers: [UInt32: UInt32]
    private var part = 0
    private var block = 0
    private var entries: [IndexEntry] = []
    private var position = 0
    /// The entry it stands at; `nil` before the first and behind the last.
    private(set) var current: IndexEntry?

    init(group: IndexGroup, access: ObjectAccess, numbers: [UInt32: UInt32]) {
        self.group = group
        self.access = access
        self.numbers = numbers
    }

    /// Goes to the next entry whose pack is kept.
    ///
    /// - Throws: ``RepositoryError``, `damaged` when a block is.
    mutating func advance() async throws {
        while true {
            while position < entries.count {
                let entry = entries[position]
                position += 1
                if let pack = numbers[group.packs[Int(entry.pack)]] {
                    current = IndexEntry(identifier: entry.identifier, pack: pack, ordinal: entry.ordinal)
                    return
                }
            }
            guard try await read() else {
                current = nil
                return
            }
        }
    }

    /// Reads the next blocks. - Returns: `false` at the end.
    private mutating func read() async throws -> Bool {
        while part < group.parts.count, block >= group.parts[part].blocks.count {
            part += 1
            block = 0
        }
        guard part < group.parts.count else { return false }
        entries = try await group.parts[part].entries(
            ofBlocks: block..<min(block + IndexMerge.blocksPerRead, group.parts[part].blocks.count), access,
            packCount: group.packs.count)
        block += IndexMerge.blocksPerRead
        position = 0
        return true
    }
}

extension IndexPart {
    /// The entries of consecutive blocks, read at once.
    ///
    /// - Throws: ``RepositoryError``, `damaged` when a block is.
    func entries(ofBlocks range: Range<Int>, _ access: ObjectAccess, packCount: Int) async throws -> [IndexEntry] {
        let start = blocks.byteRange(ofBlock: range.lowerBound).lowerBound
        let sealed = try await access.bytes(
            object, range: start..<blocks.byteRange(ofBlock: range.upperBound - 1).upperBound)
        return try await RepositoryError.translating {
            var entries: [IndexEntry] = []
            entries.reserveCapacity(range.count * IndexRunLayout.blockEntryCount)
            for block in range {
                let place = blocks.byteRange(ofBlock: block)
                entries += try blocks.open(
                    block: block, Array(sealed[(place.lowerBound - start)..<(place.upperBound - start)]),
                    packCount: packCount)
            }
            return entries
        }
    }
}
