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
    private let cache = Mutex(Cache())
    private let extra = Mutex<[Hash256: [BlobPlace]]>([:])
    /// What could not be read, one sentence each: the index still works, from the packs' own directories.
    package let notes: [String]

    /// Opens the runs of a view, and lists packs that no readable run covers from their own directories.
    ///
    /// - Parameter shelf: reads directories.
    /// - Throws: ``RepositoryError``, `storage` or `roleLacksKey`; a damaged run is a note, since packs say it all
    ///   again.
    package init(_ access: ObjectAccess, view: RepositoryView, keys: RepositoryKeys, shelf: PackShelf) async throws {
        self.access = access
        let indexKey = try keys.indexKey()
        var live = Set(view.packs.map(\.key))
        var covered = Set<ObjectKey>()
        var runs: [Run] = []
        var notes: [String] = []
        var seen = Set<ObjectKey>()
        for key in view.runs.map(\.key) + view.generation where seen.insert(key).inserted {
            guard !view.condemned.contains(Ledger.Condemned(kind: .indexRun, key: key)) else { continue }
            do {
                let fence = try await ChunkIndex.fence(key, access, repository: keys.repository, indexKey: indexKey)
                runs.append(Run(name: key.runName, fence: fence))
                covered.formUnion(fence.packs)
            } catch let error as RepositoryError where error.code == .damaged { notes.append(error.sentence) }
        }
        let generation = Set(view.generation)
        for run in runs where generation.contains(where: { $0.runName == run.name }) {
            live.formUnion(
                run.fence.packs.filter { !view.condemned.contains(Ledger.Condemned(kind: .pack, key: $0)) })
        }
        self.runs = runs
        livePacks = live
        var uncovered: [(ObjectKey, [PackEntry])] = []
        for pack in view.packs where !covered.contains(pack.key) {
            do { uncovered.append((pack.key, try await shelf.contents(of: pack.key).entries)) } catch let error
                as RepositoryError where error.code == .damaged
            {
                notes.append(error.sentence)
            }
        }
        self.notes = notes
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

    /// Whether a blob stands in a pack that counts.
    package func contains(_ identifier: Hash256) async throws -> Bool {
        if extra.withLock({ $0[identifier] != nil }) { return true }
        for index in runs.indices where try await !places(identifier, run: index).isEmpty { return true }
        return false
    }

    /// Every place where a blob stands, in ascending generation; empty when it stands nowhere.
    package func places(of identifier: Hash256) async throws -> [BlobPlace] {
        var places = extra.withLock { $0[identifier] ?? [] }
        for index in runs.indices { places += try await self.places(identifier, run: index) }
        var seen = Set<BlobPlace>()
        return places.filter { seen.insert($0).inserted }.sorted { $0.pack.generation < $1.pack.generation }
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
            let entries = try await self.block(BlockName(run: index, block: block))
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
