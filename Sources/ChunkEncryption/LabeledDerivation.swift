import BackupModel

/// LabeledExtract and LabeledExpand of RFC 9180 §4 with HKDF-SHA256.
struct LabeledDerivation {
    /// Separates the derivations of one suite from all others.
    let suiteIdentifier: [UInt8]

    /// "KEM" and DHKEM(X25519, HKDF-SHA256).
    static let encapsulation = LabeledDerivation(suiteIdentifier: Array("KEM".utf8) + [0x00, 0x20])
    /// "HPKE" and the numbers of the whole suite.
    static let message = LabeledDerivation(suiteIdentifier: Array("HPKE".utf8) + [0x00, 0x20, 0x00, 0x01, 0x00, 0x02])

    private static let version = Array("HPKE-v1".utf8)

    /// LabeledExtract with a salt that is not secret.
    func extract(salt: [UInt8], label: String, secret: SecretBytes) -> SecretBytes {
        extract(secretSalt: SecretBytes(copying: salt), label: label, secret: secret)
    }

    /// LabeledExtract with a secret salt.
    func extract(secretSalt: SecretBytes, label: String, secret: SecretBytes) -> SecretBytes {
        let prefix = Self.version + suiteIdentifier + Array(label.utf8)
        let hasher = KeyedHasher(key: secretSalt)
        // Safety: all buffers live for the call; the output has the 32 bytes that are written.
        return unsafe SecretBytes(byteCount: Hash256.byteCount) { output in
            unsafe secret.withUnsafeBytes { bytes in
                unsafe prefix.withUnsafeBytes { unsafe hasher.authenticate($0, bytes, into: output) }
            }
        }
    }

    /// LabeledExtract of something public, with no salt.
    func hash(label: String, _ bytes: [UInt8]) -> [UInt8] {
        let key = unsafe KeyedHasher(key: UnsafeRawBufferPointer(start: nil, count: 0))
        return key.authenticate(Self.version + suiteIdentifier + Array(label.utf8) + bytes).bytes
    }

    /// LabeledExpand.
    func expand(key: SecretBytes, label: String, info: [UInt8], byteCount: Int) -> SecretBytes {
        precondition((1...255).contains(byteCount), "this suite derives at most 255 bytes at once")
        let length = [UInt8(0), UInt8(byteCount)]
        let labeled = length + Self.version + suiteIdentifier + Array(label.utf8) + info
        return KeyDerivation.expand(key: key, info: labeled, byteCount: byteCount)
    }
}
