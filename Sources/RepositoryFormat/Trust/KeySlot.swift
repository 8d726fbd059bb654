import BackupModel
package import ChunkEncryption

/// A secret that a person keeps and that opens a key slot.
package enum SlotSecret: Sendable {
    /// The bytes of a passphrase; see ``Passphrase/secretBytes(_:)``.
    case passphrase(SecretBytes)
    /// A recovery key.
    case recovery(RecoveryKey)

    /// The text of the field `kind`.
    var kind: KeySlot.Kind {
        switch self {
        case .passphrase: .passphrase
        case .recovery: .recovery
        }
    }

    /// What scrypt takes.
    var bytes: SecretBytes {
        switch self {
        case .passphrase(let bytes): bytes
        case .recovery(let key): key.secret
        }
    }
}

/// The owner's credential, sealed under a secret that a person keeps (format page §4).
///
/// A slot is believed in two steps: its bytes are only bounds-checked when it is parsed, and its signature is checked
/// when the secret has opened it, since only the credential inside says who the owner is.
package struct KeySlot: Sendable {
    /// What opens a slot. The texts are published.
    package enum Kind: String, Sendable {
        case passphrase
        case recovery
    }

    /// Bytes of a slot's id.
    package static let idByteCount = 16
    /// Bytes of the salt.
    package static let saltByteCount = 32
    /// The part of the header that is bound to the sealed credential: all before the body's length.
    private static let boundHeaderByteCount = 72

    /// Id of the slot, 16 random bytes.
    package let id: [UInt8]
    /// See ``Kind``.
    package let kind: Kind
    /// A name for people.
    package let label: String
    /// What deriving the wrapping key costs, within bounds.
    package let cost: PassphraseCost
    private let salt: [UInt8]
    private let sealed: [UInt8]
    /// The object as stored; its signature is checked when the slot opens.
    package let object: SignedObject
    private let name: String

    /// Name of the object that holds the slot with this id of 16 bytes.
    package static func name(_ id: [UInt8]) -> String { ObjectPaths.keySlot(id.hexadecimal) }

    /// Name of the object that holds this slot.
    package var objectName: String { name }
}

// MARK: - Sealing

extension KeySlot {
    /// Seals the owner's credential; takes as long as scrypt does.
    ///
    /// - Parameter label: a name for people, at most ``FormatLimits/textByteCount`` bytes.
    /// - Parameter randomness: gives as many unpredictable bytes as asked for; called for the id and for the salt.
    /// - Returns: the object and the name to store it under.
    /// - Throws: ``FormatError``: `refused` for an empty passphrase; `exhausted` when the memory is not to be had;
    ///   `malformed` for an overlong label.
    /// - Precondition: the credential is the owner's.
    package static func seal(
        _ credential: Credential, secret: SlotSecret, label: String, cost: PassphraseCost = .standard,
        randomness: (_ count: Int) -> [UInt8]
    ) throws(FormatError) -> (name: String, object: SignedObject) {
        guard let owner = credential.signingKey, credential.role == .owner else {
            preconditionFailure("a key slot holds the owner's credential")
        }
        guard label.utf8.count <= FormatLimits.textByteCount else {
            throw .overLimit(
                "the size of the label", value: UInt64(label.utf8.count), limit: UInt64(FormatLimits.textByteCount))
        }
        let id = randomness(idByteCount)
        let random = randomness(saltByteCount)
        precondition(
            id.count == idByteCount && random.count == saltByteCount, "a source of randomness gives what is asked for")
        let header = ObjectHeader(
            kind: .keySlot, objectClass: .open, repository: credential.repository, signer: credential.owner,
            bodyByteCount: 0)
        var members: [String: RecordValue] = [
            "slot": .bytes(id), "kind": .text(secret.kind.rawValue), "label": .text(label),
            "n": .unsigned(cost.cost), "r": .unsigned(cost.blockSize), "p": .unsigned(cost.parallelization),
        ]
        let plaintext = credential.encoded
        let context = associatedData(header: header.encoded, members: members)
        let salt = hedgedSalt(random: random, plaintext: plaintext, context: context)
        members["salt"] = .bytes(salt)
        let key = try wrappingKey(secret: secret, salt: salt, cost: cost, name: name(id))
        members["sealed"] = .bytes(
            AuthenticatedCipher().seal(
                key: key, nonce: 0, associatedData: associatedData(header: header.encoded, members: members),
                plaintext: plaintext))
        let object = SignedObject(
            kind: .keySlot, repository: credential.repository, body: .map(members), signedBy: owner)
        return (name(id), object)
    }

    /// A salt that repeats only when credential and slot repeat too, so that a cloned random generator cannot put two
    /// contents under one key and one nonce. Keyed by the credential, it tells nothing about it.
    private static func hedgedSalt(random: [UInt8], plaintext: [UInt8], context: [UInt8]) -> [UInt8] {
        let hasher = KeyedHasher(key: SecretBytes(copying: plaintext))
        return hasher.authenticate(Array("dozo/1 slot hedge".utf8) + random + context).bytes
    }

