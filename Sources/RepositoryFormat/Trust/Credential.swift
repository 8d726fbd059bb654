package import BackupModel
package import ChunkEncryption

/// The newest statement of an owner chain that somebody has seen.
package struct OwnerHead: Hashable, Sendable {
    /// Number of the statement, 0 for the genesis.
    package let number: UInt32
    /// Hash of the statement's object.
    package let hash: Hash256

    /// - Parameter number: at most ``OwnerStatement/largestNumber``.
    package init(number: UInt32, hash: Hash256) {
        self.number = number
        self.hash = hash
    }
}

/// What one party holds of a repository: where its trust starts, and the keys of its role (format page §4).
///
/// A credential holds exactly the secrets of its role. Reading one that holds more or less is refused, so that a
/// mistake when it was issued is seen at once and not on the bad day.
package struct Credential: Equatable, Sendable {
    /// Most bytes of a credential's CBOR.
    package static let largestByteCount = 1 << 20
    /// Most domain entries: one for each domain and key epoch.
    package static let largestDomainCount = 4_096

    /// What the holder may do.
    package let role: Role
    /// The repository.
    package let repository: RepositoryID
    /// Fingerprint of the owner's key; nothing in a store is believed without it.
    package let owner: Hash256
    /// Head of the owner chain when the credential was issued: a shorter chain is a store that went back.
    package let ownerHead: OwnerHead
    /// Seed of the holder's own signing key; for the owner, of the owner key. `nil` for roles that do not sign.
    package let signingSeed: SecretBytes?
    /// Secrets in ascending order of domain and epoch, none twice; empty for a verifier.
    package let domains: [DomainSecrets]

    private init(
        role: Role, repository: RepositoryID, owner: Hash256, ownerHead: OwnerHead, signingSeed: SecretBytes?,
        domains: [DomainSecrets]
    ) {
        precondition(role.signs == (signingSeed != nil), "a credential has a signing seed when its role signs")
        precondition(domains.isEmpty == (role == .verifier), "every credential but a verifier's is for a domain")
        precondition(domains.allSatisfy { $0.kinds == role.holdings }, "a credential holds what its role holds")
        self.role = role
        self.repository = repository
        self.owner = owner
        self.ownerHead = ownerHead
        self.signingSeed = signingSeed
        self.domains = domains
    }

    /// The owner's credential, out of which all others are cut.
    ///
    /// - Parameter signingSeed: 32 bytes, the seed of the owner key.
    /// - Parameter domains: complete, 1 to ``largestDomainCount``, no domain and epoch twice.
    package static func owner(
        repository: RepositoryID, signingSeed: SecretBytes, ownerHead: OwnerHead, domains: [DomainSecrets]
    ) -> Credential {
        let sorted = domains.sorted { ($0.id, $0.epoch) < ($1.id, $1.epoch) }
        precondition(isAscending(sorted), "a credential has a domain and epoch once")
        precondition(
            sorted.count <= largestDomainCount, "a credential has at most \(largestDomainCount) domain entries")
        return Credential(
            role: .owner, repository: repository, owner: SigningKey(seed: signingSeed).publicKey.fingerprint,
            ownerHead: ownerHead, signingSeed: signingSeed, domains: sorted)
    }

    /// A credential of `role` for somebody else.
    ///
    /// - Parameter signingSeed: 32 bytes for a maintainer or writer, never the owner's own seed; `nil` for other roles.
    /// - Parameter ownerHead: the chain's head now, behind the enrolment; by default the one this credential knows.
    /// - Parameter domains: numbers of the domains to hand over, at least one that is here; all by default.
    /// - Precondition: `self` is the owner's and `role` is another.
    package func restricted(
        to role: Role, signingSeed: SecretBytes? = nil, ownerHead: OwnerHead? = nil, domains: Set<UInt32>? = nil
    ) -> Credential {
        precondition(self.role == .owner && role != .owner, "the owner alone hands out credentials, of other roles")
        precondition(signingSeed == nil || signingSeed != self.signingSeed, "the owner's seed is handed to nobody")
        let chosen = role == .verifier ? [] : self.domains.filter { domains?.contains($0.id) ?? true }
        return Credential(
            role: role, repository: repository, owner: owner, ownerHead: ownerHead ?? self.ownerHead,
            signingSeed: signingSeed, domains: chosen.map { $0.restricted(to: role) })
    }

    /// The credential of somebody who holds no key: it says only whose repository is expected.
    package static func verifier(repository: RepositoryID, owner: Hash256, ownerHead: OwnerHead) -> Credential {
        Credential(
            role: .verifier, repository: repository, owner: owner, ownerHead: ownerHead, signingSeed: nil, domains: [])
    }

    /// The owner's credential with a newer head, or with the secrets of a new epoch added.
    ///
    /// - Precondition: `self` is the owner's; see ``owner(repository:signingSeed:ownerHead:domains:)``.
    package func updated(ownerHead: OwnerHead, adding secrets: [DomainSecrets] = []) -> Credential {
        guard role == .owner, let signingSeed else { preconditionFailure("only the owner's credential is updated") }
        return .owner(
            repository: repository, signingSeed: signingSeed, ownerHead: ownerHead, domains: domains + secrets)
    }

    /// The key that the holder signs with; `nil` for roles that do not sign.
    package var signingKey: SigningKey? { signingSeed.map { SigningKey(seed: $0) } }

    private static func isAscending(_ domains: [DomainSecrets]) -> Bool {
        zip(domains, domains.dropFirst()).allSatisfy { ($0.id, $0.epoch) < ($1.id, $1.epoch) }
    }
}

