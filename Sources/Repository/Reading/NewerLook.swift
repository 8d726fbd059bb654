import BackupModel
import RepositoryFormat

/// Looks at the repository again when a reader misses what was there when it began: a sweep has let one copy go and
/// kept another, which only those know who have read what was committed since (docs/models, check 20).
actor NewerLook {
    private var repository: OpenRepository
    private let keys: RepositoryKeys
    private let shelf: PackShelf
    private let salvaged: [Inventory.Pack]
    private let filters: IndexFilterFolder?
    private var log: ControlLog
    private var index: ChunkIndex

    /// - Parameters:
    ///   - log: as it was read when `index` was opened.
    ///   - salvaged: packs besides those that count.
    init(
        _ repository: OpenRepository, log: ControlLog, keys: RepositoryKeys, index: ChunkIndex, shelf: PackShelf,
        salvaged: [Inventory.Pack], filters: IndexFilterFolder?
    ) {
        self.repository = repository
        self.log = log
        self.keys = keys
        self.index = index
        self.shelf = shelf
        self.salvaged = salvaged
        self.filters = filters
    }

    /// An index that is newer than `old`; `nil` when no epoch was closed since, or when that cannot be read: then what
    /// is missed is lost, as far as anybody can tell.
    func index(newerThan old: ChunkIndex) async throws -> ChunkIndex? {
        if index !== old { return index }
        do {
            // A maintainer may have been enrolled since.
            var (chain, log) = (repository.chain, log)
            var trust = TrustReader(repository.access)
            try await trust.readOn(&chain)
            try await log.readOn(repository.access, chain: chain)
            repository.chain = chain
            guard log.lastClose != self.log.lastClose else {
                self.log = log
                return nil
            }
            let view = try await repository.view(of: log)
            let newer = try await ChunkIndex(
                repository.access, view: view, keys: keys, shelf: shelf, salvaged: salvaged, filters: filters)
            (self.log, index) = (log, newer)
            return newer
        } catch is RepositoryError { return nil }
    }
}
