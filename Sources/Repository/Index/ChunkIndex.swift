package import BackupModel
import ChunkEncryption
package import RepositoryFormat
import Synchronization

/// Where every blob of a repository stands: the runs that count, and packs that no run lists yet (design §4.11).
///
/// A multimap: an id may stand in many packs, and whoever reads tries every copy. Runs are read block by block through
/// a bounded cache: ``cachedBlockLimit`` blocks of at most 400 entries. May be used from several tasks at once.
package final class ChunkIndex: Sendable {
    /// Blocks kept in memory, about 16 KiB each: 32 MiB in all.
    package static let cachedBlockLimit = 2048

    private struct BlockName: Hashable {
        let run: Int
        let block: Int
    }

    private struct Run {
        let name: String
        let fence: IndexRunFence
    }

    private struct Cache {
        var blocks: [BlockName: [IndexEntry]] = [:]
        var order: [BlockName] = []
    }

    private let access: ObjectAccess
    private let runs: [Run]
    /// Packs that count: entries of others are left out, however they came into a run.
    private let livePacks: Set<ObjectKey>
    /// Sizes of packs as their writers stated them.
    private let packByteCounts: [ObjectKey: UInt64]
    /// Packs that were looked for, and whether they are there.
    private let presence = Mutex<[ObjectKey: Bool]>([:])
    private let cache = Mutex(Cache())
    private let extra = Mutex<[Hash256: [BlobPlace]]>([:])
    private let shelf: PackShelf
    private let trouble: Mutex<Trouble>

    private struct Trouble {
        var findings: [RepositoryFinding]
        /// Runs with a damaged block: their packs' own directories are listed instead.
        var replacedRuns = Set<Int>()
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
    /// - Throws: ``RepositoryError``, `storage` or `roleLacksKey`; a damaged run is a finding, since packs say it all
    ///   again.
    package init(
        _ access: ObjectAccess, view: RepositoryView, keys: RepositoryKeys, shelf: PackShelf,
        salvaged: [Inventory.Pack] = []
    ) async throws {
        self.access = access
        packByteCounts = Dictionary(view.packs.map { ($0.key, $0.byteCount) }) { first, _ in first }
        self.shelf = shelf
        let packs = view.packs + salvaged
        let indexKey = try keys.indexKey()
        var live = Set(packs.map(\.key))
        var covered = Set<ObjectKey>()
        var runs: [Run] = []
        var findings: [RepositoryFinding] = []
        var seen = Set<ObjectKey>()
        for key in view.runs.map(\.key) + view.generation where seen.insert(key).inserted {
            guard !view.condemned.contains(Ledger.Condemned(kind: .indexRun, key: key)) else { continue }
            do {
                let fence = try await ChunkIndex.fence(key, access, repository: keys.repository, indexKey: indexKey)
                runs.append(Run(name: key.runName, fence: fence))
                covered.formUnion(fence.packs)
            } catch let error as RepositoryError where error.isAboutBytes {
                findings.append(RepositoryFinding(object: key.runName, sentence: error.sentence))
            }
        }
        let generation = Set(view.generation)
        for run in runs where generation.contains(where: { $0.runName == run.name }) {
            live.formUnion(
                run.fence.packs.filter { !view.condemned.contains(Ledger.Condemned(kind: .pack, key: $0)) })
        }
        self.runs = runs
        livePacks = live
        var uncovered: [(ObjectKey, [PackEntry])] = []
        for pack in packs where !covered.contains(pack.key) {
            do { uncovered.append((pack.key, try await shelf.contents(of: pack.key).entries)) } catch let error
                as RepositoryError where error.isAboutBytes
            {
                findings.append(RepositoryFinding(object: pack.key.packName, sentence: error.sentence))
            }
        }
        trouble = Mutex(Trouble(findings: findings))
        for (key, entries) in uncovered { add(key, entries: entries) }
    }

    private static func fence(
        _ key: ObjectKey, _ access: ObjectAccess, repository: RepositoryID, indexKey: SecretBytes
    ) async throws -> IndexRunFence {
        let name = key.runName
        let size = try await access.byteCount(name)
        guard let size, size >= UInt64(ObjectHeader.byteCount + IndexRunLayout.footerByteCount),
            size <= UInt64(FormatLimits.objectByteCount)
        else { throw RepositoryError(.damaged, "the index run \(name) is missing or cut short", .repair) }
        let count = Int(size)
        let front = try await access.bytes(name, range: 0..<ObjectHeader.byteCount)
        let footer = try await access.bytes(name, range: (count - IndexRunLayout.footerByteCount)..<count)
        return try await RepositoryError.translating {
            let tailCount = try IndexRunFence.tailByteCount(footer: footer[...], name: name)
            guard tailCount <= count - ObjectHeader.byteCount else {
                throw FormatError.damaged("the footer of \(name) does not fit the run of \(count) bytes")
            }
            let tail = try await access.bytes(name, range: (count - tailCount)..<count)
            return try IndexRunFence(
                front: front[...], tail: tail[...], runByteCount: count, repository: repository, indexKey: indexKey,
                name: name)
        }
    }

    /// Lists a pack by entries that are at hand.
    package func add(_ key: ObjectKey, entries: [PackEntry]) {
        extra.withLock { extra in
            for (ordinal, entry) in entries.enumerated() where entry.kind != .padding {
                extra[entry.identifier, default: []].append(BlobPlace(pack: key, ordinal: ordinal))
            }
        }
    }

    /// Whether a new point may lean on a blob: it stands in a pack that counts, and that is there with its size.
    ///
    /// A pack that is gone or cut short counts for nothing, so that what it held is stored again while the guest still
    /// has it. Each pack is asked for once; whether its bytes are right is for a verification to say.
    package func contains(_ identifier: Hash256) async throws -> Bool {
        for place in extra.withLock({ $0[identifier] ?? [] }) where try await isThere(place.pack) { return true }
        for index in runs.indices {
            for place in try await places(identifier, run: index) where try await isThere(place.pack) { return true }
        }
        // A damaged run may have been replaced by what packs say themselves, meanwhile.
        for place in extra.withLock({ $0[identifier] ?? [] }) where try await isThere(place.pack) { return true }
        return false
    }

    private func isThere(_ pack: ObjectKey) async throws -> Bool {
        if let known = presence.withLock({ $0[pack] }) { return known }
        let byteCount = try await access.byteCount(pack.packName)
        let isThere = byteCount != nil && (packByteCounts[pack] ?? byteCount) == byteCount
        let isFirst = presence.withLock { $0.updateValue(isThere, forKey: pack) == nil }
        if !isThere, isFirst {
            let what = byteCount == nil ? "is missing" : "has \(byteCount ?? 0) bytes, not those it was stored with"
            trouble.withLock {
                $0.findings.append(
                    RepositoryFinding(
                        object: pack.packName,
                        sentence: "\(pack.packName) \(what); what is met of it now is stored again, and `dozo verify` "
                            + "says which points suffer"))
            }
        }
        return isThere
    }

    /// Every place where a blob stands, in ascending generation; empty when it stands nowhere.
    package func places(of identifier: Hash256) async throws -> [BlobPlace] {
        var places: [BlobPlace] = []
        for index in runs.indices { places += try await self.places(identifier, run: index) }
        places += extra.withLock { $0[identifier] ?? [] }
        var seen = Set<BlobPlace>()
        return places.filter { seen.insert($0).inserted }.sorted { $0.pack.generation < $1.pack.generation }
    }

    /// The ids of all blobs that stand in some packs, by pack. Reads every block of the runs that name them.
    package func identifiers(in packs: Set<ObjectKey>) async throws -> [ObjectKey: [Hash256]] {
        var found: [ObjectKey: Set<Hash256>] = [:]
        for index in runs.indices where !runs[index].fence.packs.allSatisfy({ !packs.contains($0) }) {
            for block in runs[index].fence.firstIdentifiers.indices {
                for entry in try await entries(BlockName(run: index, block: block)) {
                    let pack = runs[index].fence.packs[Int(entry.pack)]
                    if packs.contains(pack) { found[pack, default: []].insert(entry.identifier) }
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

    /// The entries of a block; none of a run that is damaged, once its packs have been listed by themselves.
    private func entries(_ name: BlockName) async throws -> [IndexEntry] {
        if trouble.withLock({ $0.replacedRuns.contains(name.run) }) { return [] }
        do { return try await block(name) } catch let error as RepositoryError where error.isAboutBytes {
            try await replace(name.run, because: error)
            return []
        }
    }

    /// Lists the packs of a damaged run from their own directories, for the rest of this index's life.
    private func replace(_ run: Int, because error: RepositoryError) async throws {
        var findings = [RepositoryFinding(object: runs[run].name, sentence: error.sentence)]
        for pack in runs[run].fence.packs where livePacks.contains(pack) {
            do { add(pack, entries: try await shelf.contents(of: pack).entries) } catch let error as RepositoryError
                where error.isAboutBytes
            {
                findings.append(RepositoryFinding(object: pack.packName, sentence: error.sentence))
            }
        }
        trouble.withLock { trouble in
            // Two that met the damage at once both list the packs; a place counts once however often it is listed.
            guard trouble.replacedRuns.insert(run).inserted else { return }
            trouble.findings += findings
        }
    }

    private func places(_ identifier: Hash256, run index: Int) async throws -> [BlobPlace] {
        let fence = runs[index].fence
        let firsts = fence.firstIdentifiers
        // The first block that begins above the id; entries of one id may reach over a block's end, so go back from
        // there.
        var low = 0
        var high = firsts.count
        while low < high {
            let middle = (low + high) / 2
            if firsts[middle] <= identifier { low = middle + 1 } else { high = middle }
        }
        var places: [BlobPlace] = []
        var block = low - 1
        while block >= 0 {
            let entries = try await entries(BlockName(run: index, block: block))
            for entry in entries where entry.identifier == identifier {
                let pack = fence.packs[Int(entry.pack)]
                if livePacks.contains(pack) { places.append(BlobPlace(pack: pack, ordinal: Int(entry.ordinal))) }
            }
            guard firsts[block] == identifier else { break }
            block -= 1
        }
        return places
    }

    private func block(_ name: BlockName) async throws -> [IndexEntry] {
        if let entries = cache.withLock({ $0.blocks[name] }) { return entries }
        let run = runs[name.run]
        let sealed = try await access.bytes(run.name, range: run.fence.byteRange(ofBlock: name.block))
        let entries = try await RepositoryError.translating { try run.fence.open(block: name.block, sealed) }
        cache.withLock { cache in
            guard cache.blocks[name] == nil else { return }
            if cache.order.count >= ChunkIndex.cachedBlockLimit {
                // Oldest half at once: no list to keep in order on every hit.
                for old in cache.order.prefix(ChunkIndex.cachedBlockLimit / 2) { cache.blocks[old] = nil }
                cache.order.removeFirst(ChunkIndex.cachedBlockLimit / 2)
            }
            cache.blocks[name] = entries
            cache.order.append(name)
        }
        return entries
    }
}