    private static func associatedData(header: [UInt8], members: [String: RecordValue]) -> [UInt8] {
        Array(header.prefix(boundHeaderByteCount)) + RecordValue.map(members).encoded
    }

    private static func wrappingKey(
        secret: SlotSecret, salt: [UInt8], cost: PassphraseCost, name: String
    ) throws(FormatError) -> SecretBytes {
        do {
            return try KeyDerivation.scrypt(passphrase: secret.bytes, salt: salt, cost: cost)
        } catch  where error.code == .refusedParameters {
            throw .refused("the wrapping key of \(name) cannot be derived: \(error)")
        } catch {
            throw .exhausted(
                "the wrapping key of \(name) cannot be derived: \(error); it takes \(cost.memoryByteCount >> 20) MiB "
                    + "of memory: free some, or raise the limit, and start again")
        }
    }
}

// MARK: - Opening

extension KeySlot {
    /// Reads a slot; no work is done and nothing is believed yet.
    ///
    /// - Parameter name: the object's name in the store.
    /// - Throws: ``FormatError``: `misplaced` for another kind or name; `refused` for scrypt parameters outside the
    ///   bounds; `unsupported` for an unknown kind of slot or critical field; `malformed` for missing or wrong fields.
    package init(_ object: SignedObject, name: String) throws(FormatError) {
        guard object.header.kind == .keySlot else {
            throw .misplaced("\(name) holds an object of another kind (\(object.header.kind))")
        }
        let fields = try object.fields(name: name)
        id = try fields.bytes("slot", count: KeySlot.idByteCount)
        guard name == KeySlot.name(id) else { throw .misplaced("\(name) holds the key slot \(id.hexadecimal)") }
        let kindText = try fields.text("kind")
        guard let kind = Kind(rawValue: kindText) else {
            throw .unsupported("\(name) is a key slot of kind \(kindText), which this program does not know")
        }
        self.kind = kind
        label = try fields.text("label")
        let parameters = (
            cost: try fields.unsigned("n"), blockSize: try fields.unsigned("r"),
            parallelization: try fields.unsigned("p")
        )
        do {
            cost = try PassphraseCost(
                cost: parameters.cost, blockSize: parameters.blockSize, parallelization: parameters.parallelization)
        } catch {
            throw .refused("\(name) is refused: \(error)")
        }
        salt = try fields.bytes("salt", count: KeySlot.saltByteCount)
        sealed = try fields.bytes("sealed")
        let limit = Credential.largestByteCount + AuthenticatedCipher.tagByteCount
        guard sealed.count <= limit else {
            throw .overLimit("the sealed credential of \(name)", value: UInt64(sealed.count), limit: UInt64(limit))
        }
        self.object = object
        self.name = name
    }

    /// Opens the slot; takes as long as scrypt does.
    ///
    /// - Throws: ``FormatError``: `wrongSecret` when it does not open, then try the next slot; `damaged`, `misplaced`
    ///   or `malformed` when it opens and what it holds is not as it must be.
    package func open(_ secret: SlotSecret) throws(FormatError) -> Credential {
        try open(wrappingKey: try wrappingKey(from: secret))
    }

    /// The key under which the credential is sealed; this is what takes the time.
    ///
    /// - Throws: ``FormatError``: `wrongSecret` for a secret of another kind; `refused` for an empty passphrase;
    ///   `exhausted` when the memory is not to be had.
    package func wrappingKey(from secret: SlotSecret) throws(FormatError) -> SecretBytes {
        guard secret.kind == kind else {
            throw .wrongSecret("\(name) is opened by a secret of kind \(kind.rawValue), not \(secret.kind.rawValue)")
        }
        return try KeySlot.wrappingKey(secret: secret, salt: salt, cost: cost, name: name)
    }

    /// As ``open(_:)`` with the key that ``wrappingKey(from:)`` gives.
    package func open(wrappingKey: SecretBytes) throws(FormatError) -> Credential {
        guard case .map(var members) = object.body else { preconditionFailure("a slot's body was read as a map") }
        members["sealed"] = nil
        let context = KeySlot.associatedData(header: object.bytes, members: members)
        let plaintext: [UInt8]
        do {
            plaintext = try AuthenticatedCipher().open(
                key: wrappingKey, nonce: 0, associatedData: context, sealed: sealed)
        } catch {
            throw .wrongSecret("\(name) does not open: the secret is wrong, or the slot is damaged")
        }
        let credential = try Credential(decoding: plaintext, of: "the credential in \(name)")
        guard let owner = credential.signingKey?.publicKey, credential.role == .owner else {
            throw .notCanonical("\(name) holds the credential of a \(credential.role.rawValue), not the owner's")
        }
        guard credential.repository == object.header.repository else {
            throw .misplaced("\(name) holds the credential of another repository (\(credential.repository))")
        }
        guard object.isSigned(by: owner) else { throw .damaged("\(name) opens, but the owner did not sign it") }
        return credential
    }
}
