import BackupModel
import ChunkEncryption
import Testing

@Suite("Hashes and derived keys")
struct HashingTests {
    @Test("SHA-256 gives the answers of FIPS 180-4, at once and in pieces")
    func secureHash() {
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        #expect(SecureHash.sha256(Array("abc".utf8)).hexadecimal == abc)
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        #expect(SecureHash.sha256([]).hexadecimal == empty)
        let streaming = StreamingSHA256()
        #expect(streaming.snapshot().hexadecimal == empty)
        streaming.update(Array("a".utf8))
        #expect(streaming.snapshot() == SecureHash.sha256(Array("a".utf8)))
        streaming.update([])
        streaming.update(Array("bc".utf8))
        #expect(streaming.snapshot().hexadecimal == abc)
        #expect(streaming.finish().hexadecimal == abc)
        #expect(streaming.finish().hexadecimal == empty, "a finished hash is empty again")
    }

    @Test("HMAC gives the answers of RFC 4231, also when the hasher is used again and rekeyed")
    func keyedHasher() {
        let first = KeyedHasher(key: SecretBytes(copying: [UInt8](repeating: 0x0b, count: 20)))
        for _ in 0..<3 {
            let answer = first.authenticate(Array("Hi There".utf8))
            #expect(answer.hexadecimal == "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7")
        }
        first.rekey(SecretBytes(copying: Array("Jefe".utf8)))
        let answer = first.authenticate(Array("what do ya want for nothing?".utf8))
        #expect(answer.hexadecimal == "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")
        let long = KeyedHasher(key: SecretBytes(copying: [UInt8](repeating: 0xaa, count: 131)))
        let message = Array("Test Using Larger Than Block-Size Key - Hash Key First".utf8)
        let whole = long.authenticate(message)
        #expect(whole.hexadecimal == "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54")
        for cut in 0...message.count {
            let parts = unsafe message.withUnsafeBytes { buffer in
                unsafe long.authenticate(
                    prefix: UnsafeRawBufferPointer(rebasing: buffer[..<cut]),
                    UnsafeRawBufferPointer(rebasing: buffer[cut...]))
            }
            #expect(parts == whole)
        }
    }

    @Test("HKDF gives the answers of RFC 5869, appendix A")
    func keyDerivation() {
        let input = SecretBytes(copying: [UInt8](repeating: 0x0b, count: 22))
        let first = KeyDerivation.extractAndExpand(
            secret: input, salt: counting(13), info: counting(10, from: 0xf0), byteCount: 42)
        let firstAnswer = bytes("3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865")
        #expect(first.revealed == firstAnswer)
        let second = KeyDerivation.extractAndExpand(
            secret: secret(80), salt: counting(80, from: 0x60), info: counting(80, from: 0xb0), byteCount: 82)
        let secondAnswer = bytes(
            "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09"
                + "da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87")
        #expect(second.revealed == secondAnswer)
        let third = KeyDerivation.extractAndExpand(secret: input, salt: [], info: [], byteCount: 42)
        let thirdAnswer = bytes("8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8")
        #expect(third.revealed == thirdAnswer)
        let pseudoRandomKey = SecretBytes(
            copying: bytes("077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5"))
        let expanded = KeyDerivation.expand(key: pseudoRandomKey, info: counting(10, from: 0xf0), byteCount: 42)
        #expect(expanded.revealed == firstAnswer)
    }

    @Test("a shorter derivation is the start of a longer one", arguments: [1, 31, 32, 33, 64, 65, 8160])
    func derivedPrefix(count: Int) {
        let longest = KeyDerivation.expand(key: secret(32), info: [7], byteCount: KeyDerivation.largestByteCount)
        let derived = KeyDerivation.expand(key: secret(32), info: [7], byteCount: count)
        #expect(derived.revealed == Array(longest.revealed.prefix(count)))
    }

    @Test("a derivation with label and context is an expansion with a zero byte between them")
    func labelled() {
        let derived = KeyDerivation.derive(key: secret(32), label: "dozo/1 id", context: [2, 1])
        let expanded = KeyDerivation.expand(key: secret(32), info: Array("dozo/1 id".utf8) + [0, 2, 1], byteCount: 32)
        #expect(derived == expanded)
    }

    @Test("a blob key is one block of HKDF-Expand over kind, codec and id (design §4.4)")
    func blobKey() throws {
        let identifier = try #require(Hash256(bytes: counting(32, from: 64)))
        let deriver = BlobKeyDeriver(packKey: secret(32))
        let key = unsafe deriver.withKey(kind: 3, codec: 1, identifier: identifier) { key in unsafe [UInt8](key) }
        #expect(key == bytes("1908ab07aa9f1803f40adbf732439a5de1a6bb709be0d7688bdbe9388d3627e5"))
        let info = [3, 1] + identifier.bytes
        #expect(KeyDerivation.expand(key: secret(32), info: info, byteCount: 32).revealed == key)
        var written = [UInt8](repeating: 0, count: 32)
        unsafe info.withUnsafeBytes { info in
            unsafe written.withUnsafeMutableBytes { key in unsafe deriver.deriveKey(info: info, into: key) }
        }
        #expect(written == key)
    }

    @Test("another kind, codec, id or pack key gives another blob key (H3)")
    func blobKeysDiffer() throws {
        let one = try #require(Hash256(bytes: counting(32)))
        let other = try #require(Hash256(bytes: counting(32, from: 1)))
        let deriver = BlobKeyDeriver(packKey: secret(32))
        func key(_ kind: UInt8, _ codec: UInt8, _ identifier: Hash256) -> [UInt8] {
            unsafe deriver.withKey(kind: kind, codec: codec, identifier: identifier) { key in unsafe [UInt8](key) }
        }
        var keys: Set<[UInt8]> = [key(1, 0, one), key(0, 1, one), key(1, 1, one), key(1, 0, other)]
        deriver.rekey(packKey: secret(32, from: 1))
        keys.insert(key(1, 0, one))
        #expect(keys.count == 5)
    }

    @Test("a boundary block is AES-256 of itself alone (NIST SP 800-38A, F.1.5)")
    func boundaryCipher() {
        let cipher = BoundaryCipher(
            key: SecretBytes(copying: bytes("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4")))
        let plain = bytes("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51")
        let answer = bytes("f3eed1bdb5d2a03c064b5a7e3db181f8591ccb10d410ed26dc5ba74a31362870")
        for count in [0, 1, 2, 200] {
            var blocks = Array(repeatElement(plain, count: count).joined())
            unsafe blocks.withUnsafeMutableBytes { buffer in unsafe cipher.encrypt(inPlace: buffer) }
            #expect(blocks == Array(repeatElement(answer, count: count).joined()))
        }
    }

    @Test("the installed library passes the self-test and no error is left in its queue")
    func selfTest() throws {
        try EncryptionSelfTest.run()
        #expect(EncryptionSelfTest.takePendingErrors() == nil)
    }
}
