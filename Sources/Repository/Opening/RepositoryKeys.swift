import BackupModel
package import ChunkEncryption
package import RepositoryFormat

/// What a credential can do in one dedup domain, together with the public keys that the owner chain names.
package struct RepositoryKeys: Sendable {
    /// Which repository.
    package let repository: RepositoryID
    /// The domain's public entry.
    package let domain: DomainKeys
    /// The secrets that the credential holds, of the current key epoch.
    package let secrets: DomainSecrets
    /// The role of the credential.
    package let role: Role
    // Made once: each costs a multiplication on the curve.
    private let structureKey: RecipientPrivateKey?
    private let contentKey: RecipientPrivateKey?

    /// - Throws: ``RepositoryError``: `wrongKey` when the credential has no secrets of the domain's current epoch.
    package init(chain: OwnerChain, credential: Credential, domain number: UInt32 = 0) throws {
        guard let domain = chain.domains.first(where: { $0.id == number }) else {
            throw RepositoryError(.damaged, "the owner chain knows no domain \(number)", .repair)
        }
        guard let secrets = credential.domains.first(where: { $0.id == number && $0.epoch == domain.epoch }) else {
            throw RepositoryError(
                .wrongKey,
                "this credential holds no keys of domain \(number), key epoch \(domain.epoch); ask the owner for a "
                    + "new one"
            )
        }
        repository = chain.repository
        self.domain = domain
        self.secrets = secrets
        role = credential.role
        structureKey = try secrets.structurePrivate.map { try RecipientPrivateKey(bytes: $0) }
        contentKey = try secrets.contentPrivate.map { try RecipientPrivateKey(bytes: $0) }
    }

    private func need<Secret>(_ secret: Secret?, _ what: String) throws -> Secret {
        guard let secret else {
            throw RepositoryError(
                .roleLacksKey,
                "this \(role.rawValue) credential does not hold \(what); use the passphrase or another credential")
        }
        return secret
    }

    /// Derives the keys of directories and runs.
    package func indexKey() throws -> SecretBytes { try need(secrets.index, "the index key") }
    /// Derives the keys of boundaries.
    package func boundaryKey() throws -> SecretBytes { try need(secrets.boundary, "the key for writing chunks") }
    /// Opens maps, roots and records.
    package func structurePrivateKey() throws -> RecipientPrivateKey {
        try need(structureKey, "the key that opens restore points and maps")
    }
    /// Opens guest bytes.
    package func contentPrivateKey() throws -> RecipientPrivateKey {
        try need(contentKey, "the key that opens guest data")
    }

    /// Whether the credential opens restore points and maps.
    package var opensStructure: Bool { secrets.structurePrivate != nil }
    /// Whether the credential opens guest bytes.
    package var opensContent: Bool { secrets.contentPrivate != nil && secrets.identity != nil }

    /// Whom blobs and records of one class are sealed to.
    package func recipient(_ objectClass: ObjectClass) throws -> DomainRecipient {
        DomainRecipient(
            repository: repository, domain: domain.id, objectClass: objectClass, keyEpoch: domain.epoch,
            publicKey: objectClass == .content ? domain.contentKey : domain.structureKey,
            preSharedKey: try need(secrets.preShared, "the pre-shared key"))
    }

    /// The key under which blobs of one kind get their ids (format page §5).
    package func identityKey(_ kind: BlobKind) throws -> SecretBytes {
        let base =
            kind == .data
            ? try need(secrets.identity, "the identity key")
            : try need(secrets.structureIdentity, "the structure identity key")
        return KeyDerivation.derive(
            key: base, label: "dozo/1 id", context: [kind.rawValue, UInt8(domain.idAlgorithm.rawValue)], byteCount: 32)
    }
}
