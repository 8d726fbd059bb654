import BackupModel
import RepositoryFormat
import Synchronization

/// What a sweep is to do for the repository before it composes the next close: packs that are mostly dead to copy the
/// rest of, and index runs to merge.
struct UpkeepPlan {
    /// Of the bytes of a pack's blobs so many are dead when it is worth being rewritten: a half. So a byte that is
    /// copied frees another at least, and packs take at most twice the room of what is needed (docs/design/0021).
    static let (deadShare, outOf) = (1, 2)
    /// Packs that are looked at in vain, one after the other, before none is looked for any more.
    static let vainLookLimit = 64

    /// Packs to rewrite, in ascending order of their keys: what was stored together stays together.
    let sources: [ObjectKey]
    /// Which of their blobs are needed.
    let needed: NeededBlobs
    /// Whether index runs are to be merged.
    let mergeIsDue: Bool
    /// Packs that are dead: what is merged leaves them out.
    let dead: Set<ObjectKey>
    /// The close whose verdict found them so; `nil` before the first.
    let close: LogHead?

    /// Whether there is nothing to do.
    var isEmpty: Bool { sources.isEmpty && !mergeIsDue }

    /// Looks what is worth it.
    ///
    /// - Parameters:
    ///   - excluded: packs that stay as they are.
    ///   - byteLimit: of the packs to rewrite, in all; 0 for none.
    /// - Throws: ``RepositoryError``, `storage`.
    init(
        index: ChunkIndex, view: RepositoryView, shelf: PackShelf, needed: NeededBlobs, verdict: Verdict?,
        excluded: Set<ObjectKey>, byteLimit: UInt64
    ) async throws {
        let dead = Set(verdict?.dead.filter { $0.kind == .pack }.map(\.key) ?? [])
        self.needed = needed
        self.dead = dead
        close = verdict?.close
        mergeIsDue = !IndexMerge.due(index.weights(without: dead)).isEmpty
        guard byteLimit > 0 else {
            sources = []
            return
        }
        var sizes: [ObjectKey: UInt64] = [:]
        for pack in view.packs + view.takenOver { sizes[pack.key] = pack.byteCount }
        // The emptiest first, as far as that is known without their directories: by needed blobs a byte.
        var candidates: [(key: ObjectKey, byteCount: UInt64, density: Double)] = []
        for facts in index.knownPacks where facts.isLive && !excluded.contains(facts.key) {
            let count = needed.count(in: facts.key)
            guard count > 0, let byteCount = sizes[facts.key], byteCount > 0 else { continue }
            candidates.append((facts.key, byteCount, Double(count) / Double(byteCount)))
        }
        candidates.sort { ($0.density, $0.key) < ($1.density, $1.key) }
        var sources: [ObjectKey] = []
        var (sum, inVain) = (UInt64(0), 0)
        for candidate in candidates where inVain < UpkeepPlan.vainLookLimit {
            try Task.checkCancellation()
            guard sum + candidate.byteCount <= byteLimit else { continue }
            guard try await UpkeepPlan.isWorthIt(candidate.key, shelf: shelf, needed: needed) else {
                inVain += 1
                continue
            }
            sources.append(candidate.key)
            sum += candidate.byteCount
            inVain = 0
        }
        self.sources = sources.sorted { ($0.generation, $0.hash) < ($1.generation, $1.hash) }
    }

    private static func isWorthIt(_ pack: ObjectKey, shelf: PackShelf, needed: NeededBlobs) async throws -> Bool {
        let contents: PackContents
        do { contents = try await shelf.contents(of: pack) } catch let error as RepositoryError where error.isAboutBytes
        {
            return false
        }
        let all = contents.footer.blobs.count
        let live = contents.entries.enumerated().reduce(0) { sum, entry in
            needed.contains(BlobPlace(pack: pack, ordinal: entry.offset))
                ? sum + Int(entry.element.storedByteCount) : sum
        }
        return (all - live) * outOf >= all * deadShare
    }
}

extension ChunkIndex {
    /// What merging decides by, for each group that is asked.
    ///
    /// - Parameter dead: packs that count as gone.
    func weights(without dead: Set<ObjectKey>) -> [IndexMerge.Weight] {
        groups.map { group in
            let gone = table.withLock { table in group.packs.count { dead.contains(table[$0].key) } }
            return IndexMerge.Weight(entryCount: group.entryCount, packCount: group.packs.count, goneCount: gone)
        }
    }
}
