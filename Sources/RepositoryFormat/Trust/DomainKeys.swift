package import ChunkEncryption

/// The public half of a dedup domain, as the owner chain states it (format page §3).
package struct DomainKeys: Hashable, Sendable {
    /// How chunks of the domain are named. The numbers are published.
    package enum IDAlgorithm: UInt32, Sendable {
        /// HMAC with SHA-256. Number 2, keyed BLAKE3, is reserved.
        case hmacSHA256 = 1
    }

    /// Whose index entries a writer of the domain dedups against. The texts are published.
    package enum DedupTrust: String, CaseIterable, Sendable {
        /// Its own alone.
        case own
        /// Its own, and those that a holder of the keys attested.
        case attested
        /// Everybody's.
        case all
    }

    /// Number of the domain; 0 is the default one.
    package let id: UInt32
    /// Epoch of these keys.
    package let epoch: UInt32
    /// Guest bytes are sealed to it.
    package let contentKey: RecipientPublicKey
    /// Maps, roots and record bodies are sealed to it.
    package let structureKey: RecipientPublicKey
    /// See ``IDAlgorithm``.
    package let idAlgorithm: IDAlgorithm
    /// See ``DedupTrust``.
    package let dedupTrust: DedupTrust

    /// The public half of `secrets`.
    ///
    /// - Precondition: both private keys are there; only the owner states domains.
    package init(of secrets: DomainSecrets, dedupTrust: DedupTrust) {
        func publicKey(_ secret: SecretBytes?) -> RecipientPublicKey {
            guard let secret, let key = try? RecipientPrivateKey(bytes: secret) else {
                preconditionFailure("a domain is stated by somebody who holds its private keys of 32 bytes")
            }
            return key.publicKey
        }
        id = secrets.id
        epoch = secrets.epoch
        contentKey = publicKey(secrets.contentPrivate)
        structureKey = publicKey(secrets.structurePrivate)
        idAlgorithm = .hmacSHA256
        self.dedupTrust = dedupTrust
    }

    var value: RecordValue {
        .map([
            "id": .unsigned(UInt64(id)), "epoch": .unsigned(UInt64(epoch)), "content_key": .bytes(contentKey.bytes),
            "structure_key": .bytes(structureKey.bytes), "id_algorithm": .unsigned(UInt64(idAlgorithm.rawValue)),
            "dedup_trust": .text(dedupTrust.rawValue),
        ])
    }

    /// - Throws: ``FormatError``, `unsupported` for an algorithm or a trust that this program does not know.
    init(_ value: RecordValue, of what: String) throws(FormatError) {
        let fields = try RecordFields(value, of: what)
        id = try fields.word("id")
        epoch = try fields.word("epoch")
        contentKey = try DomainKeys.key("content_key", in: fields, of: what)
        structureKey = try DomainKeys.key("structure_key", in: fields, of: what)
        let algorithm = try fields.word("id_algorithm")
        guard let idAlgorithm = IDAlgorithm(rawValue: algorithm) else {
            throw .unsupported("\(what) names chunks by algorithm \(algorithm), which this program does not know")
        }
        self.idAlgorithm = idAlgorithm
        let trust = try fields.text("dedup_trust")
        guard let dedupTrust = DedupTrust(rawValue: trust) else {
            throw .unsupported("\(what) asks for dedup trust \(trust), which this program does not know")
        }
        self.dedupTrust = dedupTrust
    }

    private static func key(
        _ name: String, in fields: RecordFields, of what: String
    ) throws(FormatError) -> RecipientPublicKey {
        let bytes = try fields.bytes(name, count: RecipientPublicKey.byteCount)
        do { return try RecipientPublicKey(bytes: bytes) } catch {
            throw .notCanonical("\(what): \(name) is not usable: \(error)")
        }
    }
}
