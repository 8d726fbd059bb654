import BackupModel
package import ChunkEncryption

/// A random key on paper that opens a key slot when the passphrase is lost (format page §4).
///
/// Written as eight groups of eight hexadecimal digits and a ninth that checks them, joined by dashes.
package struct RecoveryKey: Equatable, Sendable {
    /// Bytes of a key.
    package static let byteCount = 32

    private static let groupDigitCount = 8
    private static let groupCount = 9

    /// The 32 bytes: the secret for scrypt.
    package let secret: SecretBytes

    /// - Parameter randomness: gives as many unpredictable bytes as asked for; called once for 32.
    package static func generate(randomness: (_ count: Int) -> [UInt8]) -> RecoveryKey {
        let bytes = randomness(byteCount)
        precondition(bytes.count == byteCount, "a source of randomness gives what is asked for")
        return RecoveryKey(secret: SecretBytes(copying: bytes))
    }

    private init(secret: SecretBytes) { self.secret = secret }

    /// The key as a person writes it down; secret.
    package var text: String {
        let bytes = secret.copiedBytes
        let digits = Array((bytes.hexadecimal + RecoveryKey.check(of: bytes)).utf8)
        let groups = stride(from: 0, to: digits.count, by: RecoveryKey.groupDigitCount).map { start in
            String(decoding: digits[start..<start + RecoveryKey.groupDigitCount], as: UTF8.self)
        }
        return groups.joined(separator: "-")
    }

    /// Reads a key that a person typed: upper case, blanks, line ends and missing dashes are forgiven, nothing else.
    ///
    /// - Throws: ``FormatError``, `wrongSecret`, which says what is mistyped as nearly as can be known.
    package init(parsing typed: some StringProtocol) throws(FormatError) {
        var digits: [UInt8] = []
        let wanted = RecoveryKey.groupDigitCount * RecoveryKey.groupCount
        for character in typed.utf8 {
            switch character {
            case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "f"): digits.append(character)
            case UInt8(ascii: "A")...UInt8(ascii: "F"): digits.append(character | 0x20)
            case UInt8(ascii: "-"), UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: "\n"), UInt8(ascii: "\r"):
                continue
            default:
                let group = min(digits.count / RecoveryKey.groupDigitCount + 1, RecoveryKey.groupCount)
                throw .wrongSecret(
                    "group \(group) of the recovery key is mistyped: it has a character other than 0-9 and a-f")
            }
            // One more than wanted is enough to know; a longer text is not kept.
            if digits.count > wanted { break }
        }
        guard digits.count == wanted else {
            let count = digits.count > wanted ? "more" : "\(digits.count)"
            throw .wrongSecret(
                "the recovery key has \(wanted) digits in \(RecoveryKey.groupCount) groups, not \(count)")
        }
        let text = String(decoding: digits, as: UTF8.self)
        guard let bytes = [UInt8](hexadecimal: text.prefix(RecoveryKey.byteCount * 2)) else {
            preconditionFailure("only hexadecimal digits were kept")
        }
        guard text.hasSuffix(RecoveryKey.check(of: bytes)) else {
            throw .wrongSecret(
                "one group of the recovery key is mistyped: the ninth group, which checks the other eight, does not fit"
            )
        }
        secret = SecretBytes(copying: bytes)
    }

    private static func check(of bytes: [UInt8]) -> String {
        String(SecureHash.sha256(bytes).hexadecimal.prefix(groupDigitCount))
    }
}
