import BackupModel
import Capture
import GuestSource
import ObjectStorage
import Repository
import RepositoryFormat
import Simulation
import Synchronization
import TestKit
import Testing

/// A session that gets on slowly says that it lives, long before a sweep gives it up.
@Suite("signs of life of a session that captures")
struct PulseTests {
    private static let hour: UInt64 = 3600 * 1_000_000_000

    /// An image of which each read takes hours.
    private final class SlowImage: ImageSource {
        private let image: SimulatedImage
        private let clock: VirtualClock
        private let hours: UInt64

        init(_ bytes: [UInt8], clock: VirtualClock, hours: UInt64) {
            image = SimulatedImage(bytes)
            self.clock = clock
            self.hours = hours
        }

        var byteCount: UInt64 { image.byteCount }
        var summary: ImageSummary { image.summary }

        func extents(in range: Extent) async throws(SourceError) -> [SourceExtent] {
            try await image.extents(in: range)
        }

        func read(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) async throws(SourceError) {
            do { try await clock.sleep(hours * hour) } catch { throw SourceError(.interrupted, "interrupted", .retry) }
            try await unsafe image.read(at: offset, into: buffer)
        }

        func confirmUnchanged() async throws(SourceError) { try await image.confirmUnchanged() }
        func close() async { await image.close() }
    }

    /// A store that notes when entries of sessions come.
    private final class NotedStore: ObjectStore {
        private let store: any ObjectStore
        private let clock: VirtualClock
        let entries = Mutex<[UInt64]>([])

        init(_ store: any ObjectStore, clock: VirtualClock) {
            self.store = store
            self.clock = clock
        }

        func putIfAbsent(_ name: ObjectName, _ bytes: [UInt8]) async throws(StorageError) -> PutAnswer {
            if name.text.hasPrefix("s/") { entries.withLock { $0.append(clock.now) } }
            return try await store.putIfAbsent(name, bytes)
        }

        func get(_ name: ObjectName, offset: UInt64, count: Int) async throws(StorageError) -> [UInt8]? {
            try await store.get(name, offset: offset, count: count)
        }

        func byteCount(of name: ObjectName) async throws(StorageError) -> UInt64? {
            try await store.byteCount(of: name)
        }

        func list(prefix: String) async throws(StorageError) -> [ObjectName] { try await store.list(prefix: prefix) }
    }

    /// Backs two disks up of which each read takes hours.
    ///
    /// - Returns: when entries were put, and when the run was over.
    private func entries(hoursARead: UInt64, pulse: (VirtualClock) -> Pulse) async throws -> (at: [UInt64], end: UInt64)
    {
        let sample = try await Samples.sample()
        let host = sample.hosts[0].copy()
        let clock = VirtualClock()
        let store = NotedStore(try await SampleRepository.store(sample.objects), clock: clock)
        let repository = try await OpenRepository.open(store: store, key: .credential(host.credential))
        let state = try HostState(
            files: host.disk, repository: host.credential.repository, randomness: .seeded(8))
        let session = try await WritingSession.begin(repository, state: state, randomness: .seeded(9))
        var plan = BackupPlan(
            guest: host.guest, label: host.name, takenAt: 7, host: host.name, tool: "test", base: nil, workers: 1,
            now: { 7 })
        plan.pulse = pulse(clock)
        var dice = Dice(seed: 3)
        let disks = [2, 1].enumerated().map { number, regions in
            BackupDisk.image(
                name: "disk\(number)",
                source: SlowImage(dice.bytes(regions * 64 << 10), clock: clock, hours: hoursARead))
        }
        let isOver = Mutex(false)
        let run = try BackupRun(session, plan: plan)
        async let moving: Void = {
            // Time goes on when the reader and the sign of life both wait for it.
            while !isOver.withLock({ $0 }) {
                if clock.sleeperCount == 2 { clock.advance() } else { await Task.yield() }
            }
        }()
        let result = await run.outcome(disks)
        isOver.withLock { $0 = true }
        await moving
        _ = try result.get()
        return (store.entries.withLock { $0 }, clock.now)
    }

    /// The longest time without an entry, from the claim at 0 to the end.
    private func silence(_ run: (at: [UInt64], end: UInt64)) -> UInt64 {
        let times = [0] + run.at + [run.end]
        return zip(times, times.dropFirst()).map { $1 - $0 }.max() ?? 0
    }

    @Test(
        "however slow its source is, a session is never silent for longer than it promises", arguments: [1, 3, 5, 50])
    func slow(hours: UInt64) async throws {
        let run = try await entries(hoursARead: hours, pulse: { $0.pulse })
        #expect(run.end >= 3 * hours * Self.hour)
        #expect(silence(run) <= max(Pulse.longestSilence, hours == 1 ? 2 * Self.hour : 0))
        // The signs of life, and the commit.
        let due = Int(run.end / Pulse.longestSilence)
        #expect(run.at.count >= max(1, due), "\(run.at.map { $0 / Self.hour })")
    }

    @Test("without them it would be, and be given up: the check can fail")
    func canary() async throws {
        let run = try await entries(
            hoursARead: 50,
            pulse: { clock in Pulse(now: { 0 }, pause: { _ in try await clock.sleep(.max / 2) }) })
        #expect(silence(run) > 12 * Self.hour)
    }

    @Test("a sweep waits for several of them")
    func patience() {
        #expect(Sweep.Settings(now: 0).patience >= 4 * Pulse.longestSilence)
    }
}

extension BackupRun {
    /// As ``run(_:)``, with what it throws as a value.
    fileprivate consuming func outcome(_ disks: [BackupDisk]) async -> Result<RestorePointRecord, any Error> {
        do { return .success(try await run(disks)) } catch { return .failure(error) }
    }
}
