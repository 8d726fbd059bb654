import BackupModel
import ChunkEncryption
import RepositoryFormat
import Synchronization

/// Reads the fences of the runs that count and puts the parts of merges together (format page §9).
struct IndexOpening {
    private struct Read {
        let key: ObjectKey
        let fence: IndexRunFence
    }

    private let access: ObjectAccess
    private let view: RepositoryView
    private let keys: RepositoryKeys
    private let filters: IndexFilterFolder?
    private let indexKey: SecretBytes
    /// Runs that count, the newest first.
    let wanted: [ObjectKey]
    private(set) var groups: [IndexGroup] = []
    private(set) var passedOver: [ObjectKey] = []
    private(set) var table = PackTable()
    private(set) var findings: [RepositoryFinding] = []
    private(set) var nextRun: UInt32 = 0
    /// Runs that count and cannot be used.
    private(set) var lostRuns: [ObjectKey] = []
    /// Whether a pack that no readable run lists could not be asked at the moment.
    private(set) var missesDirectories = false
    private var covered = Set<UInt32>()
    private let damaged: Set<ObjectKey>

    /// - Parameter damaged: runs that are taken for lost.
    init(
        _ access: ObjectAccess, view: RepositoryView, keys: RepositoryKeys, filters: IndexFilterFolder?,
        damaged: Set<ObjectKey>
    ) throws {
        self.damaged = damaged
        self.access = access
        self.view = view
        self.keys = keys
        self.filters = filters
        indexKey = try keys.indexKey()
        var seen = Set<ObjectKey>()
        wanted = (view.generation + view.runs.map(\.key)).reversed().filter { key in
            seen.insert(key).inserted && !view.condemned.contains(Ledger.Condemned(kind: .indexRun, key: key))
        }
        table.reserve(view.packs.count)
        for pack in view.packs {
            let number = table.number(of: pack.key)
            table[number].byteCount = pack.byteCount
            table[number].isLive = true
        }
    }

    // MARK: Runs

    /// Reads fences, newest first, and leaves out what a run that was read says it merges; when such a run turns out to
    /// be incomplete, what it merges is read after all.
    mutating func readRuns() async throws {
        var heads: [Read] = []
        var parts: [Hash256: Read] = [:]
        var done = Set<ObjectKey>()
        var broken = Set<ObjectKey>()
        while true {
            var merged = Set<Hash256>()
            for head in heads where !broken.contains(head.key) { merged.formUnion(head.fence.merged) }
            for key in wanted where !done.contains(key) && !merged.contains(key.hash) {
                done.insert(key)
                guard !damaged.contains(key), let fence = try await fence(key) else {
                    lostRuns.append(key)
                    continue
                }
                if fence.isPart {
                    parts[key.hash] = Read(key: key, fence: fence)
                } else {
                    heads.append(Read(key: key, fence: fence))
                    merged.formUnion(fence.merged)
                }
            }
            let incomplete = heads.filter { head in
                !broken.contains(head.key) && IndexOpening.whole(head, parts: parts) == nil
            }
            if incomplete.isEmpty { break }
            for head in incomplete {
                broken.insert(head.key)
                lostRuns.append(head.key)
                findings.append(
                    RepositoryFinding(
                        object: head.key.runName,
                        sentence: "a part of the merged index run \(head.key.runName) is missing or damaged; what it "
                            + "listed is read from elsewhere"))
            }
        }
        let whole = heads.filter { !broken.contains($0.key) }
        let merged = Set(whole.flatMap(\.fence.merged))
        for head in whole where !merged.contains(head.key.hash) { take(head, parts: parts) }
        passedOver = wanted.filter { merged.contains($0.hash) }
        lostRuns.removeAll { merged.contains($0.hash) }
    }

    /// The parts of a head in order, itself last; `nil` when one is missing or they do not follow each other.
    private static func whole(_ head: Read, parts: [Hash256: Read]) -> [Read]? {
        let found = head.fence.parts.compactMap { parts[$0] } + [head]
        guard found.count == head.fence.parts.count + 1 else { return nil }
        let firsts = found.compactMap(\.fence.blocks.prefixes.first)
        return firsts.count == found.count && zip(firsts, firsts.dropFirst()).allSatisfy { $0 <= $1 } ? found : nil
    }

