package import BackupModel

/// HKDF with SHA-256 (RFC 5869).
package enum KeyDerivation {
    /// Most bytes one derivation can give: 255 blocks of 32 bytes.
    package static let largestByteCount = 255 * Hash256.byteCount

    /// HKDF-Expand: as many bytes as asked for, from a key that is uniformly random already.
    ///
    /// - Parameter key: at least 32 bytes, random or derived; a passphrase or a shared point is not (extract first).
    /// - Parameter info: what the result is for; equal infos give equal results.
    /// - Parameter byteCount: 1 to ``largestByteCount``.
    package static func expand(key: SecretBytes, info: [UInt8], byteCount: Int) -> SecretBytes {
        precondition(key.count >= Hash256.byteCount, "a key is expanded only when it has 256 bits")
        precondition((1...largestByteCount).contains(byteCount), "one derivation gives 1 to 8160 bytes")
        let hasher = KeyedHasher(key: key)
        // Safety: the output is the new secret's own memory, of exactly `byteCount` bytes, during the closure.
        return unsafe SecretBytes(byteCount: byteCount) { output in
            unsafe expand(with: hasher, info: info, into: output)
        }
    }

    /// `Derive` of the format page: HKDF-Expand with the info `label` ‖ 0x00 ‖ `context`.
    ///
    /// - Parameter label: what the result is for; holds no zero byte, so that no two pairs of label and context
    ///   collide.
    /// - Parameter byteCount: 1 to ``largestByteCount``.
    package static func derive(
        key: SecretBytes, label: String, context: [UInt8] = [], byteCount: Int = 32
    ) -> SecretBytes {
        precondition(!label.utf8.contains(0), "a label holds no zero byte")
        return expand(key: key, info: Array(label.utf8) + [0] + context, byteCount: byteCount)
    }

    /// HKDF-Extract and then HKDF-Expand: for a secret that is not uniformly random.
    ///
    /// - Parameter salt: any count; none counts as 32 zero bytes.
    /// - Parameter byteCount: 1 to ``largestByteCount``.
    package static func extractAndExpand(
        secret: SecretBytes, salt: [UInt8], info: [UInt8], byteCount: Int
    ) -> SecretBytes {
        expand(key: extract(secret: secret, salt: salt), info: info, byteCount: byteCount)
    }

    /// HKDF-Extract: 32 uniformly random bytes out of any secret.
    static func extract(secret: SecretBytes, salt: [UInt8]) -> SecretBytes {
        // Safety: salt and secret live through their closures, and the output has the 32 bytes of an HMAC.
        let hasher = unsafe salt.withUnsafeBytes { buffer in unsafe KeyedHasher(key: buffer) }
        return unsafe SecretBytes(byteCount: Hash256.byteCount) { output in
            unsafe secret.withUnsafeBytes { bytes in
                unsafe hasher.authenticate(bytes, UnsafeRawBufferPointer(start: nil, count: 0), into: output)
            }
        }
    }

    private static func expand(with hasher: KeyedHasher, info: [UInt8], into output: UnsafeMutableRawBufferPointer) {
        let blockCount = (output.count + Hash256.byteCount - 1) / Hash256.byteCount
        // Safety: a scratch of previous block ‖ info ‖ counter, wiped at the end; every copy stays inside it.
        unsafe withUnsafeTemporaryAllocation(byteCount: Hash256.byteCount, alignment: 8) { block in
            for index in 0..<blockCount {
                let previous = unsafe UnsafeRawBufferPointer(rebasing: block[..<(index == 0 ? 0 : block.count)])
                let tail = info + [UInt8(index + 1)]
                unsafe tail.withUnsafeBytes { unsafe hasher.authenticate(previous, $0, into: block) }
                let start = index * Hash256.byteCount
                let end = min(start + Hash256.byteCount, output.count)
                unsafe output[start..<end].copyBytes(from: block[..<(end - start)])
            }
            unsafe ConstantTime.wipe(block)
        }
    }
}

/// The AES keys of the blobs of one pack: HKDF-Expand(pack key, info), one HMAC each, nothing allocated by us.
/// Belongs to one worker at a time.
///
/// The key of a blob depends on the pack's key *and* on what the blob is. When a cloned machine or a broken generator
/// repeats a pack key, a key and nonce then repeat only for the same content, which gives nothing away.
package final class BlobKeyDeriver {
    /// Bytes of a blob's info: kind, codec, then the 32 bytes of the chunk id.
    package static let infoByteCount = 2 + Hash256.byteCount
    /// Bytes of a pack key and of a blob key.
    package static let keyByteCount = 32

    private let hasher: KeyedHasher

    /// - Parameter packKey: 32 random bytes.
    package init(packKey: SecretBytes) {
        precondition(packKey.count == Self.keyByteCount, "a pack key has 32 bytes")
        hasher = KeyedHasher(key: packKey)
    }

    /// A deriver without a key: the first comes with ``rekey(packKey:)``.
    package init() { hasher = KeyedHasher(key: SecretBytes(copying: [])) }

    /// Goes on to another pack.
    package func rekey(packKey: SecretBytes) {
        precondition(packKey.count == Self.keyByteCount, "a pack key has 32 bytes")
        hasher.rekey(packKey)
    }

    /// Writes the blob's 32-byte AES key to `key`; `info` has ``infoByteCount`` bytes.
    package func deriveKey(info: UnsafeRawBufferPointer, into key: UnsafeMutableRawBufferPointer) {
        precondition(info.count == Self.infoByteCount, "a blob's info has 34 bytes: kind, codec, id")
        precondition(key.count == Self.keyByteCount, "a blob key has 32 bytes")
        var counter: UInt8 = 1
        // Safety: the counter lives on the stack for the call; `key` has the 32 bytes that are written.
        unsafe withUnsafeBytes(of: &counter) { unsafe hasher.authenticate(info, $0, into: key) }
    }

    /// Calls `body` with the AES key of one blob, which is wiped afterwards. The info is kind ‖ codec ‖ id.
    package func withKey<Result>(
        kind: UInt8, codec: UInt8, identifier: Hash256, _ body: (UnsafeRawBufferPointer) throws -> Result
    ) rethrows -> Result {
        // Safety: 34 bytes of info and 32 of key on the stack, filled before they are read; the key is wiped.
        try unsafe withUnsafeTemporaryAllocation(byteCount: Self.infoByteCount + Self.keyByteCount, alignment: 8) {
            all in
            unsafe all[0] = kind
            unsafe all[1] = codec
            unsafe identifier.withUnsafeBytes { bytes in
                unsafe UnsafeMutableRawBufferPointer(rebasing: all[2..<Self.infoByteCount]).copyMemory(from: bytes)
            }
            let key = unsafe UnsafeMutableRawBufferPointer(rebasing: all[Self.infoByteCount...])
            defer { unsafe ConstantTime.wipe(key) }
            unsafe deriveKey(info: UnsafeRawBufferPointer(rebasing: all[..<Self.infoByteCount]), into: key)
            return try unsafe body(UnsafeRawBufferPointer(key))
        }
    }
}
