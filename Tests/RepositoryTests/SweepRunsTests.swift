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

@Suite("index runs and the sweep (S10)")
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

    @Test("runs and carried keys stay few, however many nights there were")
    func bounded() async throws {
        let host = try await Self.fresh()
        let writer = host.sample.hosts[0].copy()
        var dice = Dice(seed: 8)
        var disk = dice.bytes(60 << 10)
        var points: [(point: PointID, disk: [UInt8])] = []
        var (merged, most) = (0, 0)
        for night in 0..<16 {
            let start = Int(dice.roll(below: 14)) << 12
            disk.replaceSubrange(start..<start + 4096, with: dice.bytes(4096))
            let record = try await writer.backUp(
                [disk], to: host.store, at: UInt64(20 + night), randomness: .seeded(dice.next()))
            points.append((record.identifier, disk))
            if points.count > 3 { try await host.forget([points.removeFirst().point]) }
            if night % 2 == 1 { merged += try await host.sweep().mergedRuns }
            most = max(most, try await host.store.list(prefix: "runs/").count)
        }
        try await host.sweepAll()
        let (runs, ledger) = (
            try await host.store.list(prefix: "runs/"), try #require(try await host.view().log.ledger)
        )
        #expect(merged > 4 && most < 20, "\(merged) runs merged, at most \(most) there")
        #expect(runs.count < 2 * IndexMerge.width, "\(runs.count) runs are left")
        #expect(ledger.generation.count == runs.count, "what the ledger names is there, and nothing else")
        let packs = try await host.packs().count
        #expect(
            ledger.condemnedCarried.count * 2 < packs, "\(ledger.condemnedCarried.count) keys beside \(packs) packs")
        for (point, disk) in points { #expect(try await host.restores(point, as: [disk])) }
        for point in host.sample.points {
            #expect(try await host.restores(point, as: try #require(host.sample.disks[point])))
        }
    }

    @Test("a merge that left something out takes the place of nothing, and the sweep goes on")
    func leavingOut() async throws {
        let host = try await Self.fresh()
        try await host.sweepAll()
        let sample = host.sample
        let writer = sample.hosts[0].copy()
        let repository = try await OpenRepository.open(store: host.store, key: .credential(writer.credential))
        let session = try await WritingSession.begin(
            repository,
            state: HostState(files: writer.disk, repository: sample.owner.repository, randomness: .seeded(1)),
            randomness: .seeded(2))
        let signer = try #require(writer.credential.signingKey)
        let ledger = try #require(session.view.log.ledger)
        let first = try #require(try await host.packs().first)
        let pack = try #require(ObjectKey(name: first.text, folder: "packs"))
        let run = IndexRunBuilder.run(
            entries: [IndexEntry(identifier: IndexWriter.identifier(1), pack: 0, ordinal: 0)], packs: [pack],
            merged: ledger.generation.map(\.hash), repository: session.keys.repository, domain: 0,
            keyEpoch: session.keys.domain.epoch, indexKey: try session.keys.indexKey(), signer: signer,
            randomness: [UInt8](repeating: 3, count: 32))
        let key = ObjectKey(hash: run.hash, generation: session.slot.slot.epoch)
        var inventory = Inventory()
        inventory.runs = [Inventory.Run(key: key, byteCount: UInt64(run.bytes.count))]
        let entry = try SessionEntry.compose(
            SessionEntry.Draft(
                writer: session.writer, session: session.session, number: 0, previous: session.slot.hash,
                slot: session.slot.slot, action: .commit, heads: repository.heads(session.view), inventory: inventory,
                records: []), recipient: try session.keys.recipient(.structure), signer: signer, randomness: .seeded(4))
        let place = ObjectPaths.sessionEntry(writer: session.writer, session: session.session, number: 0)
        for (name, bytes) in [(key.runName, run.bytes), (place, entry.bytes)] {
            _ = try await host.store.putIfAbsent(try #require(ObjectName(name)), bytes)
        }
        try await host.forget([sample.points[0]])
        try await host.sweepAll()
        let left = Set(try await host.store.list(prefix: "runs/").map(\.text))
        #expect(left.isSuperset(of: ledger.generation.map(\.runName)), "what the merge left out is found nowhere else")
        for point in sample.points.dropFirst() {
            #expect(try await host.restores(point, as: try #require(sample.disks[point])))
        }
    }

    @Test("a run that nobody has named goes, once nobody can name it any more")
    func orphan() async throws {
        let host = try await Self.fresh()
        let bytes: [UInt8] = [1, 2, 3]
        let name = try #require(
            ObjectName(ObjectKey(hash: SecureHash.sha256(bytes), generation: 0).runName))
        _ = try await host.store.putIfAbsent(name, bytes)
        try await host.sweep()
        #expect(try await host.store.byteCount(of: name) != nil, "a session of that epoch may have named it")
        try await host.sweepAll()
        #expect(try await host.store.byteCount(of: name) == nil)
        #expect(try await host.view().log.ledger?.condemnedCarried == [])
    }

    @Test("what a sweep merges: groups of one size, and all that name packs that are gone once those are many")
    func due() {
        func weight(_ entries: Int, _ packs: Int = 10, gone: Int = 0) -> IndexMerge.Weight {
            IndexMerge.Weight(entryCount: entries, packCount: packs, goneCount: gone)
        }
        #expect(IndexMerge.due([]).isEmpty)
        #expect(IndexMerge.due([weight(5), weight(5), weight(5)]).isEmpty)
        #expect(IndexMerge.due([weight(5), weight(5), weight(5), weight(5), weight(1 << 20)]) == [0, 1, 2, 3])
        #expect(IndexMerge.due([weight(1 << 20, 100, gone: 24)]).isEmpty)
        #expect(IndexMerge.due([weight(1 << 20, 100, gone: 25)]) == [0])
        #expect(IndexMerge.due([weight(1 << 20, 100, gone: 25), weight(5)]).isEmpty)
        // All gone: nothing is left to merge.
        #expect(IndexMerge.due([weight(5, 10, gone: 10), weight(1 << 20, 10, gone: 1)]) == [1])
        #expect(IndexMerge.due([weight(IndexMerge.entryLimit + 1, 10, gone: 9)]).isEmpty)
    }

    /// What is said anew of packs that could not be asked says less than what it would take the place of.
    @Test("a run that could not be read is replaced by none, when a pack it lists cannot be asked either")
    func replacedByLess() async throws {
        let host = try await Self.fresh()
        let writer = host.sample.hosts[0].copy()
        let before = Set(try await host.store.list(prefix: ""))
        try await writer.backUp([[UInt8](repeating: 7, count: 9_000)], to: host.store, at: 10, randomness: .seeded(1))
        let new = try await host.store.list(prefix: "").filter { !before.contains($0) }
        let runs = new.filter { $0.text.hasPrefix("runs/") }
        let hidden = Set(new.filter { $0.text.hasPrefix("runs/") || $0.text.hasPrefix("packs/") })
        #expect(!runs.isEmpty && hidden.count > runs.count)
        try await writer.backUp(
            [[1, 2, 3]], to: FailingAt(host.store, hidden), at: 11, randomness: .seeded(2))
        let repository = try await OpenRepository.open(store: host.store, key: .credential(host.sample.owner))
        let asked = Set(try await RepositoryReader(repository, view: repository.view()).index.askedRuns)
        #expect(asked.isSuperset(of: runs.map(\.text)), "they are passed over, and their packs are listed nowhere")
    }
}

/// A store that fails to read some objects, as one with bad sectors does.
private struct FailingAt: ObjectStore {
    let store: any ObjectStore
    let names: Set<ObjectName>

    init(_ store: any ObjectStore, _ names: Set<ObjectName>) {
        self.store = store
        self.names = names
    }

    func putIfAbsent(_ name: ObjectName, _ bytes: [UInt8]) async throws(StorageError) -> PutAnswer {
        try await store.putIfAbsent(name, bytes)
    }

    func get(_ name: ObjectName, offset: UInt64, count: Int) async throws(StorageError) -> [UInt8]? {
        if names.contains(name) { throw StorageError(code: .failed, sentence: "the store failed at \(name)") }
        return try await store.get(name, offset: offset, count: count)
    }

    func byteCount(of name: ObjectName) async throws(StorageError) -> UInt64? { try await store.byteCount(of: name) }
    func list(prefix: String) async throws(StorageError) -> [ObjectName] { try await store.list(prefix: prefix) }
}
