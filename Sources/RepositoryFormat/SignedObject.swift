package import BackupModel
package import ChunkEncryption

/// A small object (format page §2): header ‖ body in deterministic CBOR ‖ signature ‖, in session entries, sealed
/// bodies.
///
/// Signature and hash are over the bytes as they are stored. Whether the signer may say what it says is for the owner
/// chain to decide; this type only knows that the bytes are what the signer signed.
package struct SignedObject: Sendable {
    /// What comes first under the signature, so that no signature can be taken for one over something else.
    package static let signatureLabel = Array("dozo/1 object\0".utf8)

    /// The parsed header.
    package let header: ObjectHeader
    /// The decoded body.
    package let body: RecordValue
    /// 64 bytes over header and body.
    package let signature: [UInt8]
    /// What follows the signature: sealed record bodies in session entries, else nothing.
    package let tail: ArraySlice<UInt8>
    /// All bytes, as stored.
    package let bytes: [UInt8]
    /// SHA-256 of ``bytes``: what the next object in a chain names.
    package let hash: Hash256
    /// SHA-256 of header and body: what the signature covers.
    private let signedHash: Hash256

    /// Composes and signs.
    ///
    /// - Precondition: `kind` is a small object's, and only session entries have a tail.
    package init(
        kind: ObjectKind, repository: RepositoryID, body: RecordValue, tail: [UInt8] = [], signedBy key: SigningKey
    ) {
        precondition(kind != .pack && kind != .indexRun, "packs and runs have layouts of their own")
        precondition(tail.isEmpty || kind == .sessionEntry, "only a session entry carries sealed bodies")
        let encoded = body.encoded
        header = ObjectHeader(
            kind: kind, objectClass: .open, repository: repository, signer: key.publicKey.fingerprint,
            bodyByteCount: UInt64(encoded.count))
        var bytes = header.encoded
        bytes += encoded
        signedHash = SecureHash.sha256(bytes)
        signature = key.sign(SignedObject.signatureLabel + signedHash.bytes)
        bytes += signature
        let tailStart = bytes.count
        bytes += tail
        precondition(bytes.count <= FormatLimits.objectByteCount, "an object stays within the object limit")
        self.body = body
        self.bytes = bytes
        self.tail = bytes[tailStart...]
        hash = SecureHash.sha256(bytes)
    }

    /// Parses bytes that a store gave for `name`; the signature is not checked here.
    ///
    /// - Throws: ``FormatError``: what ``ObjectHeader/init(parsing:name:)`` and ``RecordValue/init(decoding:of:)``
    ///   throw; `misplaced` for another kind or repository; `damaged` when cut short; `malformed` when bytes follow.
    package init(
        parsing bytes: [UInt8], name: String, kind: ObjectKind, repository: RepositoryID?
    ) throws(FormatError) {
        guard bytes.count <= FormatLimits.objectByteCount else {
            throw .overLimit(
                "the size of \(name)", value: UInt64(bytes.count), limit: UInt64(FormatLimits.objectByteCount))
        }
        let header = try ObjectHeader(parsing: bytes[...], name: name)
        guard header.kind == kind else { throw .misplaced("\(name) holds an object of another kind (\(header.kind))") }
        if let repository, header.repository != repository {
            throw .misplaced("\(name) belongs to another repository (\(header.repository))")
        }
        guard header.objectClass == .open, header.domain == 0, header.keyEpoch == 0 else {
            throw .notCanonical("\(name): a small object is of class 0, domain 0 and key epoch 0")
        }
        var fields = FieldReader(bytes[ObjectHeader.byteCount...], of: name)
        let encoded = try fields.take(Int(header.bodyByteCount))
        signature = Array(try fields.take(VerifyingKey.signatureByteCount))
        tail = try fields.take(fields.remaining)
        guard tail.isEmpty || kind == .sessionEntry else { throw .trailing(name, surplus: tail.count) }
        body = try RecordValue(decoding: encoded, of: name)
        self.header = header
        self.bytes = bytes
        hash = SecureHash.sha256(bytes)
        signedHash = unsafe bytes.withUnsafeBytes { buffer in
            // Safety: header and body were just read from these bytes.
            unsafe SecureHash.sha256(UnsafeRawBufferPointer(rebasing: buffer[..<encoded.endIndex]))
        }
    }

    /// Whether `key` signed header and body.
    package func isSigned(by key: VerifyingKey) -> Bool {
        header.signer == key.fingerprint
            && key.isValid(signature: signature, for: SignedObject.signatureLabel + signedHash.bytes)
    }

    /// The body's fields.
    package func fields(name: String) throws(FormatError) -> RecordFields { try RecordFields(body, of: name) }
}
