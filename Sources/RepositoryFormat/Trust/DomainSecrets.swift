package import ChunkEncryption

/// The secrets of one dedup domain in one key epoch, or those of them that a role holds (format page §4).
package struct DomainSecrets: Equatable, Sendable {
    /// Bytes of every secret.
    package static let secretByteCount = 32

    /// The seven secrets; the texts are the field names of a credential, published and frozen.
    package enum Kind: String, CaseIterable, Sendable {
        /// Names content chunks; the structure identity key is derived from it.
        case identity
        /// Names structure blobs.
        case structureIdentity = "structure_identity"
        /// Decides where chunks end.
        case boundary
        /// Seals pack directories and index runs.
        case index
        /// Goes into every sealing by HPKE.
        case preShared = "psk"
        /// Opens guest bytes.
        case contentPrivate = "content_private"
        /// Opens maps, roots and record bodies.
        case structurePrivate = "structure_private"
    }

    /// Number of the domain; 0 is the default one.
    package let id: UInt32
    /// Epoch of these keys.
    package let epoch: UInt32
    private let secrets: [Kind: SecretBytes]

    /// - Precondition: every secret has 32 bytes.
    init(id: UInt32, epoch: UInt32, secrets: [Kind: SecretBytes]) {
        precondition(
            secrets.values.allSatisfy { $0.count == DomainSecrets.secretByteCount }, "a domain's secret has 32 bytes")
        self.id = id
        self.epoch = epoch
        self.secrets = secrets
    }

    /// Makes all seven secrets anew.
    ///
    /// - Parameter randomness: gives as many unpredictable bytes as asked for; called six times for 32 bytes.
    package static func generate(id: UInt32, epoch: UInt32, randomness: (_ count: Int) -> [UInt8]) -> DomainSecrets {
        func fresh() -> SecretBytes {
            let bytes = randomness(secretByteCount)
            precondition(bytes.count == secretByteCount, "a source of randomness gives what is asked for")
            return SecretBytes(copying: bytes)
        }
        let identity = fresh()
        return DomainSecrets(
            id: id, epoch: epoch,
            secrets: [
                .identity: identity, .structureIdentity: structureIdentity(from: identity), .boundary: fresh(),
                .index: fresh(), .preShared: fresh(), .contentPrivate: RecipientPrivateKey(randomness: fresh()).bytes,
                .structurePrivate: RecipientPrivateKey(randomness: fresh()).bytes,
            ])
    }

    /// The structure identity key of §5.
    static func structureIdentity(from identity: SecretBytes) -> SecretBytes {
        KeyDerivation.derive(key: identity, label: "dozo/1 structure id", byteCount: secretByteCount)
    }

    /// The identity key; the role holds it or it is `nil`, as with all that follow.
    package var identity: SecretBytes? { secrets[.identity] }
    /// The structure identity key.
    package var structureIdentity: SecretBytes? { secrets[.structureIdentity] }
    /// The boundary key.
    package var boundary: SecretBytes? { secrets[.boundary] }
    /// The index key.
    package var index: SecretBytes? { secrets[.index] }
    /// The pre-shared key.
    package var preShared: SecretBytes? { secrets[.preShared] }
    /// The X25519 private key of content.
    package var contentPrivate: SecretBytes? { secrets[.contentPrivate] }
    /// The X25519 private key of structure.
    package var structurePrivate: SecretBytes? { secrets[.structurePrivate] }

    /// Which secrets are here.
    package var kinds: Set<Kind> { Set(secrets.keys) }

    /// A copy with those secrets alone that `role` holds.
    ///
    /// - Precondition: they are here; only the owner hands out credentials.
    package func restricted(to role: Role) -> DomainSecrets {
        precondition(role.holdings.isSubset(of: kinds), "a credential is cut out of one that holds more")
        return DomainSecrets(id: id, epoch: epoch, secrets: secrets.filter { role.holdings.contains($0.key) })
    }
}

// MARK: - Encoding

extension DomainSecrets {
    var value: RecordValue {
        var members: [String: RecordValue] = [
            "id": .unsigned(UInt64(id)), "epoch": .unsigned(UInt64(epoch)),
        ]
        for (kind, secret) in secrets { members[kind.rawValue] = .bytes(secret.copiedBytes) }
        return .map(members)
    }

    /// Reads an entry of a credential, which must hold exactly what `role` holds.
    init(_ value: RecordValue, heldBy role: Role, of what: String) throws(FormatError) {
        let fields = try RecordFields(value, of: what)
        var secrets: [Kind: SecretBytes] = [:]
        for kind in Kind.allCases {
            guard role.holdings.contains(kind) else {
                guard fields.optional(kind.rawValue) == nil else {
                    throw .notCanonical("\(what) holds \(kind.rawValue), which a \(role.rawValue) must not have")
                }
                continue
            }
            secrets[kind] = SecretBytes(
                copying: try fields.bytes(kind.rawValue, count: DomainSecrets.secretByteCount))
        }
        if let identity = secrets[.identity], let derived = secrets[.structureIdentity],
            DomainSecrets.structureIdentity(from: identity) != derived
        {
            throw .notCanonical("\(what): the structure identity key does not follow from the identity key")
        }
        self.init(id: try fields.word("id"), epoch: try fields.word("epoch"), secrets: secrets)
    }
}

extension SecretBytes {
    /// The bytes in clear, for encoding; the caller lets them go at once.
    // Safety: the bytes are copied before the call ends.
    var copiedBytes: [UInt8] { unsafe withUnsafeBytes { buffer in unsafe [UInt8](buffer) } }
}
