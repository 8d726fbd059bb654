import ChunkEncryption
import Effects
import ObjectStorage
import Repository
import RepositoryFormat
import Synchronization
import TestKit
import Testing

/// A store that notes in which order things came.
private final class NotingStore: ObjectStore {
    private let store: any ObjectStore
    private let noted = Mutex<[(name: ObjectName, bytes: [UInt8])]>([])

    init(_ store: any ObjectStore) { self.store = store }

    /// What was put, in its order.
    var puts: [(name: ObjectName, bytes: [UInt8])] { noted.withLock { $0 } }

    func putIfAbsent(_ name: ObjectName, _ bytes: [UInt8]) async throws(StorageError) -> PutAnswer {
        let answer = try await store.putIfAbsent(name, bytes)
        if answer == .mine { noted.withLock { $0.append((name, bytes)) } }
        return answer
    }

    func get(_ name: ObjectName, offset: UInt64, count: Int) async throws(StorageError) -> [UInt8]? {
        try await store.get(name, offset: offset, count: count)
    }

    func byteCount(of name: ObjectName) async throws(StorageError) -> UInt64? { try await store.byteCount(of: name) }

    func list(prefix: String) async throws(StorageError) -> [ObjectName] { try await store.list(prefix: prefix) }
}

@Suite("a repository that grows while it is read")
struct GrowingRepositoryTests {
    /// Found by the soak's seed 33059223: a sweep opens a slot and ends an older session, and that end names the slot.
    /// Who had read the log before, and that session behind it, took the slot for hidden and refused to write.
    @Test("what came between two looks is not taken for hidden", arguments: [5])
    func growing(beforeEnd: Int) async throws {
        let sample = try await Samples.sample()
        let disk = (0..<80_000).map { UInt8(truncatingIfNeeded: $0 &* $0 >> 7) }
        let host = sample.hosts[0].copy()
        let clean = FaultAtCall(try await SampleRepository.store(sample.objects), at: .max)
        try await host.copy().backUp([disk], to: clean, at: 100, randomness: .seeded(1))
        let store = try await SampleRepository.store(sample.objects)
        let noting = NotingStore(store)
        // One backup dies, another host backs up, a sweep ends what is left, and the first host goes on.
        await #expect(throws: RepositoryError.self) {
            try await host.backUp(
                [disk], to: FaultAtCall(noting, at: clean.count - beforeEnd, .failsFromThenOn), at: 100,
                randomness: .seeded(1))
        }
        try await sample.hosts[1].copy().backUp([disk], to: noting, at: 200, randomness: .seeded(2))
        var memory = Sweep.Memory()
        var settings = Sweep.Settings(now: 300)
        settings.patience = 0
        for round in UInt64(3)..<5 {
            let repository = try await OpenRepository.open(store: noting, key: .credential(sample.maintainer))
            _ = try await Sweep.run(
                repository, store: store, state: nil, memory: &memory, settings: settings, randomness: .seeded(round))
        }
        try await host.backUp([disk], to: noting, at: 400, randomness: .seeded(5))
        var owned = try await OpenRepository.open(store: noting, key: .credential(sample.owner))
        let seed = SecretBytes(copying: Randomness.seeded(6).bytes(SigningKey.seedByteCount))
        try await owned.enrol(
            Enrolment(key: SigningKey(seed: seed).publicKey, role: .writer, domain: 0, label: "new"), createdAt: 500)
        let puts = noting.puts.filter { !$0.name.text.hasPrefix("packs/") }
        #expect(puts.contains { $0.name.text.hasPrefix("log/") } && puts.contains { $0.name.text.hasPrefix("ledger/") })
        var objects = sample.objects
        for put in noting.puts { objects[put.name] = put.bytes }
        let all = objects
        for put in puts.reversed() {
            objects[put.name] = nil
            let early = try await SampleRepository.store(objects)
            var call = 0
            while true {
                let growing = MemoryStore(early.snapshot())
                let store = InterruptedStore(growing, at: call) {
                    for (name, bytes) in all { _ = try await growing.putIfAbsent(name, bytes) }
                }
                let repository = try await OpenRepository.open(store: store, key: .credential(sample.owner))
                let view = try await repository.view()
                #expect(
                    repository.findings.isEmpty,
                    "without \(put.name) and on until call \(call): \(repository.findings.map(\.sentence))")
                #expect(view.hidden.isEmpty, "without \(put.name) and on until call \(call): \(view.hidden)")
                guard store.count > call else { break }
                call += 1
            }
        }
    }
}
