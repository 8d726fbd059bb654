import ChunkEncryption
import Testing

/// The known answers were made with another implementation (Python, pycryptodome) from keys of our own choice.
@Suite("HPKE with a pre-shared key")
struct HybridEncryptionTests {
    let recipient = RecipientPrivateKey(randomness: secret(32))
    let preSharedKey = secret(32, from: 100)
    let preSharedKeyID = Array("dozo-vector".utf8)
    let info = Array("dozo/1 vector".utf8)
    let associatedData = Array("bound".utf8)
    let plaintext = counting(32, from: 0x40)

    private func seal(_ plaintext: [UInt8]? = nil, info: [UInt8]? = nil, randomness: [UInt8]? = nil) throws
        -> SealedMessage
    {
        try HybridEncryption.seal(
            to: recipient.publicKey, info: info ?? self.info, associatedData: associatedData,
            preSharedKey: preSharedKey, preSharedKeyID: preSharedKeyID, plaintext: plaintext ?? self.plaintext,
            randomness: randomness ?? counting(32, from: 200))
    }

    private func open(
        _ message: SealedMessage, with key: RecipientPrivateKey? = nil, info: [UInt8]? = nil,
        associatedData: [UInt8]? = nil, preSharedKey: SecretBytes? = nil, preSharedKeyID: [UInt8]? = nil
    ) throws(EncryptionError) -> SecretBytes {
        try HybridEncryption.open(
            with: key ?? recipient, message, info: info ?? self.info,
            associatedData: associatedData ?? self.associatedData, preSharedKey: preSharedKey ?? self.preSharedKey,
            preSharedKeyID: preSharedKeyID ?? self.preSharedKeyID)
    }

    private func code(_ body: () throws(EncryptionError) -> SecretBytes) -> EncryptionError.Code? {
        refusal { () throws(EncryptionError) in _ = try body() }
    }

    @Test("a key pair is derived as in RFC 9180, appendix A.1")
    func deriveKeyPair() {
        let seed = SecretBytes(copying: bytes("7268600d403fce431561aef583ee1613527cff655c1343f29812e66706df3234"))
        let pair = RecipientPrivateKey(randomness: seed)
        #expect(pair.bytes.revealed == bytes("52c4a758a802cd8b936eceea314432798d5baf2d7e9235dc084ab1b9cfa2f736"))
        let publicKey = bytes("37fda3567bdbd628e88668c3c8d7e97d1d1253b6d4ea6d44c150f741f1bf4431")
        #expect(pair.publicKey.bytes == publicKey)
    }

