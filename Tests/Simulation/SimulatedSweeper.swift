import BackupModel
import Effects
import ObjectStorage
import Repository
import RepositoryFormat
import Synchronization
import TestKit

/// A host that forgets, holds and sweeps with the owner's credential.
struct SimulatedSweeper: Sendable {
    let name: String
    /// Holds what it remembers of the repository.
    let disk = SimulatedDisk(leftOut: .nothing)
    /// What it remembers between runs.
    var memory = Sweep.Memory()
    /// Deletes it was about to make when it fell asleep.
    let sleep = LateDeletes()

    /// Runs what several sweepers do, each one thing after the other, at the same time. - Returns: how each came out.
    static func run(_ errands: [[Errand]]) async -> [[Errand.End]] {
        await withTaskGroup(of: (Int, [Errand.End]).self) { group in
            for (number, errands) in errands.enumerated() {
                group.addTask {
                    var ends: [Errand.End] = []
                    for errand in errands { ends.append(await errand.run()) }
                    return (number, ends)
                }
            }
            let ends = await group.reduce(into: [Int: [Errand.End]]()) { $0[$1.0] = $1.1 }
            return errands.indices.map { ends[$0] ?? [] }
        }
    }
}

/// One thing that a sweeper does.
struct Errand: Sendable {
    enum Task: Sendable {
        case sweep(patience: UInt64)
        case forget([PointID])
        case undo([PointID])
        case hold([PointID])
        /// Says something in a record of a kind that this program does not know, as a newer one would.
        case newer(isCritical: Bool)
    }

    enum End: Sendable {
        case swept(Sweep.Report)
        case said
        /// A point was gone already.
        case gone
        case failed(String, code: RepositoryError.Code?)
    }

    let sweeper: Int
    let task: Task
    let store: any SweepableStore
    let credential: Credential
    let disk: SimulatedDisk
    var memory: Box
    let now: UInt64
    let randomness: Randomness
    /// The rule that this sweeper does not hold to.
    var broken: SweepRule?

    /// What a run leaves for the next of the same sweeper.
    final class Box: Sendable {
        let memory: Mutex<Sweep.Memory>
        init(_ memory: Sweep.Memory) { self.memory = Mutex(memory) }
    }

    func run() async -> End { await SweepRule.breaking(broken) { await runHeld() } }

    private func runHeld() async -> End {
        do {
            let repository = try await OpenRepository.open(store: store, key: .credential(credential))
            let state = try HostState(files: disk, repository: credential.repository, randomness: randomness)
            switch task {
            case .sweep(let patience):
                var settings = Sweep.Settings(now: now)
                settings.patience = patience
                var remembered = memory.memory.withLock { $0 }
                defer { memory.memory.withLock { [remembered] in $0 = remembered } }
                return .swept(
                    try await Sweep.run(
                        repository, store: store, state: state, memory: &remembered, settings: settings,
                        randomness: randomness))
            case .forget(let points):
                try await MaintenanceSession(repository, randomness: randomness).forget(
                    points, at: now, reason: "simulated")
            case .undo(let points):
                _ = try await MaintenanceSession(repository, randomness: randomness).undo(points)
            case .hold(let points):
                _ = try await MaintenanceSession(repository, randomness: randomness).hold(points)
            case .newer(let isCritical):
                try await MaintenanceSession(repository, randomness: randomness).say([
                    Record(kind: History.newKind, isCritical: isCritical, body: .map(["what": .text("new")]))
                ])
            }
            return .said
        } catch let error as RepositoryError {
            if error.code == .noSuchPoint { return .gone }
            return .failed(error.sentence, code: error.code)
        } catch { return .failed("\(error)", code: nil) }
    }
}

/// Deletes of a sweep that fell asleep before them: it is told nothing, and they happen when it wakes, rounds later.
final class LateDeletes: Sendable {
    private let names = Mutex<[ObjectName]>([])

    func add(_ name: ObjectName) { names.withLock { $0.append(name) } }

    func take() -> [ObjectName] {
        names.withLock { names in
            defer { names = [] }
            return names
        }
    }
}

/// A store through which a sweep's deletes come late.
struct DrowsyStore: SweepableStore {
    let store: any SweepableStore
    let late: LateDeletes
    /// Of 256 deletes so many come late.
    let chance: UInt8
    let randomness: Randomness

    func putIfAbsent(_ name: ObjectName, _ bytes: [UInt8]) async throws(StorageError) -> PutAnswer {
        try await store.putIfAbsent(name, bytes)
    }

    func get(_ name: ObjectName, offset: UInt64, count: Int) async throws(StorageError) -> [UInt8]? {
        try await store.get(name, offset: offset, count: count)
    }

    func byteCount(of name: ObjectName) async throws(StorageError) -> UInt64? { try await store.byteCount(of: name) }

    func list(prefix: String) async throws(StorageError) -> [ObjectName] { try await store.list(prefix: prefix) }

    func delete(_ name: ObjectName) async throws(StorageError) {
        guard (randomness.bytes(1).first ?? 255) >= chance else {
            late.add(name)
            throw StorageError(code: .failed, sentence: "\(name): no answer")
        }
        try await store.delete(name)
    }
}
