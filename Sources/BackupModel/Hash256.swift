/// A 256-bit value: a hash, a keyed chunk id, a public key's fingerprint.
///
/// Stored inline (no heap, no reference counting), ordered by its bytes from first to last, so that a sorted index run
/// and a binary search agree with `memcmp`.
package struct Hash256: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// Number of bytes of every value.
    package static let byteCount = 32

    // Big-endian words: comparing the words in order is comparing the bytes in order.
    private var word0: UInt64
    private var word1: UInt64
    private var word2: UInt64
    private var word3: UInt64

    /// The value whose bytes are all zero. Never a real hash; used where the format says "none".
    package static let zero = Hash256(word0: 0, word1: 0, word2: 0, word3: 0)

    private init(word0: UInt64, word1: UInt64, word2: UInt64, word3: UInt64) {
        self.word0 = word0
        self.word1 = word1
        self.word2 = word2
        self.word3 = word3
    }

    /// Takes the first 32 bytes of `bytes`, which must hold at least that many.
    package init(loading bytes: UnsafeRawBufferPointer) {
        precondition(bytes.count >= Hash256.byteCount, "a 256-bit value needs 32 bytes")
        // Safety: the four words lie in the first 32 bytes, which the precondition has counted.
        word0 = unsafe UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 0, as: UInt64.self))
        word1 = unsafe UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
        word2 = unsafe UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 16, as: UInt64.self))
        word3 = unsafe UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 24, as: UInt64.self))
    }

    /// Takes exactly 32 bytes; `nil` for any other count.
    package init?(bytes: some Collection<UInt8>) {
        guard bytes.count == Hash256.byteCount else { return nil }
        // Safety: so many bytes lie in a row.
        if let value = bytes.withContiguousStorageIfAvailable({
            unsafe Hash256(loading: UnsafeRawBufferPointer($0))
        }) {
            self = value
            return
        }
        let array = Array(bytes)
        // Safety: the array has 32 bytes and lives through the call.
        self = unsafe array.withUnsafeBytes { buffer in unsafe Hash256(loading: buffer) }
    }

    /// Parses 64 lower-case hexadecimal digits; `nil` for anything else (upper case is refused: one value, one
    /// spelling).
    package init?(hexadecimal text: some StringProtocol) {
        guard let bytes = [UInt8](hexadecimal: text) else { return nil }
        self.init(bytes: bytes)
    }

    /// Calls `body` with the 32 bytes; they live for the call only.
    package func withUnsafeBytes<Result, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        var words = (word0.bigEndian, word1.bigEndian, word2.bigEndian, word3.bigEndian)
        // Safety: a tuple of four UInt64 is 32 contiguous bytes without padding.
        return try unsafe Swift.withUnsafeBytes(of: &words, body)
    }

    /// The 32 bytes as an array.
    package var bytes: [UInt8] {
        // Safety: the bytes are copied before the call ends.
        unsafe withUnsafeBytes { buffer in unsafe [UInt8](buffer) }
    }

    /// 64 lower-case hexadecimal digits.
    package var hexadecimal: String { bytes.hexadecimal }

    /// The first eight digits, for messages to people.
    package var abbreviated: String { String(hexadecimal.prefix(8)) }

    package var description: String { hexadecimal }

    /// A 64-bit piece of the value, spread evenly when the value is a hash; for hash tables and sharding.
    package var leadingWord: UInt64 { word0 }
    /// Two more such pieces, independent of the leading one.
    package var middleWords: (UInt64, UInt64) { (word1, word2) }

    package static func < (left: Hash256, right: Hash256) -> Bool {
        if left.word0 != right.word0 { return left.word0 < right.word0 }
        if left.word1 != right.word1 { return left.word1 < right.word1 }
        if left.word2 != right.word2 { return left.word2 < right.word2 }
        return left.word3 < right.word3
    }

    package func hash(into hasher: inout Hasher) {
        // The other words add nothing to a cryptographic hash; equality still compares all four.
        hasher.combine(word0)
    }
}
