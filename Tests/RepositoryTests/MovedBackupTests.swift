import BackupModel
import Capture
import ChunkEncryption
import Effects
import GuestSource
import ObjectStorage
import Repository
import RepositoryFormat
import Simulation
import Synchronization
import TestKit
import Testing

/// A backup that takes so long that sweeps come between: it goes on in a session of the open epoch (format page §12).
@Suite("backups that outlive an epoch (S10, S26)")
struct MovedBackupTests {
    /// A host, one point of three regions that was forgotten, and a backup that builds on it.
    private struct Night {
        let host: SweepingHost
        let writer: SampleRepository.Host
        let region: Int
        /// The disk at the first point, and now: the second region is another.
        let (before, now): ([UInt8], [UInt8])
        let base: RestorePointRecord

        init() async throws {
            let sample = try await Samples.sample()
            host = SweepingHost(store: MemoryStore(sample.snapshot, randomness: .seeded(1)), sample: sample)
            writer = sample.hosts[0].copy()
            var dice = Dice(seed: 5)
            let repository = try await OpenRepository.open(store: host.store, key: .credential(writer.credential))
            region = Int(repository.chain.defaults.region)
            before = dice.bytes(3 * region)
            now = before[..<region] + dice.bytes(region) + before[(2 * region)...]
            base = try await writer.backUp([before], to: host.store, at: 10, randomness: .seeded(11))
            try await host.sweepAll()
        }

        /// Begins the backup's first session.
        func session(_ store: (any ObjectStore)? = nil) async throws -> WritingSession {
            let repository = try await OpenRepository.open(
                store: store ?? host.store, key: .credential(writer.credential))
            let state = try HostState(
                files: writer.disk, repository: repository.chain.repository, randomness: .seeded(2))
            return try await WritingSession.begin(
                repository, state: state, randomness: .seeded(3), packsPerCheckpoint: 1,
                bases: { _ in [base.identifier] })
        }

        /// The disk as its first point has it, with the list of what changed.
        func earlier() async throws -> EarlierImage {
            let view = try await host.view()
            let reader = try await RepositoryReader(
                try await OpenRepository.open(store: host.store, key: .credential(host.sample.owner)), view: view)
            let commit = try #require(
                view.sessions.flatMap { session in session.entries.map { (session, $0) } }.last {
                    $1.action == .commit && $0.signer == writer.credential.signingKey?.publicKey.fingerprint
                })
            return EarlierImage(
                map: try await ImageMap(base.images[0], reader: reader),
                changed: [Extent(start: UInt64(region), length: UInt64(region))],
                provenBy: (base.identifier, try #require(commit.0.head)))
        }

        /// Backs the disk up. - Parameter reading: called before a region is read.
        func backUp(
            _ session: WritingSession, changes: Bool = false, clock: @escaping @Sendable () -> UInt64 = { 12 },
            reading: @escaping @Sendable (Int) async -> Void
        ) async throws -> (record: RestorePointRecord, session: WritingSession) {
            let plan = BackupPlan(
                guest: writer.guest, label: writer.name, takenAt: 12, host: writer.name, tool: "test",
                base: base.identifier, workers: 1, now: clock)
            let image = WatchedImage(image: SimulatedImage(now, changes: changes), region: region, reading: reading)
            return try await BackupRun(session, plan: plan).runInSessions([
                .image(name: "disk0", source: image, since: try await earlier())
            ])
        }
    }

