import BackupModel
import ChunkEncryption
import RepositoryFormat
import TestKit
import Testing

@Suite("key slots, passphrases, recovery keys (format page §4)")
struct KeySlotTests {
    let fixture = TrustFixture()
    let cheapest: PassphraseCost

    init() throws { cheapest = try PassphraseCost(cost: 1 << 15, blockSize: 8, parallelization: 1) }

    private func passphrase(_ text: String) throws -> SlotSecret {
        .passphrase(try Passphrase.secretBytes(Array(text.utf8)))
    }

    private func sealed(_ secret: SlotSecret) throws -> (name: String, object: SignedObject) {
        var dice = Dice(seed: 5)
        return try KeySlot.seal(
            fixture.credential, secret: secret, label: "safe", cost: cheapest, randomness: { dice.bytes($0) })
    }

    private func parsed(_ bytes: [UInt8], name: String) throws -> KeySlot {
        try KeySlot(try SignedObject(parsing: bytes, name: name, kind: .keySlot, repository: nil), name: name)
    }

    @Test("a slot opens with its passphrase and no other, and every flipped bit is refused")
    func passphraseSlot() throws {
        let secret = try passphrase("correct horse\n")
        let (name, object) = try sealed(secret)
        let slot = try parsed(object.bytes, name: name)
        #expect(slot.objectName == name && name == "keys/\(slot.id.hexadecimal)")
        #expect(slot.label == "safe" && slot.kind == .passphrase && slot.cost == cheapest)
        #expect(try slot.open(try passphrase("correct horse")) == fixture.credential)
        #expect(try refusal { _ = try slot.open(try passphrase("correct horsf")) } == .wrongSecret)
        // The work is done once: a slot whose salt or cost changed would derive another key, and does not open with the
        // true one either.
        let key = try slot.wrappingKey(from: secret)
        #expect(try slot.open(wrappingKey: key) == fixture.credential)
        for (bit, bytes) in singleBitFlips(of: object.bytes).enumerated() {
            let code = try refusal { _ = try parsed(bytes, name: name).open(wrappingKey: key) }
            #expect(code != nil, "bit \(bit)")
        }
    }

    @Test("a recovery key opens its slot; a secret of the other kind is refused without work")
    func recoverySlot() throws {
        var dice = Dice(seed: 9)
        let key = RecoveryKey.generate { dice.bytes($0) }
        let (name, object) = try sealed(.recovery(key))
        let slot = try parsed(object.bytes, name: name)
        #expect(slot.kind == .recovery)
        #expect(try slot.open(.recovery(try RecoveryKey(parsing: key.text))) == fixture.credential)
        let secret = try passphrase(key.text)
        #expect(try refusal { _ = try slot.wrappingKey(from: secret) } == .wrongSecret)
    }

    @Test("a slot that the owner did not sign is refused once it is open, whoever put it there")
    func otherSigner() throws {
        let secret = try passphrase("correct horse")
        let (name, object) = try sealed(secret)
        let key = try parsed(object.bytes, name: name).wrappingKey(from: secret)
        let forged = SignedObject(
            kind: .keySlot, repository: fixture.repository, body: object.body, signedBy: TrustFixture.key(7))
        #expect(try refusal { _ = try parsed(forged.bytes, name: name).open(wrappingKey: key) } == .wrongSecret)
        let moved = SignedObject(
            kind: .keySlot, repository: TrustFixture(seed: 2).repository, body: object.body, signedBy: fixture.owner)
        #expect(try refusal { _ = try parsed(moved.bytes, name: name).open(wrappingKey: key) } == .wrongSecret)
        // Somebody with the owner's header and a signature of his own.
        var bytes = object.bytes
        bytes.replaceSubrange(bytes.count - 64..<bytes.count, with: forged.signature)
        #expect(try refusal { _ = try parsed(bytes, name: name).open(wrappingKey: key) } == .damaged)
    }

    @Test("scrypt parameters outside the bounds are refused when the slot is read, before any work")
    func bounds() throws {
        let (name, object) = try sealed(try passphrase("x"))
        let changes: [(String, UInt64)] = [
            ("n", 0), ("n", 1 << 14), ("n", (1 << 15) + 1), ("n", 1 << 18), ("n", 1 << 40), ("n", .max), ("r", 0),
            ("r", 7), ("r", 9), ("r", .max), ("p", 0), ("p", 5), ("p", .max),
        ]
        for (field, value) in changes {
            var members = object.members
            members[field] = .unsigned(value)
            let changed = SignedObject(
                kind: .keySlot, repository: fixture.repository, body: .map(members), signedBy: fixture.owner)
            #expect(try refusal { _ = try KeySlot(changed, name: name) } == .refused, "\(field) = \(value)")
        }
    }

