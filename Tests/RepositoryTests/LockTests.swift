import BackupModel
import ChunkEncryption
import Effects
import ObjectStorage
import Repository
import RepositoryFormat
import TestKit
import Testing

/// Locks of points: no sweep lets one go before its date, whatever one clock or one writer says.
@Suite("locks")
struct LockTests {
    static let day: UInt64 = 86_400_000_000_000

    /// The sample, whose hosts stand in day 1000, and whose first point is forgotten and locked until day 1100.
    struct Scene {
        let sample: SampleRepository
        let store: MemoryStore
        let hosts: [SampleRepository.Host]
        let point: PointID
        private var draws: UInt64 = 50

        init(locked: Bool = true) async throws {
            sample = try await Samples.sample()
            store = MemoryStore(sample.snapshot, randomness: .seeded(1))
            hosts = sample.hosts.map { $0.copy() }
            point = sample.points[0]
            try await backUp(day: 1000)
            let session = try await maintenance()
            if locked { try await session.lock([point], until: 1100 * day, at: 1000 * day, reason: "audit") }
            try await session.forget([point], at: 1000 * day, reason: "")
        }

        mutating func backUp(day number: UInt64) async throws {
            draws += 1
            try await hosts[0].backUp([[1, 2, 3]], to: store, at: number * day, randomness: .seeded(draws))
        }

        mutating func maintenance() async throws -> MaintenanceSession {
            draws += 1
            return try MaintenanceSession(
                try await OpenRepository.open(store: store, key: .credential(sample.maintainer)),
                randomness: .seeded(draws))
        }

        /// Sweeps with the maintainer's key and the clock at a day. - Returns: what is gone.
        mutating func sweep(day number: UInt64) async throws -> [PointID] {
            draws += 1
            let repository = try await OpenRepository.open(store: store, key: .credential(sample.maintainer))
            var memory = Sweep.Memory()
            var settings = Sweep.Settings(now: number * day)
            settings.patience = 0
            return try await Sweep.run(
                repository, store: store, state: nil, memory: &memory, settings: settings, randomness: .seeded(draws)
            ).dropped
        }

        func view() async throws -> RepositoryView {
            try await OpenRepository.open(store: store, key: .credential(sample.maintainer)).view()
        }

        func lockedUntil() async throws -> UInt64? {
            let view = try await view()
            guard let record = view.points.map(\.record).first(where: { $0.identifier == point }) else { return nil }
            return view.said.lock(of: record, at: DecisionTimes(lock: 0, approval: 0))
        }
    }

    @Test("a forgotten point that is not locked goes; one that is stays until its date, and goes then")
    func date() async throws {
        var free = try await Scene(locked: false)
        #expect(try await free.sweep(day: 1001) == [free.point])
        var scene = try await Scene()
        #expect(try await scene.lockedUntil() == 1100 * Self.day)
        #expect(try await scene.view().said.holds(of: scene.point).isEmpty)
        #expect(try await scene.sweep(day: 1001).isEmpty)
        try await scene.backUp(day: 1099)
        #expect(try await scene.sweep(day: 1099).isEmpty)
        #expect(try await scene.view().points.contains { $0.record.identifier == scene.point })
        #expect(try await scene.sweep(day: 1100) == [scene.point])
    }

