import ChunkEncryption
import Testing

@Suite("Bugs of the caller trap")
struct PreconditionTests {
    @Test("short keys")
    func shortKeys() async {
        await #expect(processExitsWith: .failure) { _ = SigningKey(seed: SecretBytes(copying: [1])) }
        await #expect(processExitsWith: .failure) { _ = BoundaryCipher(key: SecretBytes(copying: [1])) }
        await #expect(processExitsWith: .failure) { _ = BlobKeyDeriver(packKey: SecretBytes(copying: [1])) }
        await #expect(processExitsWith: .failure) { _ = RecipientPrivateKey(randomness: SecretBytes(copying: [1])) }
        await #expect(processExitsWith: .failure) {
            _ = AuthenticatedCipher().seal(
                key: SecretBytes(copying: [1]), nonce: 0, associatedData: [], plaintext: [])
        }
        await #expect(processExitsWith: .failure) {
            _ = KeyDerivation.expand(key: SecretBytes(copying: [1]), info: [], byteCount: 32)
        }
    }

    @Test("derivations of impossible sizes")
    func derivations() async {
        await #expect(processExitsWith: .failure) {
            _ = KeyDerivation.expand(key: secret(32), info: [], byteCount: 0)
        }
        await #expect(processExitsWith: .failure) {
            _ = KeyDerivation.expand(key: secret(32), info: [], byteCount: KeyDerivation.largestByteCount + 1)
        }
    }

    @Test("part of a boundary block")
    func partOfABlock() async {
        await #expect(processExitsWith: .failure) {
            var blocks = [UInt8](repeating: 0, count: 17)
            let cipher = BoundaryCipher(key: secret(32))
            unsafe blocks.withUnsafeMutableBytes { buffer in unsafe cipher.encrypt(inPlace: buffer) }
        }
    }

    @Test("a sealed message without randomness or with a weak pre-shared key")
    func hybrid() async {
        await #expect(processExitsWith: .failure) {
            _ = try HybridEncryption.seal(
                to: RecipientPrivateKey(randomness: secret(32)).publicKey, info: [], associatedData: [],
                preSharedKey: secret(32), preSharedKeyID: [1], plaintext: [], randomness: [])
        }
        await #expect(processExitsWith: .failure) {
            _ = try HybridEncryption.seal(
                to: RecipientPrivateKey(randomness: secret(32)).publicKey, info: [], associatedData: [],
                preSharedKey: secret(31), preSharedKeyID: [1], plaintext: [], randomness: counting(32))
        }
    }

    @Test("output of the wrong size")
    func output() async {
        await #expect(processExitsWith: .failure) {
            var output = [UInt8](repeating: 0, count: 15)
            let none = unsafe UnsafeRawBufferPointer(start: nil, count: 0)
            unsafe output.withUnsafeMutableBytes { output in
                unsafe secret(32).withUnsafeBytes { key in
                    unsafe AuthenticatedCipher().seal(
                        key: key, nonce: 0, associatedData: none, plaintext: none, into: output)
                }
            }
        }
    }

    @Test("input and output that overlap in part")
    func overlap() async {
        await #expect(processExitsWith: .failure) {
            var all = [UInt8](repeating: 0, count: 49)
            let none = unsafe UnsafeRawBufferPointer(start: nil, count: 0)
            unsafe all.withUnsafeMutableBytes { all in
                unsafe secret(32).withUnsafeBytes { key in
                    unsafe AuthenticatedCipher().seal(
                        key: key, nonce: 0, associatedData: none,
                        plaintext: UnsafeRawBufferPointer(rebasing: all[..<32]),
                        into: UnsafeMutableRawBufferPointer(rebasing: all[1...]))
                }
            }
        }
    }
}
