package import BackupModel
import COpenSSL

/// An Ed25519 private key (RFC 8032). Signing is deterministic and asks no random generator.
package struct SigningKey: Sendable {
    /// Bytes of a seed.
    package static let seedByteCount = 32

    private let pair: KeptKey
    /// The key that checks what this one signs.
    package let publicKey: VerifyingKey

    /// - Parameter seed: 32 random bytes.
    package init(seed: SecretBytes) {
        precondition(seed.count == Self.seedByteCount, "an Ed25519 seed has 32 bytes")
        pair = KeptKey(LibraryKey(algorithm: "ED25519", privateKey: seed))
        publicKey = VerifyingKey(trusted: pair.key.publicBytes())
    }

    /// The 64-byte signature of `message`.
    package func sign(_ message: [UInt8]) -> [UInt8] {
        let context = unsafe CryptographicLibrary.require(EVP_MD_CTX_new(), "a signing context can be allocated")
        defer { unsafe EVP_MD_CTX_free(context) }
        // Safety: the library takes its own reference to the key.
        let started = unsafe EVP_DigestSignInit_ex(context, nil, nil, nil, nil, pair.key.pointer, nil)
        CryptographicLibrary.require(started, "a signature can be started")
        var signature = [UInt8](repeating: 0, count: VerifyingKey.signatureByteCount)
        var count = signature.count
        // Safety: the library writes at most `count` bytes and reads the message for the call.
        let signed = unsafe EVP_DigestSign(context, &signature, &count, message, message.count)
        CryptographicLibrary.require(signed, "a message can be signed")
        precondition(count == VerifyingKey.signatureByteCount, "an Ed25519 signature has 64 bytes")
        return signature
    }
}

/// An Ed25519 public key (RFC 8032), perhaps from a foreign place.
package struct VerifyingKey: Hashable, Sendable {
    /// Bytes of a public key.
    package static let byteCount = 32
    /// Bytes of a signature.
    package static let signatureByteCount = 64

    /// The 32 bytes.
    package let bytes: [UInt8]

    /// Takes a public key that may come from anywhere.
    ///
    /// - Throws: ``EncryptionError/Code/unusableKey`` for another count, and for the points of low order, under which a
    ///   signature proves nothing. Other bytes that are no point verify nothing.
    package init(bytes: [UInt8]) throws(EncryptionError) {
        guard bytes.count == Self.byteCount else {
            throw .wrongKeySize("Ed25519 public key", byteCount: bytes.count, needed: Self.byteCount)
        }
        guard !Self.isLowOrder(bytes) else { throw .weakKey("Ed25519 public key") }
        self.bytes = bytes
    }

    init(trusted bytes: [UInt8]) {
        precondition(bytes.count == Self.byteCount, "an Ed25519 public key has 32 bytes")
        self.bytes = bytes
    }

    /// What credential files and recovery sheets carry: the SHA-256 of the 32 bytes.
    package var fingerprint: Hash256 { SecureHash.sha256(bytes) }

    /// True when `signature` was made over `message` by the owner of the private key; false for anything else, also for
    /// a signature of another size.
    package func isValid(signature: [UInt8], for message: [UInt8]) -> Bool {
        guard signature.count == Self.signatureByteCount else { return false }
        return SignatureMemo.isValid(key: bytes, signature: signature, message: message) {
            check(signature, of: message)
        }
    }

    private func check(_ signature: [UInt8], of message: [UInt8]) -> Bool {
        guard let key = LibraryKey(algorithm: "ED25519", publicKey: bytes) else { return false }
        let context = unsafe CryptographicLibrary.require(EVP_MD_CTX_new(), "a verifying context can be allocated")
        defer { unsafe EVP_MD_CTX_free(context) }
        // Safety: the library takes its own reference to the key.
        let started = unsafe EVP_DigestVerifyInit_ex(context, nil, nil, nil, nil, key.pointer, nil)
        CryptographicLibrary.require(started, "a verification can be started")
        // Safety: the library reads both arrays for the call.
        let verdict = unsafe EVP_DigestVerify(context, signature, signature.count, message, message.count)
        if verdict != 1 { _ = CryptographicLibrary.takeErrors() }
        return verdict == 1
    }

    /// The y coordinates of the eight points whose order divides eight, without the sign bit, and the two of them that
    /// have a second, non-canonical spelling (y + p < 2^255).
    private static let lowOrder: [String] = [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ]

    private static func isLowOrder(_ bytes: [UInt8]) -> Bool {
        var unsigned = bytes
        unsigned[31] &= 0x7f
        return lowOrder.contains(unsigned.hexadecimal)
    }
}
