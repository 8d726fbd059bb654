import BackupModel

/// A message sealed to a public key.
package struct SealedMessage: Hashable, Sendable {
    /// Bytes of an encapsulated key of the one suite there is.
    package static let encapsulatedKeyByteCount = 32

    /// The sender's ephemeral public key, 32 bytes.
    package let encapsulatedKey: [UInt8]
    /// The ciphertext and its 16-byte tag.
    package let ciphertext: [UInt8]

    /// Takes the parts as they were stored; they are judged when the message is opened.
    package init(encapsulatedKey: [UInt8], ciphertext: [UInt8]) {
        self.encapsulatedKey = encapsulatedKey
        self.ciphertext = ciphertext
    }
}

/// HPKE (RFC 9180) in mode_psk with DHKEM(X25519, HKDF-SHA256), HKDF-SHA256 and AES-256-GCM, one message a key.
///
/// The pre-shared key is a secret that writers have and the store has not: without it nobody can forge a message, and
/// breaking X25519 alone, one day, opens none.
///
/// **The ephemeral key is hedged.** Its seed is HMAC(pre-shared key, randomness and the whole message), so a generator
/// that repeats its output, as in a cloned machine, gives the same ephemeral key only for the very same message; the
/// two results are then equal bytes and tell nothing more than that.
package enum HybridEncryption {
    /// Numbers of the suite as RFC 9180 §7 registers them: KEM, KDF, AEAD.
    package static let suite: (encapsulation: UInt16, derivation: UInt16, cipher: UInt16) = (0x0020, 0x0001, 0x0002)
    /// Fewest bytes of a pre-shared key.
    package static let smallestPreSharedKey = 32
    /// Bytes of randomness one message takes.
    package static let randomnessByteCount = 32

    /// Seals `plaintext` to a public key.
    ///
    /// - Parameter info: what the message is for; opening needs the same.
    /// - Parameter associatedData: bound to the message, not stored in it.
    /// - Parameter preSharedKey: at least 32 bytes with 256 bits of entropy.
    /// - Parameter preSharedKeyID: names the pre-shared key; not empty, not secret.
    /// - Parameter randomness: 32 bytes from the kernel, fresh for each message.
    /// - Throws: ``EncryptionError/Code/unusableKey`` when the recipient is a point of low order.
    package static func seal(
        to recipient: RecipientPublicKey, info: [UInt8], associatedData: [UInt8], preSharedKey: SecretBytes,
        preSharedKeyID: [UInt8], plaintext: SecretBytes, randomness: [UInt8]
    ) throws(EncryptionError) -> SealedMessage {
        checkPreSharedKey(preSharedKey, preSharedKeyID)
        precondition(randomness.count == randomnessByteCount, "a message is sealed with 32 random bytes")
        let seed = hedgedSeed(
            preSharedKey: preSharedKey, randomness: randomness,
            context: [info, associatedData], plaintext: plaintext)
        let ephemeral = RecipientPrivateKey(randomness: seed)
        let shared = try sharedSecret(
            agreed: ephemeral.sharedSecret(with: recipient), ephemeral: ephemeral.publicKey, recipient: recipient)
        let keys = schedule(shared, info: info, preSharedKey: preSharedKey, preSharedKeyID: preSharedKeyID)
        return SealedMessage(
            encapsulatedKey: ephemeral.publicKey.bytes,
            ciphertext: keys.seal(plaintext, associatedData: associatedData))
    }

    /// As above for a message that is no secret in itself, or is already kept in an array.
    package static func seal(
        to recipient: RecipientPublicKey, info: [UInt8], associatedData: [UInt8], preSharedKey: SecretBytes,
        preSharedKeyID: [UInt8], plaintext: [UInt8], randomness: [UInt8]
    ) throws(EncryptionError) -> SealedMessage {
        try seal(
            to: recipient, info: info, associatedData: associatedData, preSharedKey: preSharedKey,
            preSharedKeyID: preSharedKeyID, plaintext: SecretBytes(copying: plaintext), randomness: randomness)
    }

    /// Opens a message with the recipient's private key and what it was bound to.
    ///
    /// - Throws: ``EncryptionError/Code/unusableKey`` when the encapsulated key is not 32 bytes or a point of low
    ///   order, ``EncryptionError/Code/truncated`` or ``EncryptionError/Code/notAuthentic`` when it does not open.
    package static func open(
        with recipient: RecipientPrivateKey, _ message: SealedMessage, info: [UInt8], associatedData: [UInt8],
        preSharedKey: SecretBytes, preSharedKeyID: [UInt8]
    ) throws(EncryptionError) -> SecretBytes {
        checkPreSharedKey(preSharedKey, preSharedKeyID)
        let ephemeral = try RecipientPublicKey(bytes: message.encapsulatedKey)
        let shared = try sharedSecret(
            agreed: recipient.sharedSecret(with: ephemeral), ephemeral: ephemeral, recipient: recipient.publicKey)
        let keys = schedule(shared, info: info, preSharedKey: preSharedKey, preSharedKeyID: preSharedKeyID)
        return try keys.open(message.ciphertext, associatedData: associatedData)
    }

    private static func checkPreSharedKey(_ key: SecretBytes, _ identifier: [UInt8]) {
        precondition(key.count >= smallestPreSharedKey, "a pre-shared key has at least 32 bytes")
        precondition(!identifier.isEmpty, "a pre-shared key has a name")
    }

    /// The seed of the ephemeral key pair: HMAC(psk, "dozo hedge" ‖ randomness ‖ SHA-256(info, associated data and
    /// plaintext, each behind its 64-bit little-endian length)). Only the sender computes it, so no reader depends on
    /// it.
    private static func hedgedSeed(
        preSharedKey: SecretBytes, randomness: [UInt8], context: [[UInt8]], plaintext: SecretBytes
    ) -> SecretBytes {
        let digest = StreamingSHA256()
        for part in context {
            digest.update(lengthPrefix(part.count))
            digest.update(part)
        }
        digest.update(lengthPrefix(plaintext.count))
        // Safety: the plaintext lives for the call.
        unsafe plaintext.withUnsafeBytes { unsafe digest.update($0) }
        let prefix = Array("dozo hedge".utf8) + randomness
        let hasher = KeyedHasher(key: preSharedKey)
        // Safety: all buffers live for the call; the output has the 32 bytes that are written.
        return unsafe SecretBytes(byteCount: Hash256.byteCount) { seed in
            unsafe digest.finish().withUnsafeBytes { hash in
                unsafe prefix.withUnsafeBytes { unsafe hasher.authenticate($0, hash, into: seed) }
            }
        }
    }

    private static func lengthPrefix(_ count: Int) -> [UInt8] {
        (0..<8).map { UInt8(truncatingIfNeeded: count >> ($0 * 8)) }
    }

    /// ExtractAndExpand of RFC 9180 §4.1.
    private static func sharedSecret(
        agreed: SecretBytes, ephemeral: RecipientPublicKey, recipient: RecipientPublicKey
    ) -> SecretBytes {
        let derivation = LabeledDerivation.encapsulation
        let extracted = derivation.extract(salt: [], label: "eae_prk", secret: agreed)
        return derivation.expand(
            key: extracted, label: "shared_secret", info: ephemeral.bytes + recipient.bytes, byteCount: 32)
    }

    /// KeySchedule of RFC 9180 §5.1 for mode_psk.
    private static func schedule(
        _ shared: SecretBytes, info: [UInt8], preSharedKey: SecretBytes, preSharedKeyID: [UInt8]
    ) -> MessageKeys {
        let derivation = LabeledDerivation.message
        let modePreSharedKey: UInt8 = 1
        let context =
            [modePreSharedKey]
            + derivation.hash(label: "psk_id_hash", preSharedKeyID)
            + derivation.hash(label: "info_hash", info)
        let salt = shared
        let secret = derivation.extract(secretSalt: salt, label: "secret", secret: preSharedKey)
        return MessageKeys(
            key: derivation.expand(key: secret, label: "key", info: context, byteCount: 32),
            nonce: derivation.expand(key: secret, label: "base_nonce", info: context, byteCount: 12))
    }
}

