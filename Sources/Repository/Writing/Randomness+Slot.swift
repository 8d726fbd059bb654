import BackupModel
import ChunkEncryption
import Effects

extension Randomness {
    /// Bytes that depend on the source and on the slot that a session has claimed.
    ///
    /// No two sessions have one slot, so a generator that repeats its answers in a later session gives other pack keys,
    /// salts and point ids there. Without this, a chunk packed at another compression level under a repeated pack key
    /// would be another text under the same key and nonce.
    func bound(to slot: Hash256) -> Randomness {
        Randomness { [bytes] count in
            let hasher = KeyedHasher(key: SecretBytes(copying: bytes(Hash256.byteCount)))
            var result: [UInt8] = []
            result.reserveCapacity(count + Hash256.byteCount)
            var block = UInt8(0)
            while result.count < count {
                precondition(block < .max, "at most 8,160 random bytes are drawn at once")
                result += hasher.authenticate(Array("dozo/1 session\0".utf8) + slot.bytes + [block]).bytes
                block += 1
            }
            return Array(result.prefix(count))
        }
    }
}
