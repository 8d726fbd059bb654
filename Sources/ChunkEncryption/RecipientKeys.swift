package import BackupModel
import COpenSSL

/// An X25519 public key to which messages are sealed, perhaps from a foreign place.
package struct RecipientPublicKey: Hashable, Sendable {
    /// Bytes of a public key.
    package static let byteCount = 32

    /// The 32 bytes.
    package let bytes: [UInt8]

    /// - Throws: ``EncryptionError/Code/unusableKey`` for another count. A point of low order is refused when it is
    ///   used.
    package init(bytes: [UInt8]) throws(EncryptionError) {
        guard bytes.count == Self.byteCount else {
            throw .wrongKeySize("X25519 public key", byteCount: bytes.count, needed: Self.byteCount)
        }
        self.bytes = bytes
    }

    init(trusted bytes: [UInt8]) {
        self.bytes = bytes
    }

    /// The SHA-256 of the 32 bytes.
    package var fingerprint: Hash256 { SecureHash.sha256(bytes) }
}

/// An X25519 private key that opens what was sealed to its public key.
package struct RecipientPrivateKey: Sendable {
    /// Bytes of a private key.
    package static let byteCount = 32

    private let scalar: SecretBytes
    private let pair: KeptKey
    /// The key to seal to.
    package let publicKey: RecipientPublicKey

    /// Makes a new key out of randomness: DeriveKeyPair of RFC 9180 §7.1.3 for X25519.
    ///
    /// - Parameter randomness: at least 32 random bytes, used for nothing else.
    package init(randomness: SecretBytes) {
        precondition(randomness.count >= Self.byteCount, "a key pair is derived from at least 32 random bytes")
        let extracted = LabeledDerivation.encapsulation.extract(salt: [], label: "dkp_prk", secret: randomness)
        let scalar = LabeledDerivation.encapsulation.expand(key: extracted, label: "sk", info: [], byteCount: 32)
        self.init(checkedScalar: scalar)
    }

    /// Takes a key that was written down with ``bytes``.
    ///
    /// - Throws: ``EncryptionError/Code/unusableKey`` for another count than 32.
    package init(bytes: SecretBytes) throws(EncryptionError) {
        guard bytes.count == Self.byteCount else {
            throw .wrongKeySize("X25519 private key", byteCount: bytes.count, needed: Self.byteCount)
        }
        self.init(checkedScalar: bytes)
    }

    private init(checkedScalar: SecretBytes) {
        scalar = checkedScalar
        pair = KeptKey(LibraryKey(algorithm: "X25519", privateKey: checkedScalar))
        publicKey = RecipientPublicKey(trusted: pair.key.publicBytes())
    }

    /// The 32 bytes to keep in a key slot.
    package var bytes: SecretBytes { scalar }

    /// The X25519 shared secret with `other`.
    ///
    /// - Throws: ``EncryptionError/Code/unusableKey`` when the result is all zero, which points of low order give.
    func sharedSecret(with other: RecipientPublicKey) throws(EncryptionError) -> SecretBytes {
        guard let peer = LibraryKey(algorithm: "X25519", publicKey: other.bytes) else {
            throw .weakKey("X25519 public key")
        }
        let context = unsafe CryptographicLibrary.require(
            EVP_PKEY_CTX_new_from_pkey(nil, pair.key.pointer, nil), "a key agreement can be allocated")
        defer { unsafe EVP_PKEY_CTX_free(context) }
        CryptographicLibrary.require(unsafe EVP_PKEY_derive_init(context), "a key agreement can be started")
        guard unsafe EVP_PKEY_derive_set_peer(context, peer.pointer) == 1 else { throw .weakKey("X25519 public key") }
        let shared = try unsafe SecretBytes(byteCount: 32) { (output) throws(EncryptionError) in
            var count = output.count
            // Safety: the library writes at most `count` bytes.
            let status = unsafe EVP_PKEY_derive(
                context, output.baseAddress?.assumingMemoryBound(to: UInt8.self), &count)
            guard status == 1, count == 32 else { throw .weakKey("X25519 public key") }
        }
        // The library refuses an all-zero result already; a library that did not would be caught here.
        guard shared != SecretBytes(copying: [UInt8](repeating: 0, count: 32)) else {
            throw .weakKey("X25519 public key")
        }
        return shared
    }
}