    @Test("a clock that jumps ahead ends no lock, however often it sweeps")
    func jumpingClock() async throws {
        var scene = try await Scene()
        for day: UInt64 in [1100, 2000, 9000] { #expect(try await scene.sweep(day: day).isEmpty) }
        // Nor when the same key signs a time of its own, by forgetting something.
        let session = try await scene.maintenance()
        try await session.forget([scene.point], at: 5000 * Self.day, reason: "")
        #expect(try await scene.sweep(day: 5000).isEmpty)
    }

    @Test("a record dated far ahead ends no lock for a sweep with a true clock")
    func forgedRecord() async throws {
        var scene = try await Scene()
        try await scene.backUp(day: 9000)
        #expect(try await scene.sweep(day: 1001).isEmpty)
    }

    @Test("a shorter lock behind a longer one changes nothing, a longer one does")
    func longest() async throws {
        var scene = try await Scene()
        let session = try await scene.maintenance()
        try await session.lock([scene.point], until: 1001 * Self.day, at: 1000 * Self.day, reason: "")
        #expect(try await scene.lockedUntil() == 1100 * Self.day)
        try await session.lock([scene.point], until: 1200 * Self.day, at: 1000 * Self.day, reason: "")
        try await scene.backUp(day: 1150)
        #expect(try await scene.sweep(day: 1150).isEmpty)
    }

    @Test("an undo or a second forget does not end a lock; a point that is gone is not locked")
    func words() async throws {
        var scene = try await Scene()
        let session = try await scene.maintenance()
        _ = try await session.undo([scene.point])
        try await session.forget([scene.point], at: 1000 * Self.day, reason: "")
        #expect(try await scene.sweep(day: 1001).isEmpty)
        var free = try await Scene(locked: false)
        _ = try await free.sweep(day: 1001)
        let late = try await free.maintenance()
        let point = free.point
        await #expect(throws: RepositoryError.self) {
            try await late.lock([point], until: 1100 * Self.day, at: 1001 * Self.day, reason: "")
        }
    }

    @Test("a lock of all points is of those that are there and of later ones, each by its own run; the longest counts")
    func standing() async throws {
        var scene = try await Scene(locked: false)
        let session = try await scene.maintenance()
        // The points of the sample ended in day 0, and the scene's own in day 1000.
        try await session.lockAll(for: 1100 * Self.day, at: 1000 * Self.day, reason: "")
        try await session.lockAll(for: Self.day, at: 1000 * Self.day, reason: "shorter")
        #expect(try await scene.sweep(day: 1001).isEmpty)
        try await scene.backUp(day: 1099)
        #expect(try await scene.sweep(day: 1099).isEmpty)
        let later = try #require(try await scene.view().points.max { $0.record.endedAt < $1.record.endedAt })
        try await session.forget([later.record.identifier], at: 1099 * Self.day, reason: "")
        try await scene.backUp(day: 1102)
        #expect(try await scene.sweep(day: 1102) == [scene.point])
        #expect(try await scene.sweep(day: 9000).isEmpty, "a clock that jumps")
        try await scene.backUp(day: 2200)
        #expect(try await scene.sweep(day: 2200) == [later.record.identifier])
    }

    @Test("a lock of all points holds what is forgotten until it stands, and a writer may not say it")
    func standingRecord() async throws {
        var scene = try await Scene(locked: false)
        try await scene.maintenance().lockAll(for: Self.day, at: 1000 * Self.day, reason: "")
        #expect(try await scene.view().said.holds(of: scene.point).isEmpty)
        let held = try await scene.view().log.slots.contains { slot in
            if case .hold(let points)? = slot.content?.claim { points.contains(scene.point) } else { false }
        }
        #expect(held)
        let record = StandingLockRecord(duration: 5, at: 4, reason: "why").record
        #expect(record.isCritical && record.kind == 10)
        #expect(try StandingLockRecord(record, name: "x").duration == 5)
        for wrong in [0, StandingLockRecord.longest + 1] {
            let body = RecordValue.map(["for": .unsigned(wrong), "at": .unsigned(1), "reason": .text("")])
            #expect(throws: FormatError.self) {
                try StandingLockRecord(Record(kind: 10, isCritical: true, body: body), name: "x")
            }
        }
    }

    @Test("a writer may not lock, and a program that does not know locks refuses to sweep")
    func rights() async throws {
        let scene = try await Scene()
        let repository = try await OpenRepository.open(
            store: scene.store, key: .credential(scene.hosts[0].credential))
        #expect(throws: RepositoryError.self) { try MaintenanceSession(repository, randomness: .seeded(1)) }
        let record = LockRecord(points: [scene.point], until: 5, at: 4, reason: "why").record
        // Unknown critical records stop a sweep (format page §11).
        #expect(record.isCritical)
        #expect(try LockRecord(record, name: "x").until == 5)
        let none = Record(kind: Record.lockKind, isCritical: true, body: .map(["points": .array([])]))
        #expect(throws: FormatError.self) { try LockRecord(none, name: "x") }
    }
}
