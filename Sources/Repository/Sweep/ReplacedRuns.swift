import BackupModel
import RepositoryFormat
import Synchronization

// Runs that can go
// ----------------
// A run goes when nobody finds less without it: when each of its entries stands in the whole merged run that takes its
// place, or names a pack that is dead. Whoever merged may have left something out: that is looked at, entry by entry.

/// Index runs that a close condemns (format page §12).
enum ReplacedRuns {
    /// Entries that are compared at once: as many as one merge has, and what it was merged from.
    static let entryLimit = 2 * IndexMerge.entryLimit

    /// Runs of which nothing is missed once they are gone.
    ///
    /// - Parameters:
    ///   - dead: packs that will never be needed again.
    ///   - named: runs that outcomes outside the next horizon name: the verdict would pardon them.
    /// - Throws: ``RepositoryError``, `storage`.
    static func runs(
        in index: ChunkIndex, dead: Set<ObjectKey>, besides named: Set<ObjectKey>
    ) async throws -> Set<ObjectKey> {
        let numbers = index.table.withLock { table in
            table.facts.indices.reduce(into: [UInt32: UInt32]()) { kept, number in
                if !dead.contains(table.facts[number].key) { kept[UInt32(number)] = UInt32(number) }
            }
        }
        func isEmpty(_ group: IndexGroup) -> Bool { group.packs.allSatisfy { numbers[$0] == nil } }
        func mayGo(_ group: IndexGroup) -> Bool { group.parts.allSatisfy { !named.contains($0.key) } }
        var left = try await index.mergedGroups().filter(mayGo)
        var gone = (left + index.groups.filter(mayGo)).filter(isEmpty)
        left.removeAll(where: isEmpty)
        for whole in index.groups {
            let merged = Set(whole.merged)
            var candidates: [IndexGroup] = []
            var sum = whole.entryCount
            for group in left where merged.isSuperset(of: group.runs) && sum + group.entryCount <= entryLimit {
                candidates.append(group)
                sum += group.entryCount
            }
            guard !candidates.isEmpty else { continue }
            let held = try await held(candidates, by: whole, index: index, numbers: numbers)
            gone += held
            left.removeAll { group in held.contains { $0 === group } }
        }
        return Set(gone.flatMap(\.parts).map(\.key))
    }

    /// Those of some groups all of whose entries, save those of packs without a number, stand in another.
    private static func held(
        _ groups: [IndexGroup], by whole: IndexGroup, index: ChunkIndex, numbers: [UInt32: UInt32]
    ) async throws -> [IndexGroup] {
        guard SweepRule.runsHoldWhatTheyReplace.holds else { return groups }
        var isHeld = groups.map { _ in true }
        var own = IndexCursor(group: whole, access: index.access, numbers: numbers)
        var cursors = groups.map { IndexCursor(group: $0, access: index.access, numbers: numbers) }
        do {
            try await own.advance()
            for position in cursors.indices { try await cursors[position].advance() }
            while let next = IndexMerge.least(of: cursors) {
                try Task.checkCancellation()
                while let entry = own.current, entry.identifier < next { try await own.advance() }
                var places = Set<IndexEntry>()
                while let entry = own.current, entry.identifier == next {
                    places.insert(entry)
                    try await own.advance()
                }
                for position in cursors.indices {
                    while let entry = cursors[position].current, entry.identifier == next {
                        if !places.contains(entry) { isHeld[position] = false }
                        try await cursors[position].advance()
                    }
                }
            }
        } catch let error as RepositoryError where error.isAboutBytes {
            // What cannot be compared stays.
            return []
        }
        return zip(groups, isHeld).filter(\.1).map(\.0)
    }

    /// Runs that a listing shows and nothing ever named: whoever might name them has had its chance.
    ///
    /// - Returns: the runs, and whether there are others that only closes make old enough to go.
    static func orphans(
        _ access: ObjectAccess, view: RepositoryView, epoch: UInt32
    ) async throws -> (runs: Set<ObjectKey>, hasYoung: Bool) {
        var known = Set(view.sessions.flatMap(\.entries).flatMap(\.inventory.runs).map(\.key))
        known.formUnion(view.generation)
        known.formUnion(view.condemned.filter { $0.kind == .indexRun }.map(\.key))
        var runs = Set<ObjectKey>()
        var hasYoung = false
        for name in try await access.hint(under: "runs/") {
            guard let key = ObjectKey(name: name, folder: "runs"), !known.contains(key), key.generation <= epoch else {
                continue
            }
            guard key.generation + 1 < epoch else {
                hasYoung = true
                continue
            }
            // A listing may show what was deleted.
            if try await access.byteCount(name) != nil { runs.insert(key) }
        }
        return (runs, hasYoung)
    }
}
