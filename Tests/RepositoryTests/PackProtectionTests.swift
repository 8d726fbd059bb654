import BackupModel
import Effects
import ObjectStorage
import Repository
import RepositoryFormat
import Simulation
import Synchronization
import TestKit
import Testing

/// A guest with two points that have nothing in common, of which the first is forgotten, behind a store that protects.
private struct Guarded {
    static let day = LockTests.day

    let host: SweepingHost
    let store: ProtectedStore
    let first: PointID
    let disk: [UInt8]

    init(locked: Bool = true) async throws {
        let sample = try await Samples.sample()
        let memory = MemoryStore(sample.snapshot, randomness: .seeded(1))
        host = SweepingHost(store: memory, sample: sample)
        store = ProtectedStore(memory)
        var dice = Dice(seed: 9)
        disk = dice.bytes(480 << 10)
        let writer = sample.hosts[0].copy()
        first = try await writer.backUp([disk], to: memory, at: 1000 * Self.day, randomness: .seeded(11)).identifier
        try await writer.backUp([dice.bytes(96 << 10)], to: memory, at: 1000 * Self.day, randomness: .seeded(12))
        if locked {
            let repository = try await OpenRepository.open(store: memory, key: .credential(sample.maintainer))
            try await MaintenanceSession(repository, randomness: .seeded(13)).lock(
                [first], until: 1100 * Self.day, at: 1000 * Self.day, reason: "audit")
        }
        try await host.forget([first])
    }

    func sweep(day: UInt64) async throws -> Sweep.Report {
        try await host.sweep(now: day * Self.day, rewriteByteLimit: 0, through: store)
    }

    /// Another host backs up, so that the lock is over for a sweep of this day.
    func endLock() async throws {
        try await host.sample.hosts[1].copy().backUp(
            [[1, 2, 3]], to: host.store, at: 1100 * Self.day, randomness: .seeded(14))
    }

    /// Protected packs; each is there.
    func protectedPacks() async throws -> Set<ObjectName> {
        let packs = Set(try await host.packs())
        let flags = store.flags.filter { $0.text.hasPrefix("packs/") }
        #expect(flags.isSubset(of: packs))
        return flags
    }
}

/// A sweep has the store protect what locked points lean on, and nothing depends on it.
@Suite("packs of locked points are protected")
struct PackProtectionTests {
    @Test("those that a locked point leans on, no others, once; released and freed when the lock is over")
    func life() async throws {
        let scene = try await Guarded()
        let report = try await scene.sweep(day: 1001)
        let flags = try await scene.protectedPacks()
        #expect(report.protection?.protected == flags.count && flags.count > PackProtectionTests.vainCallLimit)
        #expect(report.protection?.open == 0 && report.protection?.released == 0)
        #expect(report.protection?.trouble == nil)
        #expect(flags.count < (try await scene.host.packs().count))
        let one = try #require(flags.first)
        await #expect(throws: StorageError.self) { try await scene.store.delete(one) }
        #expect(try await scene.host.restores(scene.first, as: [scene.disk]))
        // What is not protected is not what the point leans on.
        for pack in try await scene.host.packs() where !flags.contains(pack) {
            let copy = SweepingHost(
                store: MemoryStore(scene.host.store.snapshot(), randomness: .seeded(2)), sample: scene.host.sample)
            try await copy.store.delete(pack)
            let restores = try? await copy.restores(scene.first, as: [scene.disk])
            #expect(restores == true, "\(pack) is needed and not protected")
        }
        let changes = scene.store.changes
        #expect(try await scene.sweep(day: 1001).protection?.protected == flags.count)
        #expect(scene.store.changes == changes, "what is so already is not said again")
        try await scene.endLock()
        let last = try await scene.sweep(day: 1100)
        #expect(last.dropped == [scene.first] && last.left.isEmpty)
        #expect(last.protection?.released == flags.count && last.protection?.protected == 0)
        #expect(try await scene.protectedPacks().isEmpty)
        #expect(flags.isDisjoint(with: try await scene.host.packs()))
    }

    @Test("without a lock nothing is asked or changed; what somebody else protected stays so, unless it is dead")
    func foreign() async throws {
        let scene = try await Guarded(locked: false)
        let all = Set(try await scene.store.list(prefix: ""))
        scene.store.protect(all)
        let report = try await scene.sweep(day: 1001)
        #expect(report.protection == nil && report.dropped == [scene.first] && report.left.isEmpty)
        #expect(report.deleted > 0)
        let left = Set(try await scene.store.list(prefix: ""))
        #expect(all.intersection(left) == scene.store.flags)
        // Beside locks packs are the sweep's, and nothing else is.
        let other = try await Guarded()
        let names = Set(try await other.store.list(prefix: "")).filter { !$0.text.hasPrefix("packs/") }
        other.store.protect(names)
        _ = try await other.sweep(day: 1001)
        let stay = names.intersection(try await other.store.list(prefix: ""))
        #expect(stay.count > 20 && other.store.flags.filter { !$0.text.hasPrefix("packs/") } == stay)
    }

