import BackupModel
import Capture
import ChunkEncryption
import Effects
import ObjectStorage
import Repository
import RepositoryFormat
import Simulation
import TestKit

/// A repository as hosts leave it: two hosts and a maintainer, four points of two guests that share chunks,
/// checkpoints, an abandoned session, two key slots. Small packs, so that there are many of them.
struct SampleRepository: Sendable {
    static let passphrase = "correct horse"

    let owner: Credential
    let verifier: Credential
    let reader: Credential
    let maintainer: Credential
    let recovery: RecoveryKey
    /// What the store holds in the end.
    let objects: [ObjectName: [UInt8]]
    /// The same, to make a store of.
    let snapshot: MemoryStore.Snapshot
    /// What it held before the last backup.
    let earlier: [ObjectName: [UInt8]]
    /// The disks of each point.
    let disks: [PointID: [[UInt8]]]
    /// Points in the order of their commits.
    let points: [PointID]
    /// The hosts' writer credentials and disks as they are in the end.
    let hosts: [Host]

    struct Host: Sendable {
        let name: String
        let credential: Credential
        let disk: SimulatedDisk
        let guest: GuestID
    }

    /// A store that holds some objects.
    static func store(_ objects: [ObjectName: [UInt8]]) async throws -> MemoryStore {
        let store = MemoryStore(randomness: .seeded(0))
        for (name, bytes) in objects.sorted(by: { $0.key < $1.key }) { _ = try await store.putIfAbsent(name, bytes) }
        return store
    }

    /// What a store holds.
    static func objects(_ store: any ObjectStore) async throws -> [ObjectName: [UInt8]] {
        var objects: [ObjectName: [UInt8]] = [:]
        for name in try await store.list(prefix: "") { objects[name] = try await store.get(name) }
        return objects
    }

    /// Makes the repository of a seed.
    init(seed: UInt64) async throws {
        let store = MemoryStore(randomness: .seeded(seed))
        let randomness = Randomness.seeded(seed + 1)
        var dice = Dice(seed: seed + 2)
        let defaults = RepositoryDefaults(
            minimum: 4 << 10, maximum: 16 << 10, threshold: .max / 3, zeroRun: 8 << 10, region: 64 << 10,
            leaf: 16 << 10, fanOut: 4, pack: 12 << 10)
        let owner = try await RepositoryCreation.create(
            in: store, secret: .passphrase(SecretBytes(copying: Array(Self.passphrase.utf8))), label: "sample",
            defaults: defaults, cost: try PassphraseCost(cost: 1 << 15, blockSize: 8, parallelization: 1),
            createdAt: 0, randomness: randomness)
        var repository = try await OpenRepository.open(store: store, key: .credential(owner))
        recovery = RecoveryKey.generate(randomness: randomness.bytes)
        _ = try await KeySlots.add(.recovery(recovery), label: "sheet", to: repository, randomness: randomness)
        func enrol(_ role: Role, _ label: String) async throws -> Credential {
            let seed = SecretBytes(copying: randomness.bytes(SigningKey.seedByteCount))
            try await repository.enrol(
                Enrolment(key: SigningKey(seed: seed).publicKey, role: role, domain: 0, label: label), createdAt: 1)
            return owner.restricted(to: role, signingSeed: seed, ownerHead: repository.chain.head)
        }
        maintainer = try await enrol(.maintainer, "sweeper")
        var hosts: [Host] = []
        for name in ["host a", "host b"] {
            guard let guest = GuestID(bytes: randomness.bytes(16)) else { preconditionFailure("16 bytes make an id") }
            hosts.append(
                Host(name: name, credential: try await enrol(.writer, name), disk: SimulatedDisk(), guest: guest))
        }
        self.owner = owner
        self.hosts = hosts
        reader = owner.restricted(to: .reader, ownerHead: repository.chain.head)
        verifier = .verifier(
            repository: owner.repository, owner: owner.owner,
            ownerHead: OwnerHead(number: 0, hash: owner.ownerHead.hash))

        var disks: [PointID: [[UInt8]]] = [:]
        var points: [PointID] = []
        func backUp(_ host: Int, _ images: [[UInt8]], at time: UInt64, changes: Bool = false) async throws {
            let base = points.last { disks[$0]?.count == images.count }
            let record = try await hosts[host].backUp(
                images, to: store, at: time, base: base, changes: changes, randomness: randomness)
            disks[record.identifier] = images
            points.append(record.identifier)
        }
        var first = [dice.bytes(100 << 10), dice.bytes(30 << 10) + [UInt8](repeating: 0, count: 20 << 10)]
        do { try await backUp(0, first, at: 1, changes: true) } catch { /* The image changed: that session is dead. */
        }
        try await backUp(0, first, at: 2)
        var second = [Array(first[0][..<(48 << 10)]) + dice.bytes(21_001)]
        try await backUp(1, second, at: 3)
        first[0].replaceSubrange((40 << 10)..<(70 << 10), with: dice.bytes(30 << 10))
        first[1] += dice.bytes(90 << 10)
        try await backUp(0, first, at: 4)
        earlier = try await Self.objects(store)
        second[0].replaceSubrange(4096..<8192, with: dice.bytes(4096))
        try await backUp(1, second, at: 5)
        objects = try await Self.objects(store)
        snapshot = store.snapshot()
        self.disks = disks
        self.points = points
    }
}

extension SampleRepository.Host {
    /// Backs up disks as the command does.
    @discardableResult
    func backUp(
        _ images: [[UInt8]], files: (any DurableFiles)? = nil, to store: any ObjectStore, at time: UInt64,
        base: PointID? = nil, changes: Bool = false, randomness: Randomness
    ) async throws -> RestorePointRecord {
        let repository = try await OpenRepository.open(store: store, key: .credential(credential))
        let state = try HostState(
            files: files ?? disk, repository: credential.repository, randomness: randomness)
        let session = try await WritingSession.begin(
            repository, state: state, randomness: randomness, bases: { _ in base.map { [$0] } ?? [] })
        let plan = BackupPlan(
            guest: guest, label: name, takenAt: time, host: name, tool: "test", base: base, workers: 1,
            now: { time })
        let disks = images.enumerated().map { number, bytes in
            BackupDisk.image(name: "disk\(number)", source: SimulatedImage(bytes, changes: changes))
        }
        return try await BackupRun(session, plan: plan).run(disks)
    }

    /// The host as it is now, apart from what becomes of this one.
    func copy() -> SampleRepository.Host {
        SampleRepository.Host(name: name, credential: credential, disk: disk.copy(), guest: guest)
    }
}

/// Repositories that tests of this process share: none of them changes one.
enum Samples {
    private static let making = Making()

    /// The repository that is looked at.
    static func sample() async throws -> SampleRepository { try await making.sample(seed: 100) }
    /// Another repository, of another owner, made in the same way.
    static func foreign() async throws -> SampleRepository { try await making.sample(seed: 200) }

    private actor Making {
        private var made: [UInt64: Task<SampleRepository, any Error>] = [:]

        func sample(seed: UInt64) async throws -> SampleRepository {
            if let task = made[seed] { return try await task.value }
            // Two that come at once wait for the same one.
            let task = Task { try await SampleRepository(seed: seed) }
            made[seed] = task
            return try await task.value
        }
    }
}
