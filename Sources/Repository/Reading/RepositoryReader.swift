package import RepositoryFormat

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

    /// Packs that nothing readable names and that are there: looked for only when an entry that may have named them is
    /// spoiled. A chunk is compared with its id on every read, wherever it was found.
    package let salvaged: [Inventory.Pack]
    private let newer: NewerLook

    /// Opens the index over what was read.
    ///
    /// - Parameter filters: this host's filters of index runs; they spare reads, and who misses a chunk asks without.
    /// - Throws: ``RepositoryError``: `roleLacksKey`, `storage`.
    package init(
        _ repository: OpenRepository, view: RepositoryView, filters: IndexFilterFolder? = nil
    ) async throws {
        self.repository = repository
        self.view = view
        keys = try repository.keys()
        shelf = PackShelf(repository.access, keys: keys)
        salvaged =
            view.hasSpoiledPlaces
            ? try await RepositoryReader.unnamedPacks(repository, view: view, shelf: shelf) : []
        index = try await ChunkIndex(
            repository.access, view: view, keys: keys, shelf: shelf, salvaged: salvaged, filters: filters)
        newer = NewerLook(
            repository, log: view.log, keys: keys, index: index, shelf: shelf, salvaged: salvaged, filters: filters)
    }

    /// Packs that a listing shows, that nothing names and that open.
    private static func unnamedPacks(
        _ repository: OpenRepository, view: RepositoryView, shelf: PackShelf
    ) async throws -> [Inventory.Pack] {
        let named = Set(view.packs.map(\.key))
        var packs: [Inventory.Pack] = []
        for name in try await repository.access.names(under: "packs/") {
            guard let key = ObjectKey(name: name, folder: "packs"), !named.contains(key) else { continue }
            do {
                let header = try await shelf.contents(of: key).header
                packs.append(
                    Inventory.Pack(
                        key: key, byteCount: header.bodyByteCount + UInt64(ObjectHeader.byteCount),
                        objectClass: header.objectClass, domain: header.domain))
            } catch let error as RepositoryError where error.isAboutBytes {
                // Nobody says that it ever was whole: a pack may lie here that was never finished.
            }
        }
        return packs
    }

    /// A reader of blobs for one worker.
    package func blobs() -> BlobReader {
        BlobReader(repository.access, keys: keys, index: index, shelf: shelf, newer: newer)
    }
}