    @Test(
        "a sweep does not wait for its end, and nothing is lost of what it has",
        arguments: [nil, SweepRule.movedIsCovered])
    func goesOn(without rule: SweepRule?) async throws {
        let night = try await Night()
        let host = night.host
        let first = try await night.session()
        let swept = Mutex<[Sweep.Report]>([])
        let read = Mutex<[Int]>([])
        let (record, last) = try await SweepRule.breaking(rule) {
            try await night.backUp(first) { number in
                read.withLock { $0.append(number) }
                do {
                    // While the second region is read, what the first one leans on is forgotten and condemned.
                    if number == 1 {
                        try await host.forget([night.base.identifier])
                        let report = try await host.sweep(patience: 1)
                        swept.withLock { $0.append(report) }
                    }
                    // The third is looked for and not found: it is read, in another session.
                    if number == 2 {
                        let report = try await host.sweep(patience: 1)
                        swept.withLock { $0.append(report) }
                    }
                } catch { Issue.record(error) }
            }
        }
        let reports = swept.withLock { $0 }
        #expect(reports[0].hasClosed && reports[0].waitsFor == [first.session], "a close came while it ran")
        #expect(
            reports[1].deleted > 0 && !reports[1].waitsFor.contains(first.session),
            "the next sweep did not wait for it, and deleted")
        #expect(last.session != first.session && last.slot.slot.epoch > first.slot.slot.epoch)
        #expect(read.withLock { $0 } == [1, 2], "the base was gone: nothing is inherited from it any more")
        var isWhole = false
        do {
            try await host.sweepAll()
            isWhole = try await host.restores(record.identifier, as: [night.now])
        } catch let error as RepositoryError where error.code == .damaged { /* A sweep has met what is lost. */  }
        #expect(isWhole == (rule == nil), "whole because of the last checkpoint, and without it not")
        let ended = try await host.view().sessions.first { $0.session == first.session }
        #expect(ended?.entries.last?.action == .abandon)
        // The host knows both sessions for its own, and its next backup is as any other.
        guard rule == nil else { return }
        let next = try await night.writer.backUp([night.now], to: host.store, at: 13, randomness: .seeded(14))
        try await host.sweepAll()
        #expect(try await host.restores(next.identifier, as: [night.now]))
    }

    @Test("it inherits from its base as long as that is shown")
    func inherits() async throws {
        let night = try await Night()
        let first = try await night.session()
        let read = Mutex<[Int]>([])
        let (record, last) = try await night.backUp(first) { number in
            read.withLock { $0.append(number) }
            do {
                try await night.host.forget([night.host.sample.points[0]])
                try await night.host.sweep(patience: 1)
            } catch { Issue.record(error) }
        }
        #expect(last.session != first.session)
        #expect(read.withLock { $0 } == [1])
        try await night.host.sweepAll()
        #expect(try await night.host.restores(record.identifier, as: [night.now]))
    }

