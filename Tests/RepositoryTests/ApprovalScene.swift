import BackupModel
import ChunkEncryption
import Effects
import ObjectStorage
import Repository
import RepositoryFormat
import TestKit

/// The sample with people: whose keys they are is stated before the owner asks for persons, but for mallory's.
struct ApprovalScene {
    /// A key. `nightly` and `dave` are maintainers of nobody; `alice` and `mallory` are maintainers that approve, the
    /// others approvers.
    enum Key: String, CaseIterable {
        case nightly, dave, alice, aliceToo, bob, carol, mallory

        /// Whose it is.
        var person: String? {
            switch self {
            case .nightly, .dave: nil
            case .alice, .aliceToo: "alice"
            case .bob, .carol, .mallory: rawValue
            }
        }

        var isMaintainer: Bool { [.nightly, .dave, .alice, .mallory].contains(self) }
    }

    let sample: SampleRepository
    let store: MemoryStore
    private(set) var keys: [Key: Credential] = [:]
    /// Nanoseconds since 1970.
    var now: UInt64 = 1000 * ApprovalTests.day
    private var draws: UInt64

    var point: PointID { sample.points[0] }
    var other: PointID { sample.points[2] }

    init(persons: Int? = 2, seed: UInt64 = 70) async throws {
        draws = seed &* 1_000
        sample = try await Samples.sample()
        store = MemoryStore(sample.snapshot, randomness: .seeded(1))
        keys[.nightly] = sample.maintainer
        for key in Key.allCases where key != .nightly && key != .mallory { try await enrol(key) }
        if let persons { try await require(persons) }
        try await approve(TestHash.none, by: .bob)
    }

    mutating func draw() -> Randomness {
        draws += 1
        return .seeded(draws)
    }

    // MARK: The owner

    func owner() async throws -> OpenRepository {
        try await OpenRepository.open(store: store, key: .credential(sample.owner))
    }

    /// - Returns: the hash of the statement.
    @discardableResult
    mutating func enrol(_ key: Key) async throws -> Hash256 {
        var repository = try await owner()
        let seed = SecretBytes(copying: draw().bytes(SigningKey.seedByteCount))
        try await repository.enrol(
            Enrolment(
                key: SigningKey(seed: seed).publicKey, role: key.isMaintainer ? .maintainer : .writer, domain: 0,
                guests: key.isMaintainer ? nil : [], label: key.rawValue, person: key.person,
                approves: key.person != nil), createdAt: 1)
        keys[key] = sample.owner.restricted(
            to: key.isMaintainer ? .maintainer : .approver, signingSeed: seed, ownerHead: repository.chain.head)
        return repository.chain.head.hash
    }

    @discardableResult
    func require(_ persons: Int?) async throws -> Hash256 {
        var repository = try await owner()
        try await repository.require(persons: persons, createdAt: 2)
        return repository.chain.head.hash
    }

    @discardableResult
    func revoke(_ key: Key, extent: KeyRevocation.Extent = .untilNow) async throws -> Hash256 {
        try await revoke(fingerprint(key), extent: extent)
    }

    /// - Parameter withdraws: an earlier revocation that is taken back.
    /// - Returns: the hash of the statement.
    @discardableResult
    func revoke(
        _ key: Hash256, extent: KeyRevocation.Extent = .untilNow, withdraws: Hash256? = nil
    ) async throws -> Hash256 {
        var repository = try await owner()
        let view = try await repository.showing(try await repository.view())
        let plan = try KeyRevocation(of: key, extent: extent, withdraws: withdraws, view: view)
        try await repository.revoke(plan.revocation, createdAt: 3)
        return repository.chain.head.hash
    }

    func fingerprint(_ key: Key) throws -> Hash256 {
        guard let signing = keys[key]?.signingKey else { throw CancellationError() }
        return signing.publicKey.fingerprint
    }

    // MARK: The others

    func repository(_ key: Key) async throws -> OpenRepository {
        guard let credential = keys[key] else { throw CancellationError() }
        return try await OpenRepository.open(store: store, key: .credential(credential))
    }

    mutating func maintenance(_ key: Key) async throws -> MaintenanceSession {
        try MaintenanceSession(try await repository(key), randomness: draw())
    }

    /// - Returns: the hash of the entry.
    @discardableResult
    mutating func forget(by key: Key, _ points: [PointID]? = nil, rules: [UInt8] = []) async throws -> Hash256 {
        try await maintenance(key).forget(points ?? [point], at: now, reason: "", rules: rules).hash
    }

    mutating func approve(_ hash: Hash256, by key: Key, until: UInt64? = nil) async throws {
        let repository = try await repository(key)
        let session = try ApprovingSession(repository, view: try await repository.view(), randomness: draw())
        try await session.approve([hash], until: until ?? now + 30 * ApprovalTests.day, at: now, reason: "")
    }

    /// Signs a time that lets nothing go.
    mutating func say(at time: UInt64, by key: Key) async throws {
        let repository = try await repository(key)
        let view = try await repository.view()
        if view.said.approvals.mayApprove(try fingerprint(key)) {
            try await ApprovingSession(repository, view: view, randomness: draw()).approve(
                [TestHash.none], until: time, at: time, reason: "")
        } else {
            try await maintenance(key).say([
                ReleaseRecord(slots: [SlotNumber(incarnation: 0, epoch: 0, number: 99)], at: time, reason: "").record
            ])
        }
    }

    func digest(of rules: [UInt8], by key: Key) throws -> Hash256 {
        ForgetRecord.digest(ofRules: rules, repository: sample.owner.repository, signer: try fingerprint(key))
    }

    func view() async throws -> RepositoryView { try await repository(.nightly).view() }

    /// What waits now, for a sweep by `nightly`.
    func waiting() async throws -> [PendingRequest] {
        let view = try await view()
        let own = WriterID(fingerprint: try fingerprint(.nightly))
        return view.requests(at: LockTime.decision(in: view, own: own, revoked: [], now: now))
    }

    /// Sweeps with `nightly`. - Returns: what is gone.
    mutating func sweep() async throws -> [PointID] {
        var memory = Sweep.Memory()
        var settings = Sweep.Settings(now: now)
        settings.patience = 0
        return try await Sweep.run(
            try await repository(.nightly), store: store, state: nil, memory: &memory, settings: settings,
            randomness: draw()
        ).dropped
    }
}

/// A hash of nothing: approving it lets nothing go, and is a time that another key than the sweep's has signed.
enum TestHash {
    static let none = SecureHash.sha256([])
}
