import ChunkEncryption
import Testing

@Suite("Keys from passphrases")
struct PassphraseKeyTests {
    @Test("scrypt gives the answers of an independent implementation")
    func knownAnswers() throws {
        let passphrase = SecretBytes(copying: Array("correct horse".utf8))
        let one = try KeyDerivation.scrypt(
            passphrase: passphrase, salt: counting(16), cost: 1 << 15, blockSize: 8, parallelization: 1, byteCount: 32)
        #expect(one.revealed == bytes("5c662628ac4eb1068a287e2aa2a202ae248e98db04d61d3327e7342db6ec7097"))
        let two = try KeyDerivation.scrypt(
            passphrase: passphrase, salt: counting(16), cost: 1 << 15, blockSize: 8, parallelization: 2, byteCount: 64)
        let answer = bytes(
            "c0de1dac6455c8db7b622f061b09a0ba1a2a3aa5da36823a3bc08f2c7ecb675b"
                + "cea1d53d5f4fb93cec1435fcb282e46ee6de6070e39c15fcebfd963647e8a64f")
        #expect(two.revealed == answer)
    }

    @Test(
        "a slot with parameters outside the limits is refused before memory is taken (M14)",
        arguments: [
            (1 << 40, 8, 1), (1 << 21, 8, 1), (1 << 14, 8, 1), (0, 8, 1), ((1 << 15) + 1, 8, 1), ((1 << 16) - 1, 8, 1),
            (1 << 18, 8, 1), (UInt64.max, 8, 1), (1 << 15, 7, 1), (1 << 15, 9, 1), (1 << 15, 0, 1),
            (1 << 15, UInt64.max, 1), (1 << 15, 8, 0), (1 << 15, 8, 5), (1 << 15, 8, UInt64.max),
        ] as [(UInt64, UInt64, UInt64)])
    func refused(cost: UInt64, blockSize: UInt64, parallelization: UInt64) {
        let code = refusal { () throws(EncryptionError) in
            _ = try KeyDerivation.scrypt(
                passphrase: secret(8), salt: counting(16), cost: cost, blockSize: blockSize,
                parallelization: parallelization, byteCount: 32)
        }
        #expect(code == .refusedParameters)
    }

    @Test("the limits themselves are accepted, and new slots cost 128 MiB")
    func limits() throws {
        #expect(try PassphraseCost(cost: 1 << 15, blockSize: 8, parallelization: 1).cost == 1 << 15)
        #expect(try PassphraseCost(cost: 1 << 17, blockSize: 8, parallelization: 4).parallelization == 4)
        #expect(try PassphraseCost(cost: 1 << 17, blockSize: 8, parallelization: 1) == .standard)
        #expect(PassphraseCost.standard.memoryByteCount / (1 << 20) == 128)
    }

    @Test("an empty passphrase and a salt of the wrong size are refused", arguments: [0, 15, 65])
    func inputs(saltCount: Int) {
        let salted = refusal { () throws(EncryptionError) in
            _ = try KeyDerivation.scrypt(passphrase: secret(8), salt: counting(saltCount), cost: .standard)
        }
        #expect(salted == .refusedParameters)
        let empty = refusal { () throws(EncryptionError) in
            _ = try KeyDerivation.scrypt(passphrase: secret(0), salt: counting(16), cost: .standard)
        }
        #expect(empty == .refusedParameters)
    }
}
