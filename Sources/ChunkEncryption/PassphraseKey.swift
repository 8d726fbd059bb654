import COpenSSL

/// The cost of turning a passphrase into a key with scrypt (RFC 7914), inside limits this version accepts.
///
/// The limits hold when a key slot is made and when a foreign one is opened: a floor, so that a hostile store cannot
/// talk an operator into a cheap slot, and a ceiling, so that it cannot take the machine's memory. Checked before
/// anything is allocated.
package struct PassphraseCost: Hashable, Sendable {
    /// Smallest cost N.
    package static let smallestCost: UInt64 = 1 << 15
    /// Largest cost N; with block size 8 it takes 128 MiB, which the memory bound of every command has room for.
    package static let largestCost: UInt64 = 1 << 17
    /// The only block size r.
    package static let requiredBlockSize: UInt64 = 8
    /// Largest parallelization p.
    package static let largestParallelization: UInt64 = 4
    /// What new slots use: N = 2^17, 128 MiB.
    package static let standard = PassphraseCost(trusted: 1 << 17)

    /// N: a power of two from ``smallestCost`` to ``largestCost``.
    package let cost: UInt64
    /// r.
    package let blockSize: UInt64
    /// p: 1 to ``largestParallelization``.
    package let parallelization: UInt64

    private init(trusted cost: UInt64) {
        self.cost = cost
        blockSize = Self.requiredBlockSize
        parallelization = 1
    }

    /// Accepts parameters, perhaps read from a foreign slot.
    ///
    /// - Throws: ``EncryptionError/Code/refusedParameters`` outside the limits.
    package init(cost: UInt64, blockSize: UInt64, parallelization: UInt64) throws(EncryptionError) {
        guard (Self.smallestCost...Self.largestCost).contains(cost), cost.nonzeroBitCount == 1 else {
            throw .refusedParameters("scrypt cost \(cost) is not a power of two from 2^15 to 2^17")
        }
        guard blockSize == Self.requiredBlockSize else {
            throw .refusedParameters("scrypt block size \(blockSize) is not \(Self.requiredBlockSize)")
        }
        guard (1...Self.largestParallelization).contains(parallelization) else {
            throw .refusedParameters(
                "scrypt parallelization \(parallelization) is not 1 to \(Self.largestParallelization)")
        }
        self.cost = cost
        self.blockSize = blockSize
        self.parallelization = parallelization
    }

    /// Memory one derivation takes, in bytes.
    package var memoryByteCount: UInt64 { 128 * blockSize * (cost + parallelization + 2) }
}

extension KeyDerivation {
    /// Bytes a passphrase salt may have.
    package static let saltByteCounts = 16...64

    /// Turns a passphrase into a key with scrypt. Takes ``PassphraseCost/memoryByteCount`` bytes and up to seconds.
    ///
    /// - Parameter passphrase: at least one byte.
    /// - Parameter salt: random, 16 to 64 bytes.
    /// - Parameter byteCount: 16 to 64.
    /// - Throws: ``EncryptionError/Code/refusedParameters`` for an empty passphrase or a salt of another size;
    ///   ``EncryptionError/Code/cryptographyFailure`` when the memory is not to be had.
    package static func scrypt(
        passphrase: SecretBytes, salt: [UInt8], cost: PassphraseCost, byteCount: Int = 32
    ) throws(EncryptionError) -> SecretBytes {
        precondition((16...64).contains(byteCount), "a key from a passphrase has 16 to 64 bytes")
        guard passphrase.count > 0 else { throw .refusedParameters("an empty passphrase protects nothing") }
        guard saltByteCounts.contains(salt.count) else {
            throw .refusedParameters("a passphrase salt of \(salt.count) bytes is not one of 16 to 64")
        }
        return try unsafe SecretBytes(byteCount: byteCount) { (key) throws(EncryptionError) in
            let status = unsafe passphrase.withUnsafeBytes { secret in
                // Safety: the library reads the two inputs and writes `byteCount` bytes, all alive for the call.
                unsafe EVP_PBE_scrypt(
                    secret.baseAddress?.assumingMemoryBound(to: CChar.self), secret.count, salt, salt.count, cost.cost,
                    cost.blockSize, cost.parallelization, cost.memoryByteCount,
                    key.baseAddress?.assumingMemoryBound(to: UInt8.self), key.count)
            }
            guard status == 1 else {
                throw .cryptographyFailure("derive a key from a passphrase in \(cost.memoryByteCount) bytes of memory")
            }
        }
    }

    /// As ``scrypt(passphrase:salt:cost:byteCount:)`` with parameters as a slot states them.
    package static func scrypt(
        passphrase: SecretBytes, salt: [UInt8], cost: UInt64, blockSize: UInt64, parallelization: UInt64, byteCount: Int
    ) throws(EncryptionError) -> SecretBytes {
        let checked = try PassphraseCost(cost: cost, blockSize: blockSize, parallelization: parallelization)
        return try scrypt(passphrase: passphrase, salt: salt, cost: checked, byteCount: byteCount)
    }
}
