import BackupModel
import RepositoryFormat
import Synchronization

/// The ids in the packs that look-ups hit lately. Who meets one chunk of a pack mostly meets the next ones too, and one
/// directory answers for hundreds of them.
final class RecentPacks: Sendable {
    /// Packs whose directories are kept.
    private static let packLimit = 16
    /// Packs that were hit once; a second hit brings the directory.
    private static let hitLimit = 8

    private struct State {
        var packs: [ObjectKey] = []
        var places: [Hash256: ObjectKey] = [:]
        var hits: [ObjectKey] = []
    }

    private let state = Mutex(State())

    /// A pack that holds the id, as its own directory says.
    func pack(of identifier: Hash256) -> ObjectKey? { state.withLock { $0.places[identifier] } }

    /// Notes that the index found something in a pack.
    func hit(_ pack: ObjectKey, shelf: PackShelf) async throws {
        let isWanted = state.withLock { state in
            if state.packs.holds(pack) { return false }
            if state.hits.holds(pack) { return true }
            if state.hits.count >= RecentPacks.hitLimit { state.hits.removeFirst() }
            state.hits.append(pack)
            return false
        }
        guard isWanted else { return }
        let entries: [PackEntry]
        do { entries = try await shelf.contents(of: pack).entries } catch let error as RepositoryError
            where error.isAboutBytes
        {
            // Only a shortcut; a verification says what is wrong with the pack.
            return
        }
        state.withLock { state in
            guard !state.packs.holds(pack) else { return }
            if state.packs.count >= RecentPacks.packLimit {
                let old = state.packs.removeFirst()
                state.places = state.places.filter { $0.value != old }
            }
            state.packs.append(pack)
            state.hits.removeAll { $0 == pack }
            for entry in entries where entry.kind != .padding { state.places[entry.identifier] = pack }
        }
    }
}

extension [ObjectKey] {
    /// As `contains`, by the first word first: most differ there, and nothing generic is called for each.
    fileprivate func holds(_ key: ObjectKey) -> Bool {
        for candidate in self where candidate.hash.leadingWord == key.hash.leadingWord {
            if candidate == key { return true }
        }
        return false
    }
}
