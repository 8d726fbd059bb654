package import BackupModel
import ChunkEncryption
package import RepositoryFormat
import Synchronization

/// Where every blob of a repository stands: the runs that count, and packs that no run lists yet (design §4.11).
///
/// A multimap: an id may stand in many packs, and whoever reads tries every copy. A look-up asks the directories of
/// packs that were hit lately (neighbours in an image are neighbours in a pack: B. Zhu, K. Li and H. Patterson,
/// "Avoiding the Disk Bottleneck in the Data Domain Deduplication File System", 2008), then each group of runs behind
/// its filter.
///
/// Memory: 16 MB of opened blocks, 3 MiB of recent directories, 8 bytes for each 50 entries, 140 for each pack. May be
/// used from several tasks at once.
package final class ChunkIndex: Sendable {
    /// Entries up to which the packs of a damaged run are listed at once by their own directories.
    static let listedEntryLimit = IndexRunLayout.entryLimit

    let access: ObjectAccess
    let keys: RepositoryKeys
    let shelf: PackShelf
    /// Runs that others are merged from: asked only when an id that must be somewhere is missed.
    let passedOver: [ObjectKey]
    /// Runs that count and cannot be used, and packs that no readable run lists: what a session makes good.
    let lostRuns: [ObjectKey]
    let unlistedPacks: [ObjectKey]
    /// Whether there are more of them, which could not be asked at the moment what they hold.
    let missesDirectories: Bool
    /// All runs that count, whether or not they are asked.
    let countedRuns: [ObjectKey]
    /// Packs that count as absent.
    private let condemned: Set<ObjectKey>
    let table: Mutex<PackTable>
    private let blocks = BlockCache()
    private let recent = RecentPacks()
    private let groupList: Mutex<IndexProbe>
    /// Packs that no readable run lists.
    private let extra = Mutex<[Hash256: [BlobPlace]]>([:])
    let trouble: Mutex<Trouble>
    private let reopened = Mutex<[IndexGroup]?>(nil)

    struct Trouble {
        var findings: [RepositoryFinding]
        /// Blocks that were damaged, and groups whose packs were all listed instead.
        var replacedBlocks = Set<BlockCache.Name>()
        var replacedGroups = Set<ObjectKey>()
        var nextRun: UInt32
    }

    /// What could not be read: the index still works, from the packs' own directories.
    package var findings: [RepositoryFinding] { trouble.withLock { $0.findings } }
    /// The sentences of ``findings``.
    package var notes: [String] { findings.map(\.sentence) }

    /// Opens the runs of a view, and lists packs that no readable run covers from their own directories.
    ///
    /// - Parameters:
    ///   - shelf: reads directories.
    ///   - salvaged: packs besides those that count.
    ///   - filters: this host's filters of runs; `nil` goes without.
    ///   - damage: packs that no new point leans on, though they are read from, and runs that are taken for lost.
    /// - Throws: ``RepositoryError``, `storage` or `roleLacksKey`; a damaged run is a finding, since packs say it all
    ///   again.
    package init(
        _ access: ObjectAccess, view: RepositoryView, keys: RepositoryKeys, shelf: PackShelf,
        salvaged: [Inventory.Pack] = [], filters: IndexFilterFolder? = nil,
        damage: HostState.Damage = HostState.Damage()
    ) async throws {
        self.access = access
        self.keys = keys
        self.shelf = shelf
        var opening = try IndexOpening(
            access, view: view, keys: keys, filters: filters, damaged: damage.runs)
        try await opening.readRuns()
        groupList = Mutex(IndexProbe(opening.groups.sorted { $0.entryCount > $1.entryCount }))
        passedOver = opening.passedOver
        countedRuns = opening.wanted.sorted()
        condemned = Set(view.condemned.filter { $0.kind == .pack }.map(\.key))
        var uncovered = try await opening.listUncovered(view.packs + salvaged, shelf: shelf)
        uncovered += try await opening.listTakenOver(shelf: shelf)
        lostRuns = opening.lostRuns
        unlistedPacks = uncovered.map(\.0)
        missesDirectories = opening.missesDirectories
        trouble = Mutex(Trouble(findings: opening.findings, nextRun: opening.nextRun))
        var table = opening.table
        for key in damage.packs { table[table.number(of: key)].presence = .gone }
        self.table = Mutex(table)
        for (key, entries) in uncovered { add(key, entries: entries) }
    }

    /// The groups of runs that are asked, the largest first: most of what is looked for is there.
    var groups: [IndexGroup] { groupList.withLock { $0.groups } }
    /// The same with their filters; one that was built meanwhile is among them.
    private var probed: IndexProbe { groupList.withLock { $0 } }
    /// Takes note of filters that parts have by now.
    func takeFilters() { groupList.withLock { $0 = IndexProbe($0.groups) } }
    /// What is known of every pack that an outcome or a run names.
    var knownPacks: [PackTable.Facts] { table.withLock { $0.facts } }

    /// Packs that any run names which counts, also one that others were merged from; `nil` when one of those cannot be
    /// read at the moment, or any more.
    func namedPacks() async throws -> Set<ObjectKey>? {
        let earlier = try await mergedGroups()
        let read = Set(earlier.flatMap(\.parts).map(\.key))
        guard passedOver.allSatisfy(read.contains) else { return nil }
        let numbers = Set((groups + earlier).flatMap(\.packs))
        return table.withLock { table in Set(numbers.map { table[$0].key }) }
    }

    /// Packs that a run names which is asked.
    var listedPacks: Set<ObjectKey> {
        let numbers = Set(groups.flatMap(\.packs))
        return table.withLock { table in Set(numbers.map { table[$0].key }) }
    }

    /// Entries of each group that is asked: so many look-ups a chunk costs at most.
    package var groupEntryCounts: [Int] { groups.map(\.entryCount) }
    /// Names of the runs that are asked, in ascending order of ids within a group.
    package var askedRuns: [String] { groups.flatMap(\.parts).map(\.key.runName) }

    // MARK: Adding

    /// Lists a pack by entries that are at hand.
    package func add(_ key: ObjectKey, entries: [PackEntry]) {
        add(key, entries: entries, where: { _ in true })
    }

    private func add(_ key: ObjectKey, entries: [PackEntry], where isWanted: (Hash256) -> Bool) {
        extra.withLock { extra in
            for (ordinal, entry) in entries.enumerated() where entry.kind != .padding && isWanted(entry.identifier) {
                extra[entry.identifier, default: []].append(BlobPlace(pack: key, ordinal: ordinal))
            }
        }
    }

    /// Takes a run that this session has put, with its parts.
    ///
    /// - Parameters:
    ///   - runs: the parts in ascending order, the head last.
    ///   - isOwn: whether the packs are this session's own, and so are there. What is condemned is listed until its
    ///     verdict, and leant on by nobody.
    ///   - replaced: heads of groups whose entries the run holds too.
    func take(_ runs: [PutRun], isOwn: Bool, replacing replaced: Set<ObjectKey> = []) {
        guard let head = runs.last else { return }
        let first = trouble.withLock { trouble in
            defer { trouble.nextRun += UInt32(runs.count) }
            return trouble.nextRun
        }
        let packs = table.withLock { table in
            head.fence.packs.map { key in
                let number = table.number(of: key)
                if isOwn, !condemned.contains(key) {
                    table[number].isLive = true
                    table[number].presence = .there
                }
                return number
            }
        }
        let parts = runs.enumerated().map { position, run in
            IndexPart(
                key: run.key, number: first + UInt32(position), blocks: run.fence.blocks,
                filter: run.filters[run.key.hash])
        }
        let group = IndexGroup(head: head.key, parts: parts, packs: packs, merged: head.fence.merged)
        groupList.withLock { list in
            var groups = list.groups
            groups.removeAll { replaced.contains($0.head) }
            groups.insert(group, at: groups.firstIndex { $0.entryCount <= group.entryCount } ?? groups.endIndex)
            list = IndexProbe(groups)
        }
    }

    // MARK: Looking up

    /// Whether a new point may lean on a blob: it stands in a pack that counts, and that is there with its size.
    ///
    /// A pack that is gone or cut short counts for nothing, so that what it held is stored again while the guest still
    /// has it. Each pack is asked for once; whether its bytes are right is for a verification to say.
    package func contains(_ identifier: Hash256) async throws -> Bool {
        if let pack = recent.pack(of: identifier), try await isThere(pack) { return true }
        for place in extra.withLock({ $0[identifier] ?? [] }) where try await isThere(place.pack) { return true }
        let probe = probed
        probe.expect(identifier)
        var position = IndexProbe.Position()
        while let candidate = probe.next(identifier, from: &position) {
            let group = probe.groups[candidate.group]
            let part = group.parts[candidate.part]
            guard let number = try await countedPack(of: identifier, in: part, group) else { continue }
            try await recent.hit(table.withLock { $0[number].key }, shelf: shelf)
            return true
        }
        // A damaged run may have been replaced by what packs say themselves, meanwhile.
        for place in extra.withLock({ $0[identifier] ?? [] }) where try await isThere(place.pack) { return true }
        return false
    }

    /// The first pack that counts and is there, of those that a part names for an id.
    private func countedPack(
        of identifier: Hash256, in part: IndexPart, _ group: IndexGroup
    ) async throws -> UInt32? {
        for block in part.blocks.candidates(for: identifier) {
            let name = BlockCache.Name(run: part.number, block: UInt32(block))
            for entry in try await found(identifier, name, part, group) {
                let number = group.packs[Int(entry.pack)]
                guard table.withLock({ $0[number].isLive }), try await isThere(number) else { continue }
                return number
            }
        }
        return nil
    }

    private func isThere(_ pack: ObjectKey) async throws -> Bool {
        try await isThere(table.withLock { $0.number(of: pack) })
    }

    private func isThere(_ number: UInt32) async throws -> Bool {
        let known = table.withLock { $0[number] }
        if known.presence != .unknown { return known.presence == .there }
        let byteCount = try await access.byteCount(known.key.packName)
        let isThere = byteCount != nil && (known.byteCount == 0 || known.byteCount == byteCount)
        let isFirst = table.withLock { table in
            defer { table[number].presence = isThere ? .there : .gone }
            return table[number].presence == .unknown
        }
        if !isThere, isFirst {
            let what = byteCount == nil ? "is missing" : "has \(byteCount ?? 0) bytes, not those it was stored with"
            report(
                RepositoryFinding(
                    object: known.key.packName,
                    sentence: "\(known.key.packName) \(what); what is met of it now is stored again, and "
                        + "`dozo verify` says which points suffer"))
        }
        return isThere
    }

    private func report(_ finding: RepositoryFinding) { trouble.withLock { $0.findings.append(finding) } }

    /// Every place where a blob stands, in ascending generation; empty when it stands nowhere.
    ///
    /// An id that is missed is asked for again, without filters and in the runs that others were merged from: a filter
    /// may be damaged, and a merge may have left something out. One that stands in condemned packs alone is read from
    /// them, for they may be pardoned (format page §12); nothing new leans on them.
    package func places(of identifier: Hash256) async throws -> Few<BlobPlace> {
        let places = try await places(of: identifier, where: \.isLive)
        return places.isEmpty ? try await self.places(of: identifier) { _ in true } : places
    }

    /// As ``places(of:)``, in packs that `counts` is true of.
    func places(of identifier: Hash256, where counts: (PackTable.Facts) -> Bool) async throws -> Few<BlobPlace> {
        var places = Few<BlobPlace>()
        let probe = probed
        probe.expect(identifier)
        var position = IndexProbe.Position()
        while let candidate = probe.next(identifier, from: &position) {
            let group = probe.groups[candidate.group]
            try await add(&places, of: identifier, in: group.parts[candidate.part], group, where: counts)
        }
        if places.isEmpty {
            for group in groups { try await add(&places, of: identifier, unfiltered: group, where: counts) }
            for group in try await mergedGroups() {
                try await add(&places, of: identifier, unfiltered: group, where: counts)
            }
        }
        for place in extra.withLock({ $0[identifier] }) ?? [] { places.append(place) }
        guard places.count > 1 else { return places }
        var seen = Set<BlobPlace>()
        var ordered = Few<BlobPlace>()
        for place in places.sorted(by: { $0.pack.generation < $1.pack.generation }) where seen.insert(place).inserted {
            ordered.append(place)
        }
        return ordered
    }

    private func add(
        _ places: inout Few<BlobPlace>, of identifier: Hash256, unfiltered group: IndexGroup,
        where counts: (PackTable.Facts) -> Bool
    ) async throws {
        for part in group.candidates(for: identifier) {
            try await add(&places, of: identifier, in: group.parts[part], group, where: counts)
        }
    }

    /// Adds the places that count, of those that a part names for an id.
    private func add(
        _ places: inout Few<BlobPlace>, of identifier: Hash256, in part: IndexPart, _ group: IndexGroup,
        where counts: (PackTable.Facts) -> Bool
    ) async throws {
        for block in part.blocks.candidates(for: identifier) {
            let name = BlockCache.Name(run: part.number, block: UInt32(block))
            for entry in try await found(identifier, name, part, group) {
                let pack = table.withLock { $0[group.packs[Int(entry.pack)]] }
                if counts(pack) { places.append(BlobPlace(pack: pack.key, ordinal: Int(entry.ordinal))) }
            }
        }
    }

    /// The groups of runs that were passed over, as far as they can be read.
    func mergedGroups() async throws -> [IndexGroup] {
        guard !passedOver.isEmpty else { return [] }
        if let groups = reopened.withLock({ $0 }) { return groups }
        let groups = try await IndexOpening.groups(
            of: passedOver, access, keys: keys, table: table, firstRun: trouble.withLock { $0.nextRun })
        trouble.withLock { $0.nextRun += UInt32(groups.reduce(0) { $0 + $1.parts.count }) }
        // Those runs count, whatever others leave out of what they made of them.
        table.withLock { table in
            for number in groups.flatMap(\.packs) where !condemned.contains(table[number].key) {
                table[number].isLive = true
            }
        }
        reopened.withLock { $0 = groups }
        return groups
    }

    /// The ids of all blobs that stand in some packs, by pack. Reads every block of the groups that name them.
    package func identifiers(in packs: Set<ObjectKey>) async throws -> [ObjectKey: [Hash256]] {
        var found: [ObjectKey: Set<Hash256>] = [:]
        for group in groups {
            let wanted = table.withLock { table in
                group.packs.map { packs.contains(table[$0].key) ? table[$0].key : nil }
            }
            guard wanted.contains(where: { $0 != nil }) else { continue }
            for part in group.parts {
                for block in 0..<part.blocks.count {
                    for entry in try await entries(BlockCache.Name(run: part.number, block: UInt32(block)), part, group)
                    {
                        if let pack = wanted[Int(entry.pack)] { found[pack, default: []].insert(entry.identifier) }
                    }
                }
            }
        }
        extra.withLock { extra in
            for (identifier, places) in extra {
                for place in places where packs.contains(place.pack) {
                    found[place.pack, default: []].insert(identifier)
                }
            }
        }
        return found.mapValues { $0.sorted() }
    }

    /// The entries of a block; none when it is damaged, once the packs themselves were asked.
    private func entries(
        _ name: BlockCache.Name, _ part: IndexPart, _ group: IndexGroup
    ) async throws -> [IndexEntry] {
        do {
            let sealed = try await sealed(name, part)
            return try await RepositoryError.translating {
                try part.blocks.open(block: Int(name.block), sealed, packCount: group.packs.count)
            }
        } catch let error as RepositoryError where error.isAboutBytes {
            try await replace(name, part, group, because: error)
            return []
        }
    }

    private func sealed(_ name: BlockCache.Name, _ part: IndexPart) async throws -> [UInt8] {
        try await access.bytes(part.object, range: part.blocks.byteRange(ofBlock: Int(name.block)))
    }

    private func found(
        _ identifier: Hash256, _ name: BlockCache.Name, _ part: IndexPart, _ group: IndexGroup
    ) async throws -> BlockCache.Found {
        if let found = blocks.entries(of: identifier, in: name) { return found }
        if trouble.withLock({ $0.replacedBlocks.contains(name) || $0.replacedGroups.contains(group.head) }) {
            return BlockCache.Found()
        }
        do {
            let sealed = try await sealed(name, part)
            return try await RepositoryError.translating {
                try blocks.entries(
                    of: identifier, in: name, opening: sealed, of: part.blocks, packCount: group.packs.count)
            }
        } catch let error as RepositoryError where error.isAboutBytes {
            try await replace(name, part, group, because: error)
            return BlockCache.Found()
        }
    }

    // MARK: Damage

    /// Lists what a damaged block held from the directories of the packs, for the rest of this index's life: of a small
    /// group everything at once, of a large one what lies between this block's first id and the next one's.
    private func replace(
        _ name: BlockCache.Name, _ part: IndexPart, _ group: IndexGroup, because error: RepositoryError
    ) async throws {
        let isSmall = group.entryCount <= ChunkIndex.listedEntryLimit
        if trouble.withLock({ $0.replacedBlocks.contains(name) || $0.replacedGroups.contains(group.head) }) { return }
        let block = Int(name.block)
        let first = part.blocks.prefixes[block]
        let last = block + 1 < part.blocks.count ? part.blocks.prefixes[block + 1] : UInt64.max
        var findings = [RepositoryFinding(object: part.blocks.name, sentence: error.sentence)]
        for number in group.packs {
            let pack = table.withLock { $0[number] }
            guard pack.isLive else { continue }
            do {
                let entries = try await shelf.contents(of: pack.key).entries
                add(pack.key, entries: entries) { isSmall || (first...last).contains($0.leadingWord) }
            } catch let error as RepositoryError where error.isAboutBytes {
                findings.append(RepositoryFinding(object: pack.key.packName, sentence: error.sentence))
            }
        }
        trouble.withLock { trouble in
            // Two that met the damage at once both list the packs; a place counts once however often it is listed.
            let isNew =
                isSmall
                ? trouble.replacedGroups.insert(group.head).inserted : trouble.replacedBlocks.insert(name).inserted
            if isNew { trouble.findings += findings }
        }
    }
}
