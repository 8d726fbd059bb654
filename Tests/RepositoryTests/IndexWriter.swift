import BackupModel
import ChunkEncryption
import Effects
import ObjectStorage
import Repository
import RepositoryFormat
import Synchronization
import TestKit

/// A writer that adds packs which are nothing but their directories.
struct IndexWriter {
    static let packByteCount = 64
    let store = MemoryStore(randomness: .seeded(1))
    let disk = SimulatedDisk()
    let owner: Credential
    let writer: Credential
    let randomness = Randomness.seeded(3)

    init() async throws {
        owner = try await RepositoryCreation.create(
            in: store, secret: .passphrase(SecretBytes(copying: Array("index".utf8))), label: "index", createdAt: 0,
            randomness: randomness)
        var repository = try await OpenRepository.open(store: store, key: .credential(owner))
        let seed = SecretBytes(copying: randomness.bytes(SigningKey.seedByteCount))
        try await repository.enrol(
            Enrolment(key: SigningKey(seed: seed).publicKey, role: .writer, domain: 0, label: "a"), createdAt: 0)
        writer = repository.credential.restricted(
            to: .writer, signingSeed: seed, ownerHead: repository.chain.head)
    }

    static func identifier(_ number: Int) -> Hash256 {
        var dice = Dice(seed: UInt64(bitPattern: Int64(number)))
        return Hash256(bytes: dice.bytes(32)) ?? .zero
    }

    /// A session that adds blobs with these numbers, and the checkpoint that names them.
    func add(
        _ numbers: Range<Int>, packs: Int = 1, through store: (any ObjectStore)? = nil
    ) async throws -> WritingSession {
        let session = try await begin(through: store ?? self.store)
        try await add(numbers, packs: packs, in: session)
        return session
    }

    /// A session that has added nothing.
    func begin(through store: any ObjectStore) async throws -> WritingSession {
        let state = try HostState(files: disk, repository: owner.repository, randomness: randomness)
        let repository = try await OpenRepository.open(store: store, key: .credential(writer))
        return try await WritingSession.begin(repository, state: state, randomness: randomness)
    }

    /// Adds blobs with these numbers to a session, and the checkpoint that names them.
    func add(_ numbers: Range<Int>, packs: Int = 1, in session: WritingSession) async throws {
        var chain = SessionChain(session)
        let share = (numbers.count + packs - 1) / packs
        for first in stride(from: numbers.lowerBound, to: numbers.upperBound, by: share) {
            let entries = (first..<min(first + share, numbers.upperBound)).enumerated().map { position, number in
                PackEntry(
                    identifier: Self.identifier(number), kind: .data, codec: .zstd, keyNumber: 0,
                    counter: UInt32(position), offset: 96, storedByteCount: 100, plainByteCount: 200)
            }
            try await session.put(
                FinishedPack(
                    bytes: [UInt8](repeating: 0, count: Self.packByteCount), hash: Self.identifier(-1 - first),
                    entries: entries), objectClass: .content)
        }
        try await chain.checkpoint(roots: [])
    }

    /// The index as a new process opens it.
    func index(
        _ store: (any ObjectStore)? = nil, filters: IndexFilterFolder? = nil
    ) async throws -> ChunkIndex {
        let repository = try await OpenRepository.open(store: store ?? self.store, key: .credential(writer))
        let keys = try repository.keys()
        return try await ChunkIndex(
            repository.access, view: repository.view(), keys: keys, shelf: PackShelf(repository.access, keys: keys),
            filters: filters)
    }

    func runs() async throws -> [ObjectName] { try await store.list(prefix: "runs/") }
}

/// Counts the reads of index runs.
final class CountingStore: ObjectStore {
    private let store: MemoryStore
    private let count = Mutex(0)

    init(_ store: MemoryStore) { self.store = store }

    var reads: Int { count.withLock { $0 } }

    func putIfAbsent(_ name: ObjectName, _ bytes: [UInt8]) async throws(StorageError) -> PutAnswer {
        try await store.putIfAbsent(name, bytes)
    }

    func get(_ name: ObjectName, offset: UInt64, count: Int) async throws(StorageError) -> [UInt8]? {
        if name.text.hasPrefix("runs/") { self.count.withLock { $0 += 1 } }
        return try await store.get(name, offset: offset, count: count)
    }

    func byteCount(of name: ObjectName) async throws(StorageError) -> UInt64? { try await store.byteCount(of: name) }

    func list(prefix: String) async throws(StorageError) -> [ObjectName] { try await store.list(prefix: prefix) }
}

/// A store that has no room for large index runs.
final class NoRoomForMerges: ObjectStore {
    private let store: MemoryStore
    private let limit: Int
    private let count = Mutex(0)

    init(_ store: MemoryStore, limit: Int) {
        self.store = store
        self.limit = limit
    }

    var refusals: Int { count.withLock { $0 } }

    func putIfAbsent(_ name: ObjectName, _ bytes: [UInt8]) async throws(StorageError) -> PutAnswer {
        if name.text.hasPrefix("runs/"), bytes.count > limit {
            count.withLock { $0 += 1 }
            throw StorageError(code: .full, sentence: "no room for \(name)")
        }
        return try await store.putIfAbsent(name, bytes)
    }

    func get(_ name: ObjectName, offset: UInt64, count: Int) async throws(StorageError) -> [UInt8]? {
        try await store.get(name, offset: offset, count: count)
    }

    func byteCount(of name: ObjectName) async throws(StorageError) -> UInt64? { try await store.byteCount(of: name) }

    func list(prefix: String) async throws(StorageError) -> [ObjectName] { try await store.list(prefix: prefix) }
}

/// A store that cancels the task that reads an index run.
final class CancellingStore: ObjectStore {
    private let store: MemoryStore
    private let isArmed = Mutex(false)
    private let count = Mutex(0)

    init(_ store: MemoryStore) { self.store = store }

    /// Tasks that were cancelled.
    var cancelled: Int { count.withLock { $0 } }

    /// The next reader of a run is cancelled; those behind it are not.
    func arm() { isArmed.withLock { $0 = true } }

    func putIfAbsent(_ name: ObjectName, _ bytes: [UInt8]) async throws(StorageError) -> PutAnswer {
        try await store.putIfAbsent(name, bytes)
    }

    func get(_ name: ObjectName, offset: UInt64, count: Int) async throws(StorageError) -> [UInt8]? {
        if name.text.hasPrefix("runs/"),
            isArmed.withLock({ armed in
                defer { armed = false }
                return armed
            })
        {
            self.count.withLock { $0 += 1 }
            // Safety: the task is used during the call only.
            unsafe withUnsafeCurrentTask { unsafe $0?.cancel() }
        }
        return try await store.get(name, offset: offset, count: count)
    }

    func byteCount(of name: ObjectName) async throws(StorageError) -> UInt64? { try await store.byteCount(of: name) }

    func list(prefix: String) async throws(StorageError) -> [ObjectName] { try await store.list(prefix: prefix) }
}
