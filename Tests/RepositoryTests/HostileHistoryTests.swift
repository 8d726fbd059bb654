import BackupModel
import Effects
import ObjectStorage
import Repository
import RepositoryFormat
import Simulation
import Synchronization
import TestKit
import Testing

/// A store that lies while a host works with it.
private final class LyingStore: ObjectStore {
    enum Lie: CaseIterable {
        /// Acknowledges a put and forgets it.
        case dropsAPut
        /// Acknowledges a put and keeps half of it.
        case tearsAPut
        /// Answers a read with another object of the same folder.
        case exchanges
        /// Answers a read with the front of the object.
        case truncates
        /// Answers with one wrong bit.
        case flips
        /// From some call on, shows only what it had before.
        case goesBack
        /// From some call on, shows another repository.
        case goesElsewhere
    }

    private let store: MemoryStore
    private let before: [ObjectName: [UInt8]]
    private let foreign: [ObjectName: [UInt8]]
    private let lie: Lie
    private let number: Int
    private let salt: UInt64
    private let calls = Mutex(0)

    init(
        _ store: MemoryStore, before: [ObjectName: [UInt8]], foreign: [ObjectName: [UInt8]], lie: Lie, at number: Int,
        salt: UInt64
    ) {
        self.store = store
        self.before = before
        self.foreign = foreign
        self.lie = lie
        self.number = number
        self.salt = salt
    }

    private func enter() -> (isNow: Bool, isSince: Bool) {
        calls.withLock { calls in
            defer { calls += 1 }
            return (calls == number, calls >= number)
        }
    }

    private func shown(_ isSince: Bool) -> [ObjectName: [UInt8]]? {
        guard isSince else { return nil }
        return lie == .goesBack ? before : lie == .goesElsewhere ? foreign : nil
    }

    func putIfAbsent(_ name: ObjectName, _ bytes: [UInt8]) async throws(StorageError) -> PutAnswer {
        let (isNow, isSince) = enter()
        if isNow, lie == .dropsAPut { return .mine }
        if isNow, lie == .tearsAPut {
            _ = try await store.putIfAbsent(name, Array(bytes.prefix(bytes.count / 2)))
            return .mine
        }
        if let there = shown(isSince)?[name], there != bytes { return .theirs(there) }
        return try await store.putIfAbsent(name, bytes)
    }

    func get(_ name: ObjectName, offset: UInt64, count: Int) async throws(StorageError) -> [UInt8]? {
        let (isNow, isSince) = enter()
        func range(_ bytes: [UInt8]) -> [UInt8] { Array(bytes.dropFirst(Int(offset)).prefix(count)) }
        if let shown = shown(isSince) { return shown[name].map(range) }
        guard isNow, let bytes = try await store.get(name), !bytes.isEmpty else {
            return try await store.get(name, offset: offset, count: count)
        }
        switch lie {
        case .truncates: return range(Array(bytes.prefix(Int(salt % UInt64(bytes.count)))))
        case .flips:
            var wrong = bytes
            wrong[Int(salt % UInt64(bytes.count))] ^= 1 << UInt8(salt >> 32 & 7)
            return range(wrong)
        case .exchanges:
            let folder = name.text.prefix { $0 != "/" }
            let others = before.keys.filter { $0.text.hasPrefix(folder) && $0 != name }.sorted()
            return others.isEmpty ? range(bytes) : before[others[Int(salt % UInt64(others.count))]].map(range)
        default: return range(bytes)
        }
    }

    func byteCount(of name: ObjectName) async throws(StorageError) -> UInt64? {
        let (_, isSince) = enter()
        if let shown = shown(isSince) { return shown[name].map { UInt64($0.count) } }
        return try await store.byteCount(of: name)
    }

    func list(prefix: String) async throws(StorageError) -> [ObjectName] {
        let (_, isSince) = enter()
        if let shown = shown(isSince) { return shown.keys.filter { $0.text.hasPrefix(prefix) }.sorted() }
        return try await store.list(prefix: prefix)
    }
}

@Suite("a store that lies while a backup runs")
struct HostileHistoryTests {
    @Test("what a host was promised restores, or the lie is noticed; never wrong bytes", arguments: UInt64(0)..<20)
    func lies(batch: UInt64) async throws {
        let sample = try await Samples.sample()
        let foreign = try await Samples.foreign()
        var (promises, kept, noticed) = (0, 0, 0)
        for seed in batch * 25..<(batch + 1) * 25 {
            // The seed decides in which order tasks go on, too.
            let (promise, isKept, isNoticed) = try await SeededExecutor(seed: seed).run {
                try await play(seed, sample, foreign)
            }
            promises += promise ? 1 : 0
            kept += isKept ? 1 : 0
            noticed += isNoticed ? 1 : 0
        }
        print("lies \(batch): \(promises) promises, \(kept) kept, \(noticed) noticed")
    }

    private func play(
        _ seed: UInt64, _ sample: SampleRepository, _ foreign: SampleRepository
    ) async throws -> (Bool, Bool, Bool) {
        var dice = Dice(seed: seed)
        let store = try await SampleRepository.store(sample.objects)
        let host = sample.hosts[Int(seed % 2)].copy()
        let lie = LyingStore.Lie.allCases[Int(dice.roll(below: UInt64(LyingStore.Lie.allCases.count)))]
        let lying = LyingStore(
            store, before: sample.objects, foreign: foreign.objects, lie: lie,
            at: Int(dice.roll(below: 90)), salt: dice.next())
        let disk = dice.bytes(60 << 10)
        let what = "seed \(seed), \(lie)"
        let record: RestorePointRecord
        do {
            record = try await host.backUp([disk], to: lying, at: 100, randomness: .seeded(seed))
        } catch is RepositoryError { return (false, false, false) }
        let look = try await look(store, sample, host, record, disk, what)
        #expect(look.isThere || look.isNoticed, "\(what): a promised point is gone and nobody says so")
        return (true, look.isThere, !look.isThere && look.isNoticed)
    }

    private func look(
        _ store: MemoryStore, _ sample: SampleRepository, _ host: SampleRepository.Host,
        _ promised: RestorePointRecord, _ disk: [UInt8], _ what: String
    ) async throws -> (isThere: Bool, isNoticed: Bool) {
        var isThere = false
        var isNoticed = false
        do {
            let repository = try await OpenRepository.open(store: store, key: .credential(sample.owner))
            let view = try await repository.view()
            let reader = try await RepositoryReader(repository, view: view)
            for point in view.points {
                guard let disks = point.record == promised ? [disk] : sample.disks[point.record.identifier] else {
                    Issue.record("\(what): a point that nobody made")
                    continue
                }
                do {
                    for (disk, image) in zip(disks, point.record.images) {
                        #expect(
                            try await RestoredImage.bytes(of: image, reader: reader) == disk, "\(what): WRONG BYTES")
                    }
                    if point.record == promised { isThere = true }
                } catch is RepositoryError {}
            }
            let report = try await Verification(repository, view: view, level: .content, workers: 1).run()
            isNoticed = !report.findings.isEmpty
            let state = try HostState(
                files: host.disk, repository: sample.owner.repository, randomness: Randomness.seeded(1))
            do { try state.check(view, chain: repository.chain, remembering: state.memory()) } catch is RepositoryError
            { isNoticed = true }
        } catch is RepositoryError { isNoticed = true }
        return (isThere, isNoticed)
    }
}
