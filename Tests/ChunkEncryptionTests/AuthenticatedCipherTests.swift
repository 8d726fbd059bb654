import ChunkEncryption
import Testing

@Suite("AES-256-GCM")
struct AuthenticatedCipherTests {
    let key = secret(32)
    let associatedData = Array("dozo".utf8)

    private func code(
        _ sealed: [UInt8], key: SecretBytes? = nil, nonce: UInt64 = 7, associatedData: [UInt8]? = nil
    ) -> EncryptionError.Code? {
        refusal { () throws(EncryptionError) in
            _ = try AuthenticatedCipher().open(
                key: key ?? self.key, nonce: nonce, associatedData: associatedData ?? self.associatedData,
                sealed: sealed)
        }
    }

    @Test("a counter nonce is eight bytes little-endian and four zeros, as an independent implementation seals it")
    func knownAnswer() throws {
        let answer = bytes(
            "b7be73669643646d1d92e120d29892c529558bdddd3e02f2c237698b22561b7d092c921e76c46075e65b10a214fdc640"
                + "c1eee1dbd0f986741ef1660c2fec5543e575")
        let cipher = AuthenticatedCipher()
        for _ in 0..<3 {
            let sealed = cipher.seal(
                key: key, nonce: 0x0102_0304_0506_0708, associatedData: associatedData, plaintext: counting(50))
            #expect(sealed == answer)
            let opened = try cipher.open(
                key: key, nonce: 0x0102_0304_0506_0708, associatedData: associatedData, sealed: sealed)
            #expect(opened == counting(50), "sealing and opening take turns in one context")
        }
    }

    @Test("test cases 13 and 14 of the GCM submission")
    func submission() {
        let zeroKey = SecretBytes(copying: [UInt8](repeating: 0, count: 32))
        let cipher = AuthenticatedCipher()
        let empty = cipher.seal(key: zeroKey, nonce: 0, associatedData: [], plaintext: [])
        #expect(empty == bytes("530f8afbc74536b9a963b4f1c4cb738b"))
        let block = cipher.seal(
            key: zeroKey, nonce: 0, associatedData: [], plaintext: [UInt8](repeating: 0, count: 16))
        #expect(block == bytes("cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919"))
    }

    @Test("every size opens to what was sealed", arguments: [0, 1, 15, 16, 17, 31, 32, 4096, 65_537])
    func sizes(count: Int) throws {
        let cipher = AuthenticatedCipher()
        for bound in [[], associatedData] {
            let sealed = cipher.seal(key: key, nonce: 7, associatedData: bound, plaintext: counting(count))
            #expect(sealed.count == count + AuthenticatedCipher.tagByteCount)
            #expect(try cipher.open(key: key, nonce: 7, associatedData: bound, sealed: sealed) == counting(count))
        }
    }

    @Test("a changed bit anywhere in a sealed message is refused", arguments: [0, 1, 33])
    func flips(count: Int) {
        let sealed = AuthenticatedCipher().seal(
            key: key, nonce: 7, associatedData: associatedData, plaintext: counting(count))
        #expect(code(sealed) == nil)
        for changed in singleBitFlips(of: sealed) { #expect(code(changed) == .notAuthentic) }
        for changed in singleBitFlips(of: associatedData) {
            #expect(code(sealed, associatedData: changed) == .notAuthentic)
        }
        for changed in singleBitFlips(of: key.revealed) {
            #expect(code(sealed, key: SecretBytes(copying: changed)) == .notAuthentic)
        }
        for bit in 0..<64 { #expect(code(sealed, nonce: 7 ^ 1 << UInt64(bit)) == .notAuthentic) }
        #expect(EncryptionSelfTest.takePendingErrors() == nil)
    }

    @Test("every truncation and any extension is refused")
    func truncation() {
        let sealed = AuthenticatedCipher().seal(
            key: key, nonce: 7, associatedData: associatedData, plaintext: counting(20))
        for count in 0..<sealed.count {
            #expect(code(Array(sealed.prefix(count))) == (count < 16 ? .truncated : .notAuthentic))
        }
        #expect(code(sealed + [0]) == .notAuthentic)
        #expect(code(sealed, associatedData: []) == .notAuthentic)
        #expect(code(sealed, associatedData: associatedData + [0]) == .notAuthentic)
    }

    @Test("a failed open leaves zeros where the plaintext would have been, and the context stays usable")
    func zeroedOutput() throws {
        let cipher = AuthenticatedCipher()
        var sealed = cipher.seal(key: key, nonce: 7, associatedData: [], plaintext: counting(100, from: 1))
        let intact = sealed
        sealed[115] ^= 1
        var output = [UInt8](repeating: 0xff, count: 100)
        var thrown: EncryptionError?
        do {
            var target = output.mutableSpan
            let none = unsafe UnsafeRawBufferPointer(start: nil, count: 0)
            try unsafe target.withUnsafeMutableBytes { (target) throws(EncryptionError) in
                try unsafe sealed.span.withUnsafeBytes { (sealed) throws(EncryptionError) in
                    try unsafe key.withUnsafeBytes { (key) throws(EncryptionError) in
                        try unsafe cipher.open(key: key, nonce: 7, associatedData: none, sealed: sealed, into: target)
                    }
                }
            }
        } catch {
            thrown = error
        }
        #expect(thrown?.code == .notAuthentic)
        #expect(thrown?.remedy == .repair)
        #expect(output == [UInt8](repeating: 0, count: 100))
        #expect(try cipher.open(key: key, nonce: 7, associatedData: [], sealed: intact) == counting(100, from: 1))
    }

    @Test("sealing and opening in place give the same as apart")
    func inPlace() throws {
        let cipher = AuthenticatedCipher()
        let apart = cipher.seal(key: key, nonce: 7, associatedData: associatedData, plaintext: counting(1000))
        var buffer = counting(1000) + [UInt8](repeating: 0, count: 16)
        unsafe buffer.withUnsafeMutableBytes { all in
            unsafe key.withUnsafeBytes { key in
                unsafe associatedData.withUnsafeBytes { data in
                    let plaintext = unsafe UnsafeRawBufferPointer(rebasing: all[..<1000])
                    unsafe cipher.seal(key: key, nonce: 7, associatedData: data, plaintext: plaintext, into: all)
                }
            }
        }
        #expect(buffer == apart)
        try unsafe buffer.withUnsafeMutableBytes { all in
            try unsafe key.withUnsafeBytes { key in
                try unsafe associatedData.withUnsafeBytes { data in
                    let target = unsafe UnsafeMutableRawBufferPointer(rebasing: all[..<1000])
                    let sealed = UnsafeRawBufferPointer(all)
                    try unsafe cipher.open(key: key, nonce: 7, associatedData: data, sealed: sealed, into: target)
                }
            }
        }
        #expect(Array(buffer[..<1000]) == counting(1000))
    }
}