/// The AES key and the nonce of one message; used once, since every message has its own ephemeral key.
private struct MessageKeys {
    let key: SecretBytes
    let nonce: SecretBytes

    func seal(_ plaintext: SecretBytes, associatedData: [UInt8]) -> [UInt8] {
        let cipher = AuthenticatedCipher()
        var sealed = [UInt8](repeating: 0, count: plaintext.count + AuthenticatedCipher.tagByteCount)
        // Safety: the buffers live for the call and are distinct.
        unsafe sealed.withUnsafeMutableBytes { output in
            unsafe plaintext.withUnsafeBytes { input in
                unsafe withInputs(associatedData) { key, nonce, data in
                    unsafe cipher.seal(key: key, nonce: nonce, associatedData: data, plaintext: input, into: output)
                }
            }
        }
        return sealed
    }

    func open(_ sealed: [UInt8], associatedData: [UInt8]) throws(EncryptionError) -> SecretBytes {
        guard sealed.count >= AuthenticatedCipher.tagByteCount else {
            throw .truncated(byteCount: sealed.count, needed: AuthenticatedCipher.tagByteCount)
        }
        let cipher = AuthenticatedCipher()
        let count = sealed.count - AuthenticatedCipher.tagByteCount
        // Safety: the buffers live for the call and are distinct.
        return try unsafe SecretBytes(byteCount: count) { (output) throws(EncryptionError) in
            try unsafe sealed.span.withUnsafeBytes { (input) throws(EncryptionError) in
                try unsafe withInputs(associatedData) { (key, nonce, data) throws(EncryptionError) in
                    try unsafe cipher.open(key: key, nonce: nonce, associatedData: data, sealed: input, into: output)
                }
            }
        }
    }

    private func withInputs<Failure: Error>(
        _ associatedData: [UInt8],
        _ body: (UnsafeRawBufferPointer, UnsafeRawBufferPointer, UnsafeRawBufferPointer) throws(Failure) -> Void
    ) throws(Failure) {
        // Safety: the three buffers live for the call.
        try unsafe key.withUnsafeBytes { (key) throws(Failure) in
            try unsafe nonce.withUnsafeBytes { (nonce) throws(Failure) in
                try unsafe associatedData.span.withUnsafeBytes { (data) throws(Failure) in
                    try unsafe body(key, nonce, data)
                }
            }
        }
    }
}
