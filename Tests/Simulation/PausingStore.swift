import ObjectStorage
import TestKit

/// A store as one process sees it: before each call the dice decide who goes on, and a process whose machine has lost
/// power reaches it no more.
struct PausingStore: SweepableStore {
    let store: any SweepableStore
    let executor: SeededExecutor
    /// The disk of the machine; `nil` when only the disk fails and the process lives on.
    let machine: SimulatedDisk?
    /// Which process it is; `nil` for one that nobody kills.
    var process: SimulatedProcess?

    private func step() async throws(StorageError) {
        await executor.pause()
        if machine?.isDown == true || process?.calls() == false {
            throw StorageError(code: .failed, sentence: "the process is gone")
        }
    }

    func putIfAbsent(_ name: ObjectName, _ bytes: [UInt8]) async throws(StorageError) -> PutAnswer {
        try await step()
        return try await store.putIfAbsent(name, bytes)
    }

    func get(_ name: ObjectName, offset: UInt64, count: Int) async throws(StorageError) -> [UInt8]? {
        try await step()
        return try await store.get(name, offset: offset, count: count)
    }

    func byteCount(of name: ObjectName) async throws(StorageError) -> UInt64? {
        try await step()
        return try await store.byteCount(of: name)
    }

    func list(prefix: String) async throws(StorageError) -> [ObjectName] {
        try await step()
        return try await store.list(prefix: prefix)
    }

    func delete(_ name: ObjectName) async throws(StorageError) {
        try await step()
        try await store.delete(name)
    }
}
