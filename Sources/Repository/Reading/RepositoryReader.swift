import RepositoryFormat

/// Everything that reading blobs of a repository needs, opened once and shared by workers.
package struct RepositoryReader: Sendable {
    /// The repository.
    package let repository: OpenRepository
    /// Keys of the domain.
    package let keys: RepositoryKeys
    /// What the repository holds.
    package let view: RepositoryView
    /// Where blobs stand.
    package let index: ChunkIndex
    /// Directories and keys of packs.
    package let shelf: PackShelf

    /// Opens the index over what was read.
    ///
    /// - Throws: ``RepositoryError``: `roleLacksKey`, `storage`.
    package init(_ repository: OpenRepository, view: RepositoryView) async throws {
        self.repository = repository
        self.view = view
        keys = try repository.keys()
        shelf = PackShelf(repository.access, keys: keys)
        index = try await ChunkIndex(repository.access, view: view, keys: keys, shelf: shelf)
    }

    /// A reader of blobs for one worker.
    package func blobs() -> BlobReader {
        BlobReader(repository.access, keys: keys, index: index, shelf: shelf)
    }
}