    @Test("a verdict that cannot see all that it leans on deletes nothing, until it is clear that no point comes of it")
    func strict() async throws {
        let night = try await Night()
        let host = night.host
        let first = try await night.session()
        let lost = Mutex<ObjectName?>(nil)
        await #expect(throws: SourceError.self) {
            try await night.backUp(first, changes: true) { number in
                do {
                    if number == 1 {
                        try await host.forget([night.base.identifier])
                        try await host.sweep(patience: 1)
                        return
                    }
                    let entries = try await host.view().sessions.first { $0.session == first.session }?.entries ?? []
                    let pack = try #require(
                        entries.flatMap(\.inventory.packs).first { $0.objectClass == .structure })
                    let name = try #require(ObjectName(pack.key.packName))
                    try await host.store.delete(name)
                    lost.withLock { $0 = name }
                    await #expect { try await host.sweep(patience: 1) } throws: { error in
                        (error as? RepositoryError)?.sentence.contains("a backup that goes on in another session")
                            ?? false
                    }
                } catch { Issue.record(error) }
            }
        }
        #expect(lost.withLock { $0 } != nil, "there was something to lose")
        // The image changed while it was read: no point comes of it, and what it lost is in nobody's way.
        try await host.sweepAll()
        for point in host.sample.points {
            #expect(try await host.restores(point, as: try #require(host.sample.disks[point])))
        }
    }

    /// What it shows of others in its second session it saw then, and not when it began: a point would be dated before
    /// it existed, and rules would let go what they promise.
    @Test("nobody's points are taken for older than they are because of it")
    func sightings() async throws {
        let night = try await Night()
        let host = night.host
        let other = host.sample.hosts[1].copy()
        let made = Mutex<PointID?>(nil)
        let clock = Mutex<UInt64>(100)
        let (_, last) = try await night.backUp(try await night.session(), clock: { clock.withLock { $0 } }) { number in
            do {
                guard number == 1 else { return }
                clock.withLock { $0 = 200 }
                // Before, for it is said with a time of long ago.
                try await host.forget([night.base.identifier])
                let record = try await other.backUp([[1, 2, 3]], to: host.store, at: 200, randomness: .seeded(21))
                made.withLock { $0 = record.identifier }
                try await host.sweep(patience: 1)
                clock.withLock { $0 = 300 }
            } catch { Issue.record(error) }
        }
        let view = try await host.view()
        let point = try #require(view.points.first { $0.record.identifier == made.withLock { $0 } })
        let moved = try #require(view.points.first { $0.session == last.session })
        #expect(moved.record.startedAt == 100 && moved.record.continuedAt == 300)
        let sighting = Sightings(in: view, revoked: [], now: 1_000)[point]
        #expect(sighting.firstSeen == 300, "it was not there when the backup began")
    }

    @Test("it goes on nowhere when a sweep has ended its session meanwhile")
    func fenced() async throws {
        let night = try await Night()
        let isArmed = Mutex(false)
        let store = HookedStore(store: night.host.store) { name in
            // The slot of the session in which it wants to go on.
            guard name.text.hasPrefix("log/"),
                isArmed.withLock({ isArmed in
                    defer { isArmed = false }
                    return isArmed
                })
            else { return }
            do { #expect(try await night.host.sweep().fenced.count == 1) } catch { Issue.record(error) }
        }
        let first = try await night.session(store)
        await #expect {
            try await night.backUp(first) { number in
                do {
                    try await night.host.forget([night.base.identifier])
                    try await night.host.sweep(patience: 1)
                } catch { Issue.record(error) }
                isArmed.withLock { $0 = true }
            }
        } throws: { error in
            (error as? RepositoryError)?.sentence.contains("somebody ended this session") ?? false
        }
        let view = try await night.host.view()
        #expect(view.sessions.first { $0.session == first.session }?.entries.last?.action == .fenced)
        // The next backup ends the session that was begun for nothing.
        let next = try await night.writer.backUp([night.now], to: night.host.store, at: 13, randomness: .seeded(14))
        try await night.host.sweepAll()
        #expect(try await night.host.restores(next.identifier, as: [night.now]))
    }
}

/// An image that tells when a region is read for the first time.
private final class WatchedImage: ImageSource {
    private let image: SimulatedImage
    private let region: Int
    private let reading: @Sendable (Int) async -> Void
    private let seen = Mutex<Set<Int>>([])

    init(image: SimulatedImage, region: Int, reading: @escaping @Sendable (Int) async -> Void) {
        self.image = image
        self.region = region
        self.reading = reading
    }

    var byteCount: UInt64 { image.byteCount }
    var summary: ImageSummary { image.summary }

    func extents(in range: Extent) async throws(SourceError) -> [SourceExtent] { try await image.extents(in: range) }

    func read(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) async throws(SourceError) {
        let number = Int(offset) / region
        if seen.withLock({ $0.insert(number).inserted }) { await reading(number) }
        try await unsafe image.read(at: offset, into: buffer)
    }

    func confirmUnchanged() async throws(SourceError) { try await image.confirmUnchanged() }

    func close() async { await image.close() }
}

/// A store that lets others go first when something is put.
private struct HookedStore: ObjectStore {
    let store: any ObjectStore
    let putting: @Sendable (ObjectName) async -> Void

    func putIfAbsent(_ name: ObjectName, _ bytes: [UInt8]) async throws(StorageError) -> PutAnswer {
        await putting(name)
        return try await store.putIfAbsent(name, bytes)
    }

    func get(_ name: ObjectName, offset: UInt64, count: Int) async throws(StorageError) -> [UInt8]? {
        try await store.get(name, offset: offset, count: count)
    }

    func byteCount(of name: ObjectName) async throws(StorageError) -> UInt64? { try await store.byteCount(of: name) }

    func list(prefix: String) async throws(StorageError) -> [ObjectName] { try await store.list(prefix: prefix) }
}
