package import Effects

/// A store that is read and written no faster than rates allow. An object goes through whole: the rate holds on
/// average, over objects of up to 64 MiB.
package struct PacedStore: ObjectStore {
    private let store: any ObjectStore
    private let reads: RateLimit?
    private let writes: RateLimit?

    /// Wraps a store; a rate that is `nil` is none.
    package init(_ store: any ObjectStore, reads: RateLimit?, writes: RateLimit?) {
        self.store = store
        self.reads = reads
        self.writes = writes
    }

    package var readsInFlight: Int? { store.readsInFlight }

    package func putIfAbsent(_ name: ObjectName, _ bytes: [UInt8]) async throws(StorageError) -> PutAnswer {
        try await pace(writes, UInt64(bytes.count), name)
        return try await store.putIfAbsent(name, bytes)
    }

    package func get(_ name: ObjectName, offset: UInt64, count: Int) async throws(StorageError) -> [UInt8]? {
        let bytes = try await store.get(name, offset: offset, count: count)
        // How much comes is known afterwards; who comes next waits for it.
        try await pace(reads, UInt64(bytes?.count ?? 0), name)
        return bytes
    }

    package func get(_ name: ObjectName, into room: AlignedRoom) async throws(StorageError) -> Bool {
        let isThere = try await store.get(name, into: room)
        // Safety: only counted.
        let byteCount = unsafe room.bytes.count
        try await pace(reads, isThere ? UInt64(byteCount) : 0, name)
        return isThere
    }

    package func byteCount(of name: ObjectName) async throws(StorageError) -> UInt64? {
        try await store.byteCount(of: name)
    }

    package func list(prefix: String) async throws(StorageError) -> [ObjectName] {
        try await store.list(prefix: prefix)
    }

    private func pace(_ limit: RateLimit?, _ byteCount: UInt64, _ name: ObjectName) async throws(StorageError) {
        guard let limit, byteCount > 0 else { return }
        do { try await limit.pass(byteCount) } catch {
            throw StorageError(code: .interrupted, sentence: "interrupted at \(name)")
        }
    }
}
