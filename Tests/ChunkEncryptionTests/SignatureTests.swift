import BackupModel
import ChunkEncryption
import Testing

@Suite("Ed25519 signatures")
struct SignatureTests {
    @Test(
        "keys and signatures are those of RFC 8032, §7.1",
        arguments: [
            (
                "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60", "",
                "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
                "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555f"
                    + "b8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
            ),
            (
                "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb", "72",
                "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
                "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da08"
                    + "5ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
            ),
            (
                "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7", "af82",
                "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
                "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18"
                    + "ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"
            ),
        ])
    func knownAnswers(seed: String, message: String, publicKey: String, signature: String) throws {
        let key = SigningKey(seed: SecretBytes(copying: bytes(seed)))
        #expect(key.publicKey.bytes.hexadecimal == publicKey)
        #expect(key.sign(bytes(message)).hexadecimal == signature)
        let verifier = try VerifyingKey(bytes: bytes(publicKey))
        #expect(verifier == key.publicKey)
        #expect(verifier.isValid(signature: bytes(signature), for: bytes(message)))
        #expect(verifier.fingerprint == SecureHash.sha256(bytes(publicKey)))
    }

    @Test("a changed bit in message, signature or key, and any other size, is not valid")
    func refused() throws {
        let key = SigningKey(seed: secret(32))
        let message = Array("slot 4".utf8)
        let signature = key.sign(message)
        // First the true one: that it is remembered as valid must help no other.
        #expect(key.publicKey.isValid(signature: signature, for: message))
        #expect(key.publicKey.isValid(signature: signature, for: message))
        for changed in singleBitFlips(of: signature) {
            #expect(!key.publicKey.isValid(signature: changed, for: message))
        }
        for changed in singleBitFlips(of: message) {
            #expect(!key.publicKey.isValid(signature: signature, for: changed))
        }
        for changed in singleBitFlips(of: key.publicKey.bytes) {
            #expect(!(try VerifyingKey(bytes: changed).isValid(signature: signature, for: message)))
        }
        for count in 0..<64 {
            #expect(!key.publicKey.isValid(signature: Array(signature.prefix(count)), for: message))
        }
        #expect(!key.publicKey.isValid(signature: signature + [0], for: message))
        #expect(!key.publicKey.isValid(signature: signature, for: message + [0]))
        #expect(EncryptionSelfTest.takePendingErrors() == nil)
    }

    @Test(
        "a public key that would accept signatures nobody made is refused, with either sign bit",
        arguments: [
            "0000000000000000000000000000000000000000000000000000000000000000",
            "0100000000000000000000000000000000000000000000000000000000000000",
            "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
            "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        ])
    func lowOrder(point: String) {
        var key = bytes(point)
        #expect(refusal { () throws(EncryptionError) in _ = try VerifyingKey(bytes: key) } == .unusableKey)
        key[31] |= 0x80
        #expect(refusal { () throws(EncryptionError) in _ = try VerifyingKey(bytes: key) } == .unusableKey)
    }

    @Test("a public key of another size is refused", arguments: [0, 31, 33])
    func sizes(count: Int) {
        let code = refusal { () throws(EncryptionError) in _ = try VerifyingKey(bytes: counting(count)) }
        #expect(code == .unusableKey)
    }
}
