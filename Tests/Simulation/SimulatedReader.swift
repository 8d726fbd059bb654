import BackupModel
import ChunkEncryption
import ObjectStorage
import Repository
import RepositoryFormat
import Synchronization
import TestKit

/// Somebody who restores a point, or verifies everything, beside all else, with the owner's credential.
struct Reading: Sendable {
    enum Task: Sendable {
        /// A point that a host was told of and that nobody has forgotten, with the number that it was presented as.
        case restore(PointID, number: UInt64)
        case verify
    }

    enum End: Sendable {
        /// The disks of the point.
        case restored([[UInt8]])
        /// The repository does not show it.
        case absent
        /// Points that are whole, and what is wrong, a line each.
        case verified(whole: Set<PointID>, findings: [String])
        case failed(String, code: RepositoryError.Code?)
        /// The store failed to read something meanwhile: what a reader then misses is not lost.
        case hindered
    }

    let task: Task
    let store: NoticingStore
    let credential: Credential

    /// Runs some at the same time. - Returns: how each came out.
    static func run(_ readings: [Reading]) async -> [Reading.End] {
        await withTaskGroup(of: (Int, Reading.End).self) { group in
            for (number, reading) in readings.enumerated() { group.addTask { (number, await reading.run()) } }
            let ends = await group.reduce(into: [Int: Reading.End]()) { $0[$1.0] = $1.1 }
            return readings.indices.compactMap { ends[$0] }
        }
    }

    func run() async -> End {
        let end = await read()
        return store.hasFailed ? .hindered : end
    }

    private func read() async -> End {
        do {
            let repository = try await OpenRepository.open(store: store, key: .credential(credential))
            let view = try await repository.view()
            switch task {
            case .restore(let identifier, _):
                guard let point = view.points.first(where: { $0.record.identifier == identifier }) else {
                    return .absent
                }
                let reader = try await RepositoryReader(repository, view: view)
                var disks: [[UInt8]] = []
                for image in point.record.images {
                    disks.append(try await RestoredImage.bytes(of: image, reader: reader))
                }
                return .restored(disks)
            case .verify:
                let report = try await Verification(repository, view: view, level: .tags, workers: 1).run()
                return .verified(whole: Set(report.wholePoints), findings: report.findings.map(\.sentence))
            }
        } catch let error as RepositoryError {
            return .failed(error.sentence, code: error.code)
        } catch { return .failed("\(error)", code: nil) }
    }
}

/// Notices whether a store failed at anything.
final class NoticingStore: ObjectStore {
    private let store: any ObjectStore
    private let failures = Mutex(0)

    init(_ store: any ObjectStore) { self.store = store }

    var hasFailed: Bool { failures.withLock { $0 > 0 } }

    private func noticing<Answer>(_ ask: () async throws(StorageError) -> Answer) async throws(StorageError) -> Answer {
        do throws(StorageError) { return try await ask() } catch {
            failures.withLock { $0 += 1 }
            throw error
        }
    }

    func putIfAbsent(_ name: ObjectName, _ bytes: [UInt8]) async throws(StorageError) -> PutAnswer {
        try await noticing { () async throws(StorageError) in try await store.putIfAbsent(name, bytes) }
    }

    func get(_ name: ObjectName, offset: UInt64, count: Int) async throws(StorageError) -> [UInt8]? {
        try await noticing { () async throws(StorageError) in
            try await store.get(name, offset: offset, count: count)
        }
    }

    func byteCount(of name: ObjectName) async throws(StorageError) -> UInt64? {
        try await noticing { () async throws(StorageError) in try await store.byteCount(of: name) }
    }

    func list(prefix: String) async throws(StorageError) -> [ObjectName] {
        try await noticing { () async throws(StorageError) in try await store.list(prefix: prefix) }
    }
}

extension History {
    /// What readers do in a round, beside backups and sweeps: nothing, a restore, a verification, or both.
    mutating func readings() -> [Reading] {
        guard !sweepers.isEmpty else { return [] }
        var tasks: [Reading.Task] = []
        // Only what is not said to be forgotten in this very round either.
        let kept = promised.keys.filter { !forgotten.contains($0) }.sorted()
        if !kept.isEmpty, dice.roll(below: 2) == 0 {
            let point = kept[Int(dice.roll(below: UInt64(kept.count)))]
            tasks.append(.restore(point, number: promised[point] ?? 0))
        }
        if dice.roll(below: 8) == 0 { tasks.append(.verify) }
        return tasks.map { task in
            Reading(
                task: task,
                store: NoticingStore(PausingStore(store: store.opened(&dice), executor: executor, machine: nil)),
                credential: template.owner)
        }
    }

    /// - Parameter known: points that hosts were told of before the readings began.
    mutating func take(_ end: Reading.End, of reading: Reading, known: Set<PointID>) {
        switch (end, reading.task) {
        case (.restored(let disks), .restore(let point, let number)):
            report.read += 1
            if presented[number] != disks { complain("a restore of \(point) beside a sweep gave other bytes") }
        case (.absent, .restore(let point, _)):
            complain("point \(point) is not there for a restore, and nobody forgot it")
        case (.failed(let sentence, let code), .restore(let point, _)) where code == .damaged:
            complain("a restore of \(point), which nobody forgot, failed beside a sweep: \(sentence)")
        case (.verified(let whole, let findings), _):
            report.read += 1
            // The owner revokes nobody here: whatever a verification finds is damage, and there is none.
            for line in findings { complain("a verification beside a sweep found damage: \(line)") }
            for point in known.subtracting(whole).sorted() where !forgotten.contains(point) {
                complain("a verification beside a sweep says that point \(point) is not whole")
            }
        case (.failed(let sentence, _), _): note("a reader failed: \(sentence)")
        default: break
        }
    }
}
