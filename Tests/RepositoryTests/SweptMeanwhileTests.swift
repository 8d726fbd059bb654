import BackupModel
import ObjectStorage
import Repository
import RepositoryFormat
import Synchronization
import TestKit
import Testing

/// Found by real processes side by side: what a sweep let go while a verification read was told as damage, and hosts
/// were made to store it again.
@Suite("a verification beside sweeps")
struct SweptMeanwhileTests {
    /// A repository of which every point but the newest of each guest was forgotten.
    private static func forgetful() async throws -> (SampleRepository, [ObjectName: [UInt8]], Set<PointID>) {
        let sample = try await Samples.sample()
        let store = try await SampleRepository.store(sample.objects)
        let repository = try await OpenRepository.open(store: store, key: .credential(sample.maintainer))
        let points = try await repository.view().points
        let kept = Dictionary(grouping: points, by: \.record.guest).values.compactMap { own in
            own.max { ($0.slot, $0.entry) < ($1.slot, $1.entry) }?.record.identifier
        }
        let gone = Set(points.map(\.record.identifier)).subtracting(kept)
        try await MaintenanceSession(repository, randomness: .seeded(1)).forget(
            gone.sorted(), at: 1000, reason: "")
        return (sample, try await SampleRepository.objects(store), gone)
    }

    /// Lets go and deletes all that it may. - Returns: how many points went, and how many objects.
    private static func sweep(_ store: MemoryStore, _ sample: SampleRepository) async throws -> (Int, Int) {
        var (dropped, deleted) = (0, 0)
        for round in UInt64(0)..<3 {
            let repository = try await OpenRepository.open(store: store, key: .credential(sample.maintainer))
            var memory = Sweep.Memory()
            var settings = Sweep.Settings(now: 2000 + round)
            settings.patience = 0
            let report = try await Sweep.run(
                repository, store: store, state: nil, memory: &memory, settings: settings,
                randomness: .seeded(10 + round))
            dropped += report.dropped.count
            deleted += report.deleted
        }
        return (dropped, deleted)
    }

    @Test("what was let go meanwhile is no damage, at whatever call the sweep comes", arguments: [false, true])
    func verification(isKeyless: Bool) async throws {
        let (sample, objects, gone) = try await Self.forgetful()
        var (call, swept) = (0, 0)
        while true {
            let store = try await SampleRepository.store(objects)
            let happened = Mutex((0, 0))
            let interrupted = InterruptedStore(store, at: call) {
                let sum = try await Self.sweep(store, sample)
                happened.withLock { $0 = sum }
            }
            let key =
                isKeyless ? try await OpenRepository.claimedVerifier(interrupted) : sample.owner
            let repository = try await OpenRepository.open(store: interrupted, key: .credential(key))
            let report = try await Verification(
                repository, view: repository.view(), level: isKeyless ? .keyless : .content, workers: 1
            ).run()
            #expect(report.findings.isEmpty, "swept at call \(call): \(report.findings.map(\.sentence))")
            if !isKeyless {
                #expect(report.wholePoints.count == report.pointCount)
                #expect(report.pointCount >= sample.points.count - gone.count)
            }
            guard interrupted.count > call else { break }
            let (dropped, deleted) = happened.withLock { $0 }
            #expect(dropped == gone.count && deleted > 0)
            swept += 1
            call += isKeyless ? 2 : 4
        }
        print("verification beside a sweep (\(isKeyless ? "without a key" : "content")): \(swept) moments")
    }

    @Test("damage that is there is told, also beside a sweep")
    func damage() async throws {
        let (sample, objects, gone) = try await Self.forgetful()
        let view = try await OpenRepository.open(
            store: try await SampleRepository.store(objects), key: .credential(sample.owner)
        ).view()
        let newest = try #require(
            view.points.filter { !gone.contains($0.record.identifier) }.max {
                ($0.slot, $0.entry) < ($1.slot, $1.entry)
            })
        let pack = try #require(
            view.sessions.first { $0.session == newest.session }?.entries.flatMap(\.inventory.packs).first)
        for call in stride(from: 0, to: 120, by: 17) {
            var damaged = objects
            damaged[try #require(ObjectName(pack.key.packName))] = nil
            let store = try await SampleRepository.store(damaged)
            let interrupted = InterruptedStore(store, at: call) { _ = try? await Self.sweep(store, sample) }
            let repository = try await OpenRepository.open(store: interrupted, key: .credential(sample.owner))
            let report = try await Verification(repository, view: repository.view(), level: .tags, workers: 1).run()
            #expect(!report.isSound && !report.isReplaced, "swept at call \(call)")
            #expect(!report.wholePoints.contains(newest.record.identifier), "swept at call \(call)")
        }
    }
}
