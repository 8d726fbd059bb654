import ObjectStorage
import Synchronization

/// A store in which something happens before one call.
final class InterruptedStore: ObjectStore {
    private let store: any ObjectStore
    private let number: Int
    private let happening: @Sendable () async throws -> Void
    private let calls = Mutex(0)

    init(_ store: any ObjectStore, at number: Int, _ happening: @escaping @Sendable () async throws -> Void) {
        self.store = store
        self.number = number
        self.happening = happening
    }

    /// Calls so far.
    var count: Int { calls.withLock { $0 } }

    private func enter() async throws(StorageError) {
        let call = calls.withLock { calls in
            defer { calls += 1 }
            return calls
        }
        guard call == number else { return }
        do { try await happening() } catch { throw StorageError(code: .failed, sentence: "\(error)") }
    }

    func putIfAbsent(_ name: ObjectName, _ bytes: [UInt8]) async throws(StorageError) -> PutAnswer {
        try await enter()
        return try await store.putIfAbsent(name, bytes)
    }

    func get(_ name: ObjectName, offset: UInt64, count: Int) async throws(StorageError) -> [UInt8]? {
        try await enter()
        return try await store.get(name, offset: offset, count: count)
    }

    func byteCount(of name: ObjectName) async throws(StorageError) -> UInt64? {
        try await enter()
        return try await store.byteCount(of: name)
    }

    func list(prefix: String) async throws(StorageError) -> [ObjectName] {
        try await enter()
        return try await store.list(prefix: prefix)
    }
}
