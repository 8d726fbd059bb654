import BackupModel
import Capture
import Effects
import ObjectStorage
import Repository
import RepositoryFormat
import Simulation
import Synchronization
import TestKit
import Testing

/// A guest of which most was replaced since, and whose first point is forgotten: its packs are mostly dead.
private struct HalfDead {
    let host: SweepingHost
    let first: PointID
    let second: PointID
    let disk: [[UInt8]]
    /// The disk of the first point.
    let original: [UInt8]
    /// What the packs held before any sweep.
    let objects: [ObjectName: [UInt8]]

    init(seed: UInt64 = 5, locked: Bool = false) async throws {
        let sample = try await Samples.sample()
        host = SweepingHost(store: MemoryStore(sample.snapshot, randomness: .seeded(1)), sample: sample)
        let writer = sample.hosts[0].copy()
        var dice = Dice(seed: seed)
        var disk = dice.bytes(480 << 10)
        original = disk
        first = try await writer.backUp([disk], to: host.store, at: 10, randomness: .seeded(11)).identifier
        // Of each 48 KiB the last 12 stay.
        for start in stride(from: 0, to: disk.count, by: 48 << 10) {
            disk.replaceSubrange(start..<start + (36 << 10), with: dice.bytes(36 << 10))
        }
        second = try await writer.backUp([disk], to: host.store, at: 12, randomness: .seeded(12)).identifier
        self.disk = [disk]
        objects = try await SampleRepository.objects(host.store)
        if locked {
            let repository = try await OpenRepository.open(store: host.store, key: .credential(sample.maintainer))
            try await MaintenanceSession(repository, randomness: .seeded(13)).lock(
                [second], until: .max, at: 13, reason: "audit")
        }
        try await host.forget([first])
    }

    func isWhole() async throws -> Bool { try await host.restores(second, as: disk) }

    /// A copy of the store, swept to the end without rewriting. - Returns: bytes of its packs.
    func byteCountWithout() async throws -> UInt64 {
        let other = SweepingHost(
            store: MemoryStore(host.store.snapshot(), randomness: .seeded(2)), sample: host.sample)
        try await other.sweepAll(rewriteByteLimit: 0)
        return try await other.packByteCount()
    }
}

@Suite("packs that are mostly dead are rewritten (S10)")
struct SweepRewriteTests {
    @Test("their bytes come back, by a maintainer who cannot read a guest byte, and everything verifies")
    func freed() async throws {
        let scene = try await HalfDead()
        let without = try await scene.byteCountWithout()
        let report = try await scene.host.sweep(as: scene.host.sample.maintainer)
        #expect(report.rewritten > 2 && report.copiedByteCount > 0 && report.damaged.isEmpty)
        try await scene.host.sweepAll(as: scene.host.sample.maintainer)
        let with = try await scene.host.packByteCount()
        #expect(with + (10 << 10) < without, "\(with) bytes of packs, \(without) without rewriting")
        #expect(try await scene.isWhole())
        for point in scene.host.sample.points {
            #expect(try await scene.host.restores(point, as: try #require(scene.host.sample.disks[point])))
        }
        let again = try await scene.host.sweep()
        #expect(again.rewritten == 0 && !again.hasClosed, "what was copied is not copied again")
        let repository = try await OpenRepository.open(
            store: scene.host.store, key: .credential(scene.host.sample.owner))
        for level in [VerificationLevel.keyless, .content] {
            let verified = try await Verification(
                repository, view: repository.view(), level: level, workers: 1
            ).run()
            #expect(verified.findings.isEmpty, "\(verified.findings.map(\.sentence))")
        }
    }

    @Test("no sooner are they condemned than they are gone; the next backup leans on the copies")
    func leantOn() async throws {
        let scene = try await HalfDead()
        try await scene.host.sweepAll()
        let before = try await scene.host.packByteCount()
        let writer = scene.host.sample.hosts[1].copy()
        let record = try await writer.backUp(scene.disk, to: scene.host.store, at: 20, randomness: .seeded(21))
        #expect(try await scene.host.packByteCount() < before + (16 << 10), "the same disk is not stored twice")
        #expect(try await scene.host.restores(record.identifier, as: scene.disk))
    }

    @Test("a limit of bytes holds, and several sweeps do what one may not")
    func limited() async throws {
        let scene = try await HalfDead()
        let all = try await HalfDead().host.sweep().rewritten
        let first = try await scene.host.sweep(rewriteByteLimit: 40 << 10)
        #expect(first.rewritten > 0 && first.rewritten < all && first.copiedByteCount < 40 << 10)
        try await scene.host.sweepAll(rewriteByteLimit: 40 << 10)
        let limited = try await scene.host.packByteCount()
        let other = try await HalfDead()
        try await other.host.sweepAll()
        #expect(limited <= (try await other.host.packByteCount()) + (8 << 10))
        #expect(try await scene.isWhole())
    }

