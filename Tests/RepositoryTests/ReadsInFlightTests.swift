import BackupModel
import ObjectStorage
import Recovery
import Repository
import RepositoryFormat
import Synchronization
import TestKit
import Testing

@Suite("a restore keeps as many reads under way as the store wants, within its memory")
struct ReadsInFlightTests {
    /// Restores a disk of many leaves from a store whose answers take long. - Returns: most reads at once.
    private func mostReads(wanted: Int?, workers: Int?) async throws -> Int {
        let sample = try await Samples.sample()
        let memory = try await SampleRepository.store(sample.objects)
        var dice = Dice(seed: 12)
        let disk = dice.bytes(1_200 << 10)
        let record = try await sample.hosts[0].copy().backUp([disk], to: memory, at: 50, randomness: .seeded(50))
        let store = LateStore(memory, readsInFlight: wanted)
        let repository = try await OpenRepository.open(store: store, key: .credential(sample.owner))
        let reader = try await RepositoryReader(repository, view: try await repository.view())
        let image = try #require(record.images.first)
        let path = try TemporaryDisk()
        store.count()
        let outcome = try await ImageRestore(
            reader, image: image, plan: RestorePlan(path: path.file, existing: .refused, workers: workers)
        ).run()
        #expect(outcome.written == UInt64(disk.count) && path.bytes() == disk)
        return store.most
    }

    @Test("sixteen for a store that wants them, and a few more than it has processors for one that does not")
    func followsStore() async throws {
        let most = RestorePlan.memoryLimit / RestorePlan.workerByteCount
        #expect(most == 16 && RestorePlan.memoryLimit <= 256 << 20)
        // The walk through the map has a read of its own beside those of the leaves.
        let wanted = try await mostReads(wanted: 16, workers: nil)
        #expect((16...17).contains(wanted), "\(wanted) reads at once")
        let beyond = try await mostReads(wanted: 1_000, workers: nil)
        #expect((16...most + 1).contains(beyond), "\(beyond) reads at once: that is more memory than was promised")
        let told = try await mostReads(wanted: 16, workers: 3)
        #expect((2...4).contains(told), "\(told) reads at once though 3 workers were asked for")
    }

    @Test("the number of workers: two a processor, what the store wants, and the memory's limit")
    func rule() {
        #expect(RestorePlan.workers(processors: 1, readsInFlight: nil) == 2)
        #expect(RestorePlan.workers(processors: 2, readsInFlight: 16) == 16)
        #expect(RestorePlan.workers(processors: 6, readsInFlight: 4) == 12)
        #expect(RestorePlan.workers(processors: 64, readsInFlight: 500) == 16)
    }
}

/// A store whose answers come after everybody else had a hundred turns.
final class LateStore: ObjectStore {
    private let store: any ObjectStore
    let readsInFlight: Int?
    private let state = Mutex((now: 0, most: 0))

    init(_ store: any ObjectStore, readsInFlight: Int?) {
        self.store = store
        self.readsInFlight = readsInFlight
    }

    /// Most reads at once since ``count()``.
    var most: Int { state.withLock { $0.most } }

    /// Begins to count.
    func count() { state.withLock { $0.most = 0 } }

    func get(_ name: ObjectName, offset: UInt64, count: Int) async throws(StorageError) -> [UInt8]? {
        state.withLock { state in
            state.now += 1
            state.most = max(state.most, state.now)
        }
        defer { state.withLock { $0.now -= 1 } }
        for _ in 0..<100 { await Task.yield() }
        return try await store.get(name, offset: offset, count: count)
    }

    func putIfAbsent(_ name: ObjectName, _ bytes: [UInt8]) async throws(StorageError) -> PutAnswer {
        try await store.putIfAbsent(name, bytes)
    }

    func byteCount(of name: ObjectName) async throws(StorageError) -> UInt64? { try await store.byteCount(of: name) }

    func list(prefix: String) async throws(StorageError) -> [ObjectName] { try await store.list(prefix: prefix) }
}
