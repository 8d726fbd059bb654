package import BackupModel
package import ChunkEncryption

/// A part of a structure object sealed under a key derived from the index key and a salt of the object's own (format
/// page §5): the directory of a pack, the blocks and the fence of an index run.
package enum SealedSection {
    /// Bytes of a salt.
    package static let saltByteCount = 32

    /// A salt that is new for the object and hedged with its content: HMAC(index key, label ‖ random ‖ hash).
    ///
    /// - Parameter randomness: 32 bytes from the kernel. Should a cloned machine repeat them, the salt repeats only for
    ///   the same content.
    package static func salt(indexKey: SecretBytes, randomness: [UInt8], contentHash: Hash256) -> [UInt8] {
        precondition(randomness.count == saltByteCount, "a salt is made from 32 random bytes")
        let hasher = KeyedHasher(key: indexKey)
        return hasher.authenticate(Array("dozo/1 hedge".utf8) + randomness + contentHash.bytes).bytes
    }

    /// The key of an object's sections.
    package static func key(indexKey: SecretBytes, label: String, salt: [UInt8]) -> SecretBytes {
        KeyDerivation.derive(key: indexKey, label: label, context: salt, byteCount: AuthenticatedCipher.keyByteCount)
    }

    /// What binds a section to its object: the header's bytes before the body length.
    package static func associatedData(_ header: ObjectHeader) -> [UInt8] { Array(header.encoded[..<72]) }

    /// Salt, ciphertext and tag of a section that is alone in its object and has number 0.
    static func seal(
        _ plain: [UInt8], label: String, header: ObjectHeader, indexKey: SecretBytes, randomness: [UInt8]
    ) -> [UInt8] {
        let salt = salt(indexKey: indexKey, randomness: randomness, contentHash: SecureHash.sha256(plain))
        return salt
            + AuthenticatedCipher().seal(
                key: key(indexKey: indexKey, label: label, salt: salt), nonce: 0,
                associatedData: associatedData(header), plaintext: plain)
    }

    /// Opens what ``seal(_:label:header:indexKey:randomness:)`` made.
    ///
    /// - Throws: ``FormatError``, `damaged`.
    static func open(
        _ sealed: [UInt8], label: String, number: UInt64, header: ObjectHeader, indexKey: SecretBytes, what: String
    ) throws(FormatError) -> [UInt8] {
        guard sealed.count >= saltByteCount else {
            throw .truncated(what, needed: saltByteCount, available: sealed.count)
        }
        let key = key(indexKey: indexKey, label: label, salt: Array(sealed[..<saltByteCount]))
        do {
            return try AuthenticatedCipher().open(
                key: key, nonce: number, associatedData: associatedData(header),
                sealed: Array(sealed[saltByteCount...]))
        } catch {
            throw .damaged("\(what) does not open under this repository's index key: it was damaged or exchanged")
        }
    }
}