    @Test("a restore that began before ends well")
    func beside() async throws {
        let scene = try await HalfDead()
        let repository = try await OpenRepository.open(
            store: scene.host.store, key: .credential(scene.host.sample.owner))
        let view = try await repository.view()
        let reader = try await RepositoryReader(repository, view: view)
        let image = try #require(
            view.points.first { $0.record.identifier == scene.second }?.record.images.first)
        let known = Set(try await scene.host.packs())
        try await scene.host.sweepAll()
        #expect(!known.isSubset(of: try await scene.host.packs()))
        #expect(try await RestoredImage.bytes(of: image, reader: reader) == scene.disk[0])
    }

    @Test("what a locked point leans on is left as it is")
    func locked() async throws {
        let scene = try await HalfDead(locked: true)
        #expect(try await scene.host.sweep(as: scene.host.sample.maintainer).rewritten == 0)
        try await scene.host.sweepAll()
        #expect(try await scene.host.packByteCount() == (try await scene.byteCountWithout()))
        #expect(try await scene.isWhole())
    }

    @Test("a pack that is damaged is not copied from, wherever the damage is, and stays")
    func damaged() async throws {
        var dice = Dice(seed: 3)
        // Which packs a sweep copies from.
        let plan = try await HalfDead()
        let before = try await plan.host.packs()
        try await plan.host.sweepAll()
        let bare = try await HalfDead()
        try await bare.host.sweepAll(rewriteByteLimit: 0)
        let after = Set(try await plan.host.packs())
        let rewritten = try await bare.host.packs().filter { !after.contains($0) && before.contains($0) }
        #expect(rewritten.count > 2)
        for name in rewritten.prefix(3) {
            let scene = try await HalfDead()
            var bytes = try #require(try await scene.host.store.get(name))
            bytes[96 + Int(dice.roll(below: UInt64(bytes.count - 96)))] ^= 1 << UInt8(dice.roll(below: 8))
            try await scene.host.store.delete(name)
            _ = try await scene.host.store.putIfAbsent(name, bytes)
            // A map may stand in it: then the sweep refuses, and deletes nothing.
            if let report = try? await scene.host.sweep() {
                #expect(report.damaged == [name.text] || report.damaged.isEmpty)
            }
            _ = try? await scene.host.sweepAll()
            #expect(try await scene.host.packs().contains(name), "\(name) was let go, and what it held is nowhere")
            // What the store gives back mends it: nothing was made of the damaged bytes.
            try await scene.host.store.delete(name)
            bytes = try #require(plan.objects[name])
            _ = try await scene.host.store.putIfAbsent(name, bytes)
            #expect(try await scene.isWhole())
        }
    }

    @Test("a backup that began before and leans on what was dead keeps the old pack")
    func pardoned() async throws {
        let scene = try await HalfDead()
        let sample = scene.host.sample
        let writer = sample.hosts[1].copy()
        let repository = try await OpenRepository.open(store: scene.host.store, key: .credential(writer.credential))
        let session = try await WritingSession.begin(
            repository,
            state: HostState(files: writer.disk, repository: sample.owner.repository, randomness: .seeded(30)),
            randomness: .seeded(31))
        let report = try await scene.host.sweep(patience: 1)
        #expect(report.rewritten > 0 && report.waitsFor == [session.session])
        let record = try await BackupRun(
            session,
            plan: BackupPlan(
                guest: writer.guest, label: writer.name, takenAt: 32, host: "host b", tool: "test", base: nil,
                workers: 1,
                now: { 32 })
        ).run([BackupDisk.image(name: "disk0", source: SimulatedImage(scene.original))])
        #expect(session.stored < 40 << 10, "it leans on the packs of the forgotten point")
        try await scene.host.sweepAll()
        #expect(try await scene.host.restores(record.identifier, as: [scene.original]))
        #expect(try await scene.isWhole())
    }

    @Test("a sweep that dies at any of its calls loses nothing, and the next does the rest")
    func dying() async throws {
        let scene = try await HalfDead()
        let snapshot = scene.host.store.snapshot()
        var (number, died) = (0, 0)
        while true {
            let host = SweepingHost(store: MemoryStore(snapshot, randomness: .seeded(3)), sample: scene.host.sample)
            let store = DyingStore(host.store, after: number)
            do { try await host.sweep(through: store) } catch { died += 1 }
            guard store.hasDied else { break }
            #expect(try await host.restores(scene.second, as: scene.disk), "died at call \(number)")
            try await host.sweepAll()
            #expect(try await host.restores(scene.second, as: scene.disk), "died at call \(number)")
            number += 41
        }
        #expect(died > 5, "\(died) died")
    }
}

/// A store that fails for good after some calls.
private final class DyingStore: SweepableStore {
    private let store: any SweepableStore
    private let last: Int
    private let calls = Mutex(0)

    init(_ store: any SweepableStore, after last: Int) {
        self.store = store
        self.last = last
    }

    var hasDied: Bool { calls.withLock { $0 > last } }

    private func step(_ name: String) throws(StorageError) {
        let call = calls.withLock { calls in
            calls += 1
            return calls
        }
        guard call <= last else { throw StorageError(code: .failed, sentence: "the store is gone at \(name)") }
    }

    func putIfAbsent(_ name: ObjectName, _ bytes: [UInt8]) async throws(StorageError) -> PutAnswer {
        try step(name.text)
        return try await store.putIfAbsent(name, bytes)
    }

    func get(_ name: ObjectName, offset: UInt64, count: Int) async throws(StorageError) -> [UInt8]? {
        try step(name.text)
        return try await store.get(name, offset: offset, count: count)
    }

    func byteCount(of name: ObjectName) async throws(StorageError) -> UInt64? {
        try step(name.text)
        return try await store.byteCount(of: name)
    }

    func list(prefix: String) async throws(StorageError) -> [ObjectName] {
        try step(prefix)
        return try await store.list(prefix: prefix)
    }

    func delete(_ name: ObjectName) async throws(StorageError) {
        try step(name.text)
        try await store.delete(name)
    }
}