    @Test(
        "a store that cannot do it, or may not, is asked a few times and told of; the lock holds and things are freed")
    func unable() async throws {
        for trouble in [ProtectedStore.Trouble.looks, .changes] {
            let scene = try await Guarded()
            scene.store.set(trouble)
            let report = try await scene.sweep(day: 1001)
            let protection = try #require(report.protection)
            #expect(protection.protected == 0 && protection.open > PackProtectionTests.vainCallLimit)
            #expect(protection.trouble?.contains("flag") == true)
            #expect(scene.store.failures == PackProtectionTests.vainCallLimit)
            #expect(try await scene.host.restores(scene.first, as: [scene.disk]))
            try await scene.endLock()
            let last = try await scene.sweep(day: 1100)
            #expect(last.dropped == [scene.first] && last.left.isEmpty && last.deleted > 0)
            let after = try #require(last.protection)
            #expect(after.protected + after.open + after.released == 0 && after.trouble == nil)
        }
        let scene = try await Guarded()
        let plain = try await scene.host.sweep(now: 1001 * Guarded.day, rewriteByteLimit: 0).protection
        #expect(plain.map { $0.open > 0 && $0.trouble != nil } == true, "a store without the ability")
    }

    @Test("what is dead and cannot be released stays with a sentence, the rest goes, and the next sweep mends it")
    func stuck() async throws {
        let scene = try await Guarded()
        _ = try await scene.sweep(day: 1001)
        let flags = try await scene.protectedPacks()
        try await scene.endLock()
        scene.store.set(.changes)
        let report = try await scene.sweep(day: 1100)
        #expect(report.dropped == [scene.first] && report.protection?.released == 0)
        #expect(report.left.count == flags.count && report.left.allSatisfy { $0.contains("chattr -i") })
        #expect(try await scene.protectedPacks() == flags)
        scene.store.set(nil)
        let next = try await scene.sweep(day: 1100)
        #expect(next.left.isEmpty && next.deleted >= flags.count)
        #expect(try await scene.protectedPacks().isEmpty)
        #expect(flags.isDisjoint(with: try await scene.host.packs()))
    }

    @Test("ended at any change, what stays behind is mended by the next sweep")
    func ended() async throws {
        let count = try await { () async throws in
            let scene = try await Guarded()
            return try await scene.sweep(day: 1001).protection?.protected ?? 0
        }()
        for last in [0, 1, count / 2, count - 1] {
            let scene = try await Guarded()
            scene.store.end(after: last)
            await #expect(throws: CancellationError.self) { try await scene.sweep(day: 1001) }
            #expect(try await scene.protectedPacks().count == last)
            scene.store.end(after: .max)
            #expect(try await scene.sweep(day: 1001).protection?.protected == count)
            #expect(try await scene.protectedPacks().count == count)
            try await scene.endLock()
            scene.store.end(after: last)
            await #expect(throws: CancellationError.self) { try await scene.sweep(day: 1100) }
            #expect(try await scene.protectedPacks().count == count - last)
            scene.store.end(after: .max)
            #expect(try await scene.sweep(day: 1100).left.isEmpty)
            #expect(try await scene.protectedPacks().isEmpty)
            #expect(try await !scene.host.view().points.contains { $0.record.identifier == scene.first })
        }
    }

    /// Calls in vain before a store is not asked any more.
    static let vainCallLimit = 8
}

/// A store in memory whose objects can be protected, as files are that carry the immutable flag.
private final class ProtectedStore: ProtectingStore {
    enum Trouble { case looks, changes }

    private struct State {
        var flags: Set<ObjectName> = []
        var (changes, failures) = (0, 0)
        var trouble: Trouble?
        var callsLeft = Int.max
    }

    private let store: MemoryStore
    private let state = Mutex(State())

    init(_ store: MemoryStore) { self.store = store }

    var flags: Set<ObjectName> { state.withLock { $0.flags } }
    var changes: Int { state.withLock { $0.changes } }
    var failures: Int { state.withLock { $0.failures } }

    func protect(_ names: Set<ObjectName>) { state.withLock { $0.flags.formUnion(names) } }
    func set(_ trouble: Trouble?) { state.withLock { $0.trouble = trouble } }
    /// Behind so many changes the task is cancelled.
    func end(after count: Int) { state.withLock { $0.callsLeft = count } }

    func isProtected(_ name: ObjectName) async throws(StorageError) -> Bool? {
        guard try await store.byteCount(of: name) != nil else { return nil }
        return try state.withLock { state throws(StorageError) in
            try fail(.looks, &state, name)
            return state.flags.contains(name)
        }
    }

    func setProtected(_ name: ObjectName, _ isProtected: Bool) async throws(StorageError) {
        try state.withLock { state throws(StorageError) in
            try fail(.changes, &state, name)
            guard state.callsLeft > 0 else { throw StorageError(code: .interrupted, sentence: "ended") }
            state.callsLeft -= 1
            state.changes += 1
            if isProtected { state.flags.insert(name) } else { state.flags.remove(name) }
        }
    }

    private func fail(_ trouble: Trouble, _ state: inout State, _ name: ObjectName) throws(StorageError) {
        guard state.trouble == trouble else { return }
        state.failures += 1
        throw StorageError(code: .refused, sentence: "cannot set the flag of \(name)")
    }

    func delete(_ name: ObjectName) async throws(StorageError) {
        guard !flags.contains(name) else { throw StorageError(code: .refused, sentence: "cannot remove \(name)") }
        try await store.delete(name)
    }

    func putIfAbsent(_ name: ObjectName, _ bytes: [UInt8]) async throws(StorageError) -> PutAnswer {
        try await store.putIfAbsent(name, bytes)
    }

    func get(_ name: ObjectName, offset: UInt64, count: Int) async throws(StorageError) -> [UInt8]? {
        try await store.get(name, offset: offset, count: count)
    }

    func byteCount(of name: ObjectName) async throws(StorageError) -> UInt64? { try await store.byteCount(of: name) }

    func list(prefix: String) async throws(StorageError) -> [ObjectName] { try await store.list(prefix: prefix) }
}