// MARK: - Encoding

extension Credential {
    /// The credential in CBOR, secrets in clear: to be sealed or written to a guarded file at once.
    package var encoded: [UInt8] {
        var members: [String: RecordValue] = [
            "role": .text(role.rawValue), "repository": .bytes(repository.bytes), "owner": .bytes(owner.bytes),
            "owner_head": .array([.unsigned(UInt64(ownerHead.number)), .bytes(ownerHead.hash.bytes)]),
            "domains": .array(domains.map(\.value)),
        ]
        if let signingSeed { members["signing_seed"] = .bytes(signingSeed.copiedBytes) }
        let bytes = RecordValue.map(members).encoded
        precondition(bytes.count <= Credential.largestByteCount, "a credential stays within its limit")
        return bytes
    }

    /// Reads CBOR.
    ///
    /// - Parameter what: names the credential in errors.
    /// - Throws: ``FormatError``: `malformed` for another encoding, for secrets that the role must not have or lacks,
    ///   for an owner's seed that is not the owner key's; `unsupported` for an unknown role or critical field.
    package init(decoding bytes: [UInt8], of what: String) throws(FormatError) {
        guard bytes.count <= Credential.largestByteCount else {
            throw .overLimit(
                "the size of \(what)", value: UInt64(bytes.count), limit: UInt64(Credential.largestByteCount))
        }
        let fields = try RecordFields(try RecordValue(decoding: bytes[...], of: what), of: what)
        let roleText = try fields.text("role")
        guard let role = Role(rawValue: roleText) else {
            throw .unsupported("\(what) is for the role \(roleText), which this program does not know")
        }
        guard let repository = RepositoryID(bytes: try fields.bytes("repository", count: RepositoryID.byteCount)) else {
            preconditionFailure("16 bytes make a repository id")
        }
        let owner = try fields.hash("owner")
        var head = try RecordTuple(try fields.value("owner_head"), count: 2, of: "owner_head of \(what)")
        let number = UInt32(try head.unsigned(limit: UInt64(OwnerStatement.largestNumber)))
        let ownerHead = OwnerHead(number: number, hash: try head.hash())
        let signingSeed = try Credential.signingSeed(in: fields, role: role, owner: owner, of: what)
        let domains = try Credential.domains(in: fields, role: role, of: what)
        self.init(
            role: role, repository: repository, owner: owner, ownerHead: ownerHead, signingSeed: signingSeed,
            domains: domains)
    }

    private static func signingSeed(
        in fields: RecordFields, role: Role, owner: Hash256, of what: String
    ) throws(FormatError) -> SecretBytes? {
        guard role.signs else {
            guard fields.optional("signing_seed") == nil else {
                throw .notCanonical("\(what) holds a signing seed, which a \(role.rawValue) must not have")
            }
            return nil
        }
        let seed = SecretBytes(copying: try fields.bytes("signing_seed", count: SigningKey.seedByteCount))
        let isOwnerKey = SigningKey(seed: seed).publicKey.fingerprint == owner
        guard isOwnerKey == (role == .owner) else {
            throw .notCanonical("\(what): the owner, and nobody else, holds the owner's signing seed")
        }
        return seed
    }

    private static func domains(
        in fields: RecordFields, role: Role, of what: String
    ) throws(FormatError) -> [DomainSecrets] {
        let values = try fields.list("domains")
        let limit = role == .verifier ? 0 : largestDomainCount
        guard values.count <= limit else {
            throw .overLimit("the count of domains in \(what)", value: UInt64(values.count), limit: UInt64(limit))
        }
        guard values.isEmpty == (role == .verifier) else { throw .notCanonical("\(what) is for no domain") }
        var domains: [DomainSecrets] = []
        for value in values { domains.append(try DomainSecrets(value, heldBy: role, of: "a domain of \(what)")) }
        guard isAscending(domains) else { throw .notCanonical("\(what): domains are repeated or out of order") }
        return domains
    }
}
