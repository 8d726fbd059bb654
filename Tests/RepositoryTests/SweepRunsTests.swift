import BackupModel
import Capture
import Effects
import ObjectStorage
import Repository
import RepositoryFormat
import Simulation
import TestKit
import Testing

@Suite("index runs and the sweep (S10, S26)")
struct SweepRunsTests {
    private static func fresh() async throws -> SweepingHost {
        let sample = try await Samples.sample()
        return SweepingHost(store: MemoryStore(sample.snapshot, randomness: .seeded(1)), sample: sample)
    }

    /// Wording F: what is condemned and not yet judged may be pardoned, so that a run which takes the place of another
    /// has to list it. Else the pack is there, needed, and nobody finds it.
    @Test("a run that takes the place of one that could not be read lists what is condemned and not judged yet")
    func replacedBeforeTheVerdict() async throws {
        let host = try await Self.fresh()
        let (store, sample) = (host.store, host.sample)
        let writers = sample.hosts.map { $0.copy() }
        var dice = Dice(seed: 3)
        let disk = [dice.bytes(60 << 10)]
        let before = Set(try await store.list(prefix: "runs/"))
        let first = try await writers[1].backUp(disk, to: store, at: 10, randomness: .seeded(11))
        try await host.sweepAll()
        // The point is forgotten, and while a sweep condemns what it leaned on, another backup has begun to lean on it.
        try await host.forget([first.identifier])
        let repository = try await OpenRepository.open(store: store, key: .credential(writers[1].credential))
        let session = try await WritingSession.begin(
            repository,
            state: HostState(files: writers[1].disk, repository: sample.owner.repository, randomness: .seeded(12)),
            randomness: .seeded(13))
        #expect(try await host.sweep(patience: 1).waitsFor == [session.session])
        // Another host cannot read the runs for a moment.
        let runs = try await store.list(prefix: "runs/").filter { !before.contains($0) }
        var contents: [ObjectName: [UInt8]] = [:]
        for name in runs { contents[name] = try await store.get(name) }
        for name in runs { try await store.delete(name) }
        try await writers[0].backUp([[1, 2, 3]], to: store, at: 11, randomness: .seeded(14))
        for (name, bytes) in contents { _ = try await store.putIfAbsent(name, bytes) }
        let plan = BackupPlan(
            guest: writers[1].guest, label: writers[1].name, takenAt: 12, host: "host b", tool: "test", base: nil,
            workers: 1, now: { 12 })
        let second = try await BackupRun(session, plan: plan).run([
            BackupDisk.image(name: "disk0", source: SimulatedImage(disk[0]))
        ])
        #expect(session.stored < 30 << 10, "the second backup leans on what the first had stored")
        try await host.sweepAll()
        #expect(try await host.restores(second.identifier, as: disk))
        // The run that took the others' place says all that they said.
        for name in runs { try await store.delete(name) }
        #expect(try await host.restores(second.identifier, as: disk))
    }
}
