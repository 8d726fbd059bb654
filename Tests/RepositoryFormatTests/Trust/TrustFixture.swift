import BackupModel
import ChunkEncryption
import RepositoryFormat
import TestKit

/// A repository's trust, made from a seed: the owner, two domains, and a chain with every type of statement.
struct TrustFixture {
    let repository: RepositoryID
    let ownerSeed: SecretBytes
    let owner: SigningKey
    let secrets: [DomainSecrets]
    let genesis: SignedObject
    let credential: Credential

    init(seed: UInt64 = 1, features: FeatureSets = FeatureSets()) {
        var dice = Dice(seed: seed)
        repository = RepositoryID(bytes: dice.bytes(16))!
        ownerSeed = SecretBytes(copying: dice.bytes(32))
        owner = SigningKey(seed: ownerSeed)
        secrets = [0, 4].map { id in
            DomainSecrets.generate(id: id, epoch: 1) { count in dice.bytes(count) }
        }
        genesis = OwnerChain.genesis(
            repository: repository, features: features,
            domains: secrets.map { DomainKeys(of: $0, dedupTrust: .own) }, defaults: Self.defaults,
            createdAt: 1_790_000_000, signedBy: owner)
        credential = Credential.owner(
            repository: repository, signingSeed: ownerSeed, ownerHead: OwnerHead(number: 0, hash: genesis.hash),
            domains: secrets)
    }

    static let defaults = RepositoryDefaults(
        minimum: 16 << 10, maximum: 256 << 10, threshold: .max / 13, zeroRun: 32 << 10, region: 16 << 20,
        leaf: 4 << 20, fanOut: 512, pack: 32 << 20)

    /// The chain with its genesis alone.
    func chain() throws -> OwnerChain {
        try OwnerChain(
            genesis: genesis, expectedOwner: owner.publicKey.fingerprint, expectedRepository: repository)
    }

    /// A signing key that follows from a number.
    static func key(_ number: UInt8) -> SigningKey {
        SigningKey(seed: SecretBytes(copying: [UInt8](repeating: number, count: 32)))
    }

    static let slot = LogHead(slot: SlotNumber(incarnation: 1, epoch: 5, number: 9), hash: hash(3))
    static let entry = SessionEntryReference(session: SessionID(bytes: sixteen(8))!, number: 4, hash: hash(4))

    static func sixteen(_ byte: UInt8) -> [UInt8] { [UInt8](repeating: byte, count: 16) }
    static func hash(_ byte: UInt8) -> Hash256 { Hash256(bytes: [UInt8](repeating: byte, count: 32))! }

    /// One statement of every type, in order from the genesis.
    func statements() throws -> [SignedObject] {
        var chain = try chain()
        var objects = [genesis]
        func add(_ object: SignedObject) throws {
            try chain.append(object, name: chain.nextName)
            objects.append(object)
        }
        let writer = Enrolment(
            key: Self.key(7).publicKey, role: .writer, domain: 4, guests: [GuestID(bytes: Self.sixteen(1))!],
            label: "nightly, 東京")
        try add(chain.enrolling(writer, createdAt: 1, signedBy: owner))
        let maintainer = Enrolment(key: Self.key(8).publicKey, role: .maintainer, domain: 0, label: "sweep")
        try add(chain.enrolling(maintainer, createdAt: 2, signedBy: owner))
        let revocation = Revocation(key: writer.key.fingerprint, slot: Self.slot, sessions: [Self.entry])
        try add(chain.revoking(revocation, createdAt: 3, signedBy: owner))
        let later = DomainSecrets.generate(id: 4, epoch: 2) { [UInt8](repeating: 0x55, count: $0) }
        try add(
            chain.beginningKeyEpoch([DomainKeys(of: later, dedupTrust: .all)], createdAt: 4, signedBy: owner))
        try add(chain.changing(features: FeatureSets(sweep: ["slices-2"]), createdAt: 5, signedBy: owner))
        return objects
    }

    /// The chain of all those statements, read back from bytes.
    func fullChain() throws -> OwnerChain {
        var chain = try chain()
        for (number, object) in try statements().enumerated().dropFirst() {
            let name = OwnerStatement.name(UInt32(number))
            try chain.append(try Self.reread(object, name: name), name: name)
        }
        return chain
    }

    static func reread(_ object: SignedObject, name: String) throws -> SignedObject {
        try SignedObject(parsing: object.bytes, name: name, kind: object.header.kind, repository: nil)
    }

    /// A statement with any body, signed by any key: what a hostile or a newer program might write.
    func forged(
        _ members: [String: RecordValue], by key: SigningKey? = nil, in repository: RepositoryID? = nil
    ) -> SignedObject {
        SignedObject(
            kind: .ownerStatement, repository: repository ?? self.repository, body: .map(members),
            signedBy: key ?? owner)
    }
}

extension SignedObject {
    /// The members of the body.
    var members: [String: RecordValue] {
        guard case .map(let members) = body else { return [:] }
        return members
    }
}

/// Every copy of `original` with exactly one bit changed.
func singleBitFlips(of original: [UInt8]) -> some Sequence<[UInt8]> {
    (0..<original.count * 8).lazy.map { bit in
        var changed = original
        changed[bit / 8] ^= 1 << UInt8(bit % 8)
        return changed
    }
}

/// The code of the format error that `body` throws; `nil` when it throws none.
func refusal(_ body: () throws -> Void) throws -> FormatError.Code? {
    do {
        try body()
        return nil
    } catch let error as FormatError {
        return error.code
    }
}
