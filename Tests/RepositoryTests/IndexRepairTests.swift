import BackupModel
import Effects
import ObjectStorage
import Repository
import RepositoryFormat
import TestKit
import Testing

@Suite("lost index runs are listed anew, damaged packs are stored again")
struct IndexRepairTests {
    private func verify(
        _ store: MemoryStore, _ sample: SampleRepository
    ) async throws -> VerificationReport {
        let repository = try await OpenRepository.open(store: store, key: .credential(sample.owner))
        return try await Verification(
            repository, view: repository.view(), level: .content, workers: 1
        ).run()
    }

    private func runs(_ sample: SampleRepository) -> [ObjectName] {
        sample.objects.keys.filter { $0.text.hasPrefix("runs/") }.sorted()
    }

    @Test("a run that is lost or damaged is made good by the next backup, and by a repair", arguments: [false, true])
    func run(isBackup: Bool) async throws {
        let sample = try await Samples.sample()
        for (number, name) in runs(sample).enumerated() {
            let store = try await SampleRepository.store(sample.objects)
            try await store.delete(name)
            if number % 3 == 1 { _ = try await store.putIfAbsent(name, [1, 2, 3]) }
            if number % 3 == 2, var bytes = sample.objects[name] {
                // A byte of a block: the end of the run says nothing of it.
                bytes[150] ^= 1
                _ = try await store.putIfAbsent(name, bytes)
            }
            #expect(try await verify(store, sample).findings.map(\.object) == [name.text])
            let repository = try await OpenRepository.open(store: store, key: .credential(sample.owner))
            let damaged = try await IndexRepair.damagedRuns(repository, view: repository.view())
            #expect(damaged.map(\.runName) == [name.text])
            let host = sample.hosts[number % 2].copy()
            if isBackup {
                // As `dozo verify` leaves it.
                try HostState(
                    files: host.disk, repository: sample.owner.repository, randomness: Randomness.seeded(12)
                ).keep(damage: HostState.Damage(runs: damaged))
                try await host.backUp([[1, 2, 3]], to: store, at: 10, randomness: .seeded(11))
            } else {
                try await IndexRepair.run(
                    damaged, OpenRepository.open(store: store, key: .credential(host.credential)),
                    state: HostState(
                        files: host.disk, repository: sample.owner.repository, randomness: Randomness.seeded(12)),
                    randomness: .seeded(13))
            }
            let report = try await verify(store, sample)
            #expect(report.findings.isEmpty, "\(name): \(report.findings.map(\.sentence))")
            #expect(Set(sample.points).isSubset(of: report.wholePoints))
        }
    }

    @Test("chunks of a damaged pack are stored again by the host that found it, and its points are whole again")
    func pack() async throws {
        let sample = try await Samples.sample()
        let newest = try #require(sample.points.last)
        let disk = try #require(sample.disks[newest])
        var mended = 0
        for (name, bytes) in sample.objects where name.text.hasPrefix("packs/") {
            let store = try await SampleRepository.store(sample.objects)
            var damaged = bytes
            damaged[bytes.count / 2] ^= 1
            try await store.delete(name)
            _ = try await store.putIfAbsent(name, damaged)
            let before = try await verify(store, sample)
            #expect(before.damagedPacks.map(\.packName) == [name.text] && !before.isSound)
            #expect(!before.isReplaced || before.wholePoints.count == before.pointCount)
            guard !before.wholePoints.contains(newest) else { continue }
            // The host of that point verifies, and backs the same disk up again, which it still has.
            let host = sample.hosts[1].copy()
            let state = try HostState(
                files: host.disk, repository: sample.owner.repository, randomness: Randomness.seeded(12))
            try state.keep(damage: HostState.Damage(packs: Set(before.damagedPacks)))
            #expect(try state.damage() == HostState.Damage(packs: Set(before.damagedPacks)))
            try await host.backUp(disk, to: store, at: 10, randomness: .seeded(11))
            let after = try await verify(store, sample)
            #expect(after.damagedPacks == before.damagedPacks, "the pack itself stays as it is")
            #expect(after.wholePoints.contains(newest), "\(name): \(after.findings.map(\.sentence))")
            mended += 1
        }
        #expect(mended > 0)
    }
}