    @Test("a slot with a missing field, an unknown kind, a critical field or another name is refused")
    func fields() throws {
        let (name, object) = try sealed(try passphrase("x"))
        func code(_ members: [String: RecordValue], name: String) throws -> FormatError.Code? {
            let changed = SignedObject(
                kind: .keySlot, repository: fixture.repository, body: .map(members), signedBy: fixture.owner)
            return try refusal { _ = try KeySlot(changed, name: name) }
        }
        #expect(
            Set(object.members.keys) == ["slot", "kind", "label", "n", "r", "p", "salt", "sealed"])
        for field in object.members.keys {
            var members = object.members
            members[field] = nil
            #expect(try code(members, name: name) == .malformed, "\(field)")
        }
        var members = object.members
        members["kind"] = .text("fingerprint reader")
        #expect(try code(members, name: name) == .unsupported)
        members = object.members
        members["!later"] = .null
        #expect(try code(members, name: name) == .unsupported)
        members = object.members
        members["salt"] = .bytes([UInt8](repeating: 1, count: 31))
        #expect(try code(members, name: name) == .malformed)
        members["sealed"] = .bytes([UInt8](repeating: 1, count: Credential.largestByteCount + 17))
        members["salt"] = object.members["salt"]
        #expect(try code(members, name: name) == .malformed)
        #expect(try code(object.members, name: KeySlot.name([UInt8](repeating: 1, count: 16))) == .misplaced)
        let statement = fixture.genesis
        #expect(try refusal { _ = try KeySlot(statement, name: name) } == .misplaced)
    }

    @Test("a random generator that repeats itself gives another salt for another credential or label")
    func hedged() throws {
        func salt(_ credential: Credential, label: String) throws -> RecordValue? {
            let secret = try passphrase("x")
            return try KeySlot.seal(
                credential, secret: secret, label: label, cost: cheapest,
                randomness: { [UInt8](repeating: 7, count: $0) }
            ).object.members["salt"]
        }
        let later = fixture.credential.updated(ownerHead: OwnerHead(number: 1, hash: TrustFixture.hash(1)))
        let first = try salt(fixture.credential, label: "a")
        #expect(try salt(later, label: "a") != first)
        #expect(try salt(fixture.credential, label: "b") != first)
    }

    @Test("of a passphrase file one newline at the end is dropped, and an empty passphrase is refused")
    func passphraseBytes() throws {
        let cases: [(String, String)] = [
            ("abc", "abc"), ("abc\n", "abc"), ("abc\n\n", "abc\n"), ("abc\r\n", "abc\r"), (" abc ", " abc "),
            ("\nabc", "\nabc"), ("\n\n", "\n"), ("パス\n", "パス"),
        ]
        for (file, secret) in cases {
            #expect(try Passphrase.secretBytes(Array(file.utf8)) == SecretBytes(copying: Array(secret.utf8)))
        }
        for empty in [[], [UInt8(ascii: "\n")]] {
            #expect(try refusal { _ = try Passphrase.secretBytes(empty) } == .refused)
        }
    }
}

@Suite("recovery keys on paper (format page §4)")
struct RecoveryKeyTests {
    let key: RecoveryKey

    init() {
        var dice = Dice(seed: 3)
        key = RecoveryKey.generate { dice.bytes($0) }
    }

    @Test("the text is eight groups and a check, and comes back however it is typed")
    func roundTrip() throws {
        let groups = key.text.split(separator: "-")
        #expect(groups.count == 9 && groups.allSatisfy { $0.utf8.count == 8 })
        let bytes = try #require([UInt8](hexadecimal: groups.dropLast().joined()))
        #expect(key.secret == SecretBytes(copying: bytes))
        #expect(groups.last.map(String.init) == String(SecureHash.sha256(bytes).hexadecimal.prefix(8)))
        let typed = [
            key.text, key.text.uppercased(), key.text.replacing("-", with: ""), key.text.replacing("-", with: " "),
            key.text.replacing("-", with: "\r\n"), "  \(key.text)\n", groups.joined(separator: " - "),
        ]
        for text in typed { #expect(try RecoveryKey(parsing: text) == key) }
    }

    @Test("every single changed character is noticed, and the sentence says what was mistyped")
    func mistyped() throws {
        let characters = Array(key.text)
        for position in characters.indices where characters[position] != "-" {
            for digit in "0123456789abcdefgOl_é" where digit != characters[position] {
                var changed = characters
                changed[position] = digit
                let error = #expect(throws: FormatError.self) { try RecoveryKey(parsing: String(changed)) }
                #expect(error?.code == .wrongSecret)
                let group = digit.isHexDigit ? "one group" : "group \(position / 9 + 1) "
                #expect(error?.sentence.hasPrefix(group) == true, "\(error?.sentence ?? "")")
                #expect(error?.sentence.contains("mistyped") == true)
            }
        }
    }

    @Test("missing, surplus and swapped characters are noticed")
    func shapes() throws {
        let characters = Array(key.text)
        for position in characters.indices where characters[position] != "-" {
            var shorter = characters
            shorter.remove(at: position)
            #expect(try refusal { _ = try RecoveryKey(parsing: String(shorter)) } == .wrongSecret)
            var longer = characters
            longer.insert("0", at: position)
            #expect(try refusal { _ = try RecoveryKey(parsing: String(longer)) } == .wrongSecret)
            guard position > 0, characters[position - 1] != "-", characters[position] != characters[position - 1]
            else { continue }
            var swapped = characters
            swapped.swapAt(position, position - 1)
            #expect(try refusal { _ = try RecoveryKey(parsing: String(swapped)) } == .wrongSecret)
        }
        for text in ["", "-", String(repeating: "0", count: 100_000)] {
            #expect(try refusal { _ = try RecoveryKey(parsing: text) } == .wrongSecret)
        }
    }
}
