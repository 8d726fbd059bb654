import BackupModel
import ChunkEncryption

/// Bytes from hexadecimal digits; traps on anything else, which is right for constants in tests.
func bytes(_ digits: String) -> [UInt8] { [UInt8](hexadecimal: digits)! }

/// `count` bytes counting up from `first`.
func counting(_ count: Int, from first: UInt8 = 0) -> [UInt8] {
    (0..<count).map { first &+ UInt8(truncatingIfNeeded: $0) }
}

/// A secret of `count` bytes counting up from `first`.
func secret(_ count: Int, from first: UInt8 = 0) -> SecretBytes { SecretBytes(copying: counting(count, from: first)) }

extension SecretBytes {
    /// The bytes in clear, for comparing with known answers.
    var revealed: [UInt8] { unsafe withUnsafeBytes { buffer in unsafe [UInt8](buffer) } }
}

/// Every copy of `original` with exactly one bit changed.
func singleBitFlips(of original: [UInt8]) -> some Sequence<[UInt8]> {
    (0..<original.count * 8).lazy.map { bit in
        var changed = original
        changed[bit / 8] ^= 1 << UInt8(bit % 8)
        return changed
    }
}

/// The code of the error that `body` throws; `nil` when it throws none.
func refusal(_ body: () throws(EncryptionError) -> Void) -> EncryptionError.Code? {
    do {
        try body()
        return nil
    } catch {
        return error.code
    }
}
