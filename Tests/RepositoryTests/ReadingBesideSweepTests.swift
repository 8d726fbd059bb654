import BackupModel
import Capture
import ChunkEncryption
import Effects
import ObjectStorage
import Repository
import RepositoryFormat
import Simulation
import TestKit
import Testing

@Suite("reading beside a sweep (S49)")
struct ReadingBesideSweepTests {
    /// Two hosts store the same disk at the same time, each its own packs. A restore that began when only the first had
    /// committed knows the first's packs; a sweep keeps one copy of each chunk, which may be the second's.
    @Test("a restore finds the copy that a sweep kept, though it began before that was committed")
    func twins() async throws {
        var missed = 0
        for seed in UInt64(0)..<8 where try await outlives(seed: seed) { missed += 1 }
        #expect(missed > 0, "the sweep kept the copies that the restore knew, each time")
    }

    /// - Returns: whether packs went that the restore knew of.
    private func outlives(seed: UInt64) async throws -> Bool {
        let sample = try await Samples.sample()
        let store = MemoryStore(sample.snapshot, randomness: .seeded(1))
        var dice = Dice(seed: seed)
        let disk = dice.bytes(60 << 10)
        var runs: [(WritingSession, SampleRepository.Host)] = []
        for (number, host) in sample.hosts.map({ $0.copy() }).enumerated() {
            let repository = try await OpenRepository.open(store: store, key: .credential(host.credential))
            let randomness = Randomness.seeded(seed * 2 + UInt64(number) + 100)
            let state = try HostState(
                files: host.disk, repository: host.credential.repository, randomness: randomness)
            runs.append((try await WritingSession.begin(repository, state: state, randomness: randomness), host))
        }
        func commit(_ number: Int) async throws -> RestorePointRecord {
            let (session, host) = runs[number]
            let plan = BackupPlan(
                guest: host.guest, label: host.name, takenAt: 50, host: host.name, tool: "test", base: nil, workers: 1,
                now: { 50 })
            return try await BackupRun(session, plan: plan).run([
                BackupDisk.image(name: "disk", source: SimulatedImage(disk))
            ])
        }
        let record = try await commit(0)
        let owner = try await OpenRepository.open(store: store, key: .credential(sample.owner))
        let reader = try await RepositoryReader(owner, view: owner.view())
        let known = Set(try await store.list(prefix: "packs/"))
        _ = try await commit(1)
        let before = Set(try await store.list(prefix: "packs/"))
        var memory = Sweep.Memory()
        var settings = Sweep.Settings(now: .max)
        settings.patience = 0
        for _ in 0..<4 {
            let repository = try await OpenRepository.open(store: store, key: .credential(sample.owner))
            _ = try await Sweep.run(
                repository, store: store, state: nil, memory: &memory, settings: settings, randomness: .seeded(9))
        }
        let after = Set(try await store.list(prefix: "packs/"))
        #expect(after.count < before.count, "one of two copies is let go")
        let image = try #require(record.images.first)
        #expect(try await RestoredImage.bytes(of: image, reader: reader) == disk, "seed \(seed)")
        return !known.isSubset(of: after)
    }

    @Test("a chunk that is lost is told as lost, however often it is asked for")
    func lost() async throws {
        let sample = try await Samples.sample()
        let store = MemoryStore(sample.snapshot, randomness: .seeded(1))
        let owner = try await OpenRepository.open(store: store, key: .credential(sample.owner))
        let view = try await owner.view()
        let reader = try await RepositoryReader(owner, view: view)
        for name in try await store.list(prefix: "packs/") { try await store.delete(name) }
        let image = try #require(view.points.first?.record.images.first)
        for _ in 0..<2 {
            do {
                _ = try await RestoredImage.bytes(of: image, reader: reader)
                Issue.record("there is nothing to restore from")
            } catch let error as RepositoryError { #expect(error.code == .damaged) }
        }
    }
}