    private mutating func take(_ head: Read, parts: [Hash256: Read]) {
        guard let found = IndexOpening.whole(head, parts: parts) else { return }
        let packs = head.fence.packs.map { key in
            let number = table.number(of: key)
            // A pack that only a run names, for a ledger has taken its session over, counts by that.
            if !view.condemned.contains(Ledger.Condemned(kind: .pack, key: key)) {
                table[number].isLive = true
            }
            covered.insert(number)
            return number
        }
        let members = found.map { part in
            defer { nextRun += 1 }
            return IndexPart(
                key: part.key, number: nextRun, blocks: part.fence.blocks, filter: filters?.filter(of: part.key.hash))
        }
        groups.append(IndexGroup(head: head.key, parts: members, packs: packs, merged: head.fence.merged))
    }

    private mutating func fence(_ key: ObjectKey) async throws -> IndexRunFence? {
        do {
            return try await IndexOpening.fence(key, access, repository: keys.repository, indexKey: indexKey)
        } catch let error as RepositoryError where error.isAboutBytes {
            findings.append(RepositoryFinding(object: key.runName, sentence: error.sentence))
            return nil
        }
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

    /// The groups of runs that were passed over, as far as they are still there and readable.
    static func groups(
        of runs: [ObjectKey], _ access: ObjectAccess, keys: RepositoryKeys, table: borrowing Mutex<PackTable>,
        firstRun: UInt32
    ) async throws -> [IndexGroup] {
        let indexKey = try keys.indexKey()
        var heads: [Read] = []
        var parts: [Hash256: Read] = [:]
        for key in runs {
            guard
                let fence = try? await fence(key, access, repository: keys.repository, indexKey: indexKey)
            else { continue }
            if fence.isPart {
                parts[key.hash] = Read(key: key, fence: fence)
            } else {
                heads.append(Read(key: key, fence: fence))
            }
        }
        var number = firstRun
        return heads.compactMap { head in
            guard let found = whole(head, parts: parts) else { return nil }
            let packs = table.withLock { table in head.fence.packs.map { table.number(of: $0) } }
            let members = found.map { part in
                defer { number += 1 }
                return IndexPart(key: part.key, number: number, blocks: part.fence.blocks, filter: nil)
            }
            return IndexGroup(head: head.key, parts: members, packs: packs, merged: head.fence.merged)
        }
    }

    // MARK: Packs without a run

    /// The directories of packs that count and that no readable run lists.
    mutating func listUncovered(
        _ packs: [Inventory.Pack], shelf: PackShelf
    ) async throws -> [(ObjectKey, [PackEntry])] {
        var listed: [(ObjectKey, [PackEntry])] = []
        for pack in packs {
            let number = table.number(of: pack.key)
            table[number].isLive = true
            guard !covered.contains(number) else { continue }
            do { listed.append((pack.key, try await shelf.contents(of: pack.key).entries)) } catch let error
                as RepositoryError where error.isAboutBytes
            {
                missesDirectories = missesDirectories || error.isUnreadable
                findings.append(RepositoryFinding(object: pack.key.packName, sentence: error.sentence))
            }
        }
        return listed
    }

    /// The directories of packs that only a lost run of the generation may have named: of the sessions that a ledger
    /// has taken over, those that are still there.
    mutating func listTakenOver(shelf: PackShelf) async throws -> [(ObjectKey, [PackEntry])] {
        guard !lostRuns.isEmpty else { return [] }
        var there: [Inventory.Pack] = []
        for pack in view.takenOver where !covered.contains(table.number(of: pack.key)) {
            // What a sweep has deleted is missing, and nothing is wrong with that.
            if try await access.byteCount(pack.key.packName) == pack.byteCount { there.append(pack) }
        }
        return try await listUncovered(there, shelf: shelf)
    }
}