    @Test("what another implementation sealed opens")
    func openForeign() throws {
        #expect(
            recipient.publicKey.bytes == bytes("b1f1b840de7a3241b02748cf9b05b74dc8c5e8451298738817bd76aa8ebe8c2b"))
        let message = SealedMessage(
            encapsulatedKey: bytes("4371409f66aaac2143ff8701f27794160d1aa057a9fb1594814b0b34e831ea7c"),
            ciphertext: bytes(
                "93a5ae9f81d0071e8536856817b97fb75ca9d24273d2d81f6ca2daf58f146b46"
                    + "73b65efc49a7a059807f9d66f21911d7"))
        #expect(try open(message).revealed == plaintext)
        let empty = SealedMessage(
            encapsulatedKey: bytes("77baa89ab0520179dac81d7109beada1d51bcb541d6de936c5b0c19736eeb878"),
            ciphertext: bytes("aa61a9fd07e15cea0ce99e386dc6bdbc"))
        #expect(try open(empty, info: [], associatedData: []).count == 0)
    }

    @Test("what we seal is, byte for byte, what the other implementation computes from the same hedged seed and opens")
    func sealKnownAnswer() throws {
        let message = try seal()
        #expect(
            message.encapsulatedKey == bytes("d571f7db5d594ccd1c9d08fda9d4db68e63e52ab6cf1293752631431b78b445e"))
        let ciphertext = bytes(
            "038a3f54888f16a04f005a8c08c631bc250bd2b6d2d6dc8ae4b6b09f47fb35fd"
                + "4239dd968c4e6c2159b64fbca9d4e2ce")
        #expect(message.ciphertext == ciphertext)
        #expect(try open(message).revealed == plaintext)
    }

    @Test("a random generator that repeats still gives another ephemeral key for another message (H3)")
    func hedge() throws {
        let first = try seal()
        var keys: Set<[UInt8]> = [first.encapsulatedKey]
        for changed in singleBitFlips(of: plaintext) { keys.insert(try seal(changed).encapsulatedKey) }
        #expect(keys.count == 1 + plaintext.count * 8)
        keys.insert(try seal(info: info + [0]).encapsulatedKey)
        // The same bytes, cut between info and associated data elsewhere: lengths are part of the hash.
        let shifted = try HybridEncryption.seal(
            to: recipient.publicKey, info: info + associatedData.prefix(1),
            associatedData: Array(associatedData.dropFirst()), preSharedKey: preSharedKey,
            preSharedKeyID: preSharedKeyID, plaintext: plaintext, randomness: counting(32, from: 200))
        keys.insert(shifted.encapsulatedKey)
        keys.insert(try seal(randomness: counting(32, from: 201)).encapsulatedKey)
        #expect(keys.count == 4 + plaintext.count * 8)
        #expect(try seal() == first, "nothing but the arguments decides")
    }

    @Test("a changed bit anywhere in a sealed message is refused")
    func flips() throws {
        let message = try seal()
        for changed in singleBitFlips(of: message.ciphertext) {
            let damaged = SealedMessage(encapsulatedKey: message.encapsulatedKey, ciphertext: changed)
            #expect(code { () throws(EncryptionError) in try open(damaged) } == .notAuthentic)
        }
        for changed in singleBitFlips(of: message.encapsulatedKey) {
            let damaged = SealedMessage(encapsulatedKey: changed, ciphertext: message.ciphertext)
            #expect(code { () throws(EncryptionError) in try open(damaged) } == .notAuthentic)
        }
        for count in 0..<message.ciphertext.count {
            let cut = SealedMessage(
                encapsulatedKey: message.encapsulatedKey, ciphertext: Array(message.ciphertext.prefix(count)))
            let expected: EncryptionError.Code = count < 16 ? .truncated : .notAuthentic
            #expect(code { () throws(EncryptionError) in try open(cut) } == expected)
        }
    }

    @Test("another recipient, info, associated data, pre-shared key or name of it does not open (M5)")
    func wrongContext() throws {
        let message = try seal()
        let stranger = RecipientPrivateKey(randomness: secret(32, from: 1))
        #expect(code { () throws(EncryptionError) in try open(message, with: stranger) } == .notAuthentic)
        #expect(code { () throws(EncryptionError) in try open(message, info: []) } == .notAuthentic)
        #expect(code { () throws(EncryptionError) in try open(message, associatedData: []) } == .notAuthentic)
        let otherKey = secret(32, from: 101)
        #expect(code { () throws(EncryptionError) in try open(message, preSharedKey: otherKey) } == .notAuthentic)
        #expect(code { () throws(EncryptionError) in try open(message, preSharedKeyID: [1]) } == .notAuthentic)
    }

    @Test(
        "points of low order are refused as recipient and as encapsulated key",
        arguments: [
            "0000000000000000000000000000000000000000000000000000000000000000",
            "0100000000000000000000000000000000000000000000000000000000000000",
            "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
            "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
            "0000000000000000000000000000000000000000000000000000000000000080",
        ])
    func lowOrder(point: String) throws {
        let key = try RecipientPublicKey(bytes: bytes(point))
        let sealing = refusal { () throws(EncryptionError) in
            _ = try HybridEncryption.seal(
                to: key, info: [], associatedData: [], preSharedKey: preSharedKey, preSharedKeyID: preSharedKeyID,
                plaintext: [], randomness: counting(32))
        }
        #expect(sealing == .unusableKey)
        let message = SealedMessage(encapsulatedKey: bytes(point), ciphertext: counting(48))
        #expect(code { () throws(EncryptionError) in try open(message) } == .unusableKey)
        #expect(EncryptionSelfTest.takePendingErrors() == nil)
    }

    @Test("keys of another size are refused", arguments: [0, 31, 33])
    func sizes(count: Int) {
        let publicKey = refusal { () throws(EncryptionError) in _ = try RecipientPublicKey(bytes: counting(count)) }
        #expect(publicKey == .unusableKey)
        let privateKey = refusal { () throws(EncryptionError) in _ = try RecipientPrivateKey(bytes: secret(count)) }
        #expect(privateKey == .unusableKey)
        let message = SealedMessage(encapsulatedKey: counting(count), ciphertext: counting(48))
        #expect(code { () throws(EncryptionError) in try open(message) } == .unusableKey)
    }

    @Test("a private key that was written down opens what was sealed to its public key")
    func storedKey() throws {
        let restored = try RecipientPrivateKey(bytes: recipient.bytes)
        #expect(restored.publicKey == recipient.publicKey)
        #expect(try open(seal(), with: restored).revealed == plaintext)
    }
}
