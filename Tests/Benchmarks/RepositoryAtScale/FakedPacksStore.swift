import ObjectStorage
import Synchronization

/// A store whose packs are only remembered by name and size: an index needs no more of them.
final class FakedPacksStore: ObjectStore {
    private let store: DirectoryStore
    /// Every pack of this benchmark has one size.
    static let packByteCount = 64

    init(_ store: DirectoryStore) { self.store = store }

    private func isPack(_ name: ObjectName) -> Bool { name.text.hasPrefix("packs/") }

    func putIfAbsent(_ name: ObjectName, _ bytes: [UInt8]) async throws(StorageError) -> PutAnswer {
        isPack(name) ? .mine : try await store.putIfAbsent(name, bytes)
    }

    func get(_ name: ObjectName, offset: UInt64, count: Int) async throws(StorageError) -> [UInt8]? {
        try await store.get(name, offset: offset, count: count)
    }

    func byteCount(of name: ObjectName) async throws(StorageError) -> UInt64? {
        isPack(name) ? UInt64(FakedPacksStore.packByteCount) : try await store.byteCount(of: name)
    }

    func list(prefix: String) async throws(StorageError) -> [ObjectName] { try await store.list(prefix: prefix) }
}
