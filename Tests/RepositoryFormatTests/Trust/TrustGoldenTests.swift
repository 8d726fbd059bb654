import BackupModel
import ChunkEncryption
import Foundation
import RepositoryFormat
import TestKit
import Testing

/// Golden files of what trust is made of: the owner's statements, key slots, credential files. As ``GoldenTests``.
@Suite("golden files of trust")
struct TrustGoldenTests {
    static let fixture = TrustFixture()
    static let statements = [
        "owner-genesis", "owner-enrol-writer", "owner-enrol-maintainer", "owner-revoke", "owner-key-epoch",
        "owner-features",
    ]
    static let slots = ["key-slot-passphrase", "key-slot-recovery"]

    static func slotSecret(_ name: String) throws -> SlotSecret {
        guard name == "key-slot-recovery" else {
            return .passphrase(try Passphrase.secretBytes(Array("correct horse\n".utf8)))
        }
        var dice = Dice(seed: 9)
        return .recovery(RecoveryKey.generate { dice.bytes($0) })
    }

    /// Today's slot. The hedged salt follows from the credential and the dice, so it is the same every day.
    static func slot(_ name: String) throws -> (name: String, object: SignedObject) {
        var dice = Dice(seed: 5)
        return try KeySlot.seal(
            fixture.credential, secret: try slotSecret(name), label: "safe, 金庫",
            cost: try PassphraseCost(cost: 1 << 15, blockSize: 8, parallelization: 1), randomness: { dice.bytes($0) })
    }

    static func credential(_ role: Role) -> Credential {
        guard role != .owner else { return fixture.credential }
        let seed = role.signs ? SecretBytes(copying: [UInt8](repeating: 6, count: 32)) : nil
        return fixture.credential.restricted(to: role, signingSeed: seed)
    }

    // MARK: Owner statements

    private static func understand(_ number: Int, _ bytes: [UInt8]) throws -> OwnerStatement {
        let name = OwnerStatement.name(UInt32(number))
        return try OwnerStatement(
            try SignedObject(parsing: bytes, name: name, kind: .ownerStatement, repository: fixture.repository),
            name: name)
    }

    @Test("each statement is understood, and written the same today", arguments: statements.indices)
    func statement(number: Int) throws {
        let written = try Self.fixture.statements()[number]
        let stored = try GoldenTests.stored(Self.statements[number], orWrite: written.bytes)
        #expect(stored == written.bytes, "today's writer writes other bytes for \(Self.statements[number])")
        let name = OwnerStatement.name(UInt32(number))
        #expect(try Self.understand(number, stored) == OwnerStatement(written, name: name))
    }

    @Test("the stored statements are one chain, which says what it said when it was written")
    func chain() throws {
        let objects = try Self.statements.enumerated().map { number, name in
            try SignedObject(
                parsing: try GoldenTests.stored(name, orWrite: Self.fixture.statements()[number].bytes), name: name,
                kind: .ownerStatement, repository: nil)
        }
        var chain = try OwnerChain(
            genesis: objects[0], expectedOwner: Self.fixture.owner.publicKey.fingerprint,
            expectedRepository: Self.fixture.repository)
        for object in objects.dropFirst() { try chain.append(object, name: chain.nextName) }
        #expect(chain.defaults == TrustFixture.defaults && chain.domains.map(\.id) == [0, 4])
        #expect(chain.domains.map(\.epoch) == [1, 2] && chain.domains[1].dedupTrust == .all)
        let writer = try #require(chain.signer(TrustFixture.key(7).publicKey.fingerprint))
        #expect(writer.role == .writer && writer.domain == 4 && writer.label == "nightly, 東京")
        #expect(writer.guests == [GuestID(bytes: TrustFixture.sixteen(1))!])
        #expect(chain.signer(TrustFixture.key(8).publicKey.fingerprint)?.role == .maintainer)
        #expect(chain.revocations.values.flatMap { $0 }.map(\.slot) == [TrustFixture.slot])
        #expect(chain.refusal(for: .sweep) != nil && chain.refusal(for: .read) == nil)
    }

    @Test(
        "a statement of another draft, version, critical flag or repository is refused", arguments: statements.indices)
    func refusedStatement(number: Int) throws {
        let whole = try Self.fixture.statements()[number].bytes
        for (suffix, code, offset, bytes) in GoldenTests.refused {
            let name = "refused-\(Self.statements[number])-\(suffix)"
            let stored = try GoldenTests.stored(name, orWrite: whole.replacing(offset, bytes))
            #expect(stored != whole)
            #expect(refusalCode { try Self.understand(number, stored) } == code, "\(name)")
        }
    }

    @Test("a statement signed by a key that its chain enrolled is refused: only the owner states")
    func refusedSigner() throws {
        let forged = Self.fixture.forged(try Self.fixture.statements()[1].members, by: TrustFixture.key(7))
        let name = "refused-owner-enrol-writer-by-writer"
        let stored = try GoldenTests.stored(name, orWrite: forged.bytes)
        var chain = try Self.fixture.chain()
        let object = try SignedObject(parsing: stored, name: name, kind: .ownerStatement, repository: nil)
        #expect(refusalCode { try chain.append(object, name: chain.nextName) } == .void)
    }

    // MARK: Key slots

    private static func open(_ name: String, _ bytes: [UInt8]) throws -> Credential {
        let place = try slot(name).name
        let object = try SignedObject(parsing: bytes, name: place, kind: .keySlot, repository: fixture.repository)
        return try KeySlot(object, name: place).open(try slotSecret(name))
    }

    @Test("each slot opens, and is written the same today", arguments: slots)
    func keySlot(name: String) throws {
        let written = try Self.slot(name).object.bytes
        let stored = try GoldenTests.stored(name, orWrite: written)
        #expect(stored == written, "today's writer writes other bytes for \(name)")
        #expect(try Self.open(name, stored) == Self.fixture.credential)
    }

    @Test(
        "a slot of another draft, version, critical flag or repository, too cheap, or another's is refused",
        arguments: slots)
    func refusedSlot(name: String) throws {
        let whole = try Self.slot(name).object
        for (suffix, code, offset, bytes) in GoldenTests.refused {
            let stored = try GoldenTests.stored(
                "refused-\(name)-\(suffix)", orWrite: whole.bytes.replacing(offset, bytes))
            #expect(refusalCode { try Self.open(name, stored) } == code, "\(name) \(suffix)")
        }
        var cheap = whole.members
        cheap["n"] = .unsigned(1 << 14)
        let others: [(suffix: String, code: FormatError.Code, members: [String: RecordValue], key: SigningKey)] = [
            ("cheap", .refused, cheap, Self.fixture.owner),
            ("signed-by-another", .wrongSecret, whole.members, TrustFixture.key(7)),
        ]
        for (suffix, code, members, key) in others {
            let object = SignedObject(
                kind: .keySlot, repository: Self.fixture.repository, body: .map(members), signedBy: key)
            let stored = try GoldenTests.stored("refused-\(name)-\(suffix)", orWrite: object.bytes)
            #expect(refusalCode { try Self.open(name, stored) } == code, "\(name) \(suffix)")
        }
    }

    // MARK: Credential files

    /// A credential file around any bytes, with a check that fits them.
    static func file(around content: [UInt8], version: String = "1") -> [UInt8] {
        let text = Array(Data(content).base64EncodedString().utf8)
        var lines = ["dozo credential \(version)"]
        for start in stride(from: 0, to: text.count, by: 64) {
            lines.append(String(decoding: text[start..<min(start + 64, text.count)], as: UTF8.self))
        }
        lines.append("check \(SecureHash.sha256(content).hexadecimal.prefix(16))")
        return Array((lines.joined(separator: "\n") + "\n").utf8)
    }

    @Test("the file of each role is understood, and written the same today", arguments: Role.allCases)
    func credentialFile(role: Role) throws {
        let credential = Self.credential(role)
        let written = CredentialFile.encoded(credential)
        let stored = try GoldenTests.stored("credential-\(role.rawValue)", orWrite: written)
        #expect(stored == written && stored == Self.file(around: credential.encoded))
        #expect(try CredentialFile.credential(parsing: stored, of: "a file") == credential)
    }

    @Test("a credential of another version, spelling, line end or check is refused", arguments: Role.allCases)
    func refusedCredential(role: Role) throws {
        let content = Self.credential(role).encoded
        let file = CredentialFile.encoded(Self.credential(role))
        // The role's name, in a longer form of the text's length than it needs.
        let role8 = Array("role".utf8) + [0x60 + UInt8(role.rawValue.utf8.count)]
        let place = try #require(content.indices.first { content[$0...].starts(with: role8) }) + 4
        let longer = content[..<place] + [0x78, UInt8(role.rawValue.utf8.count)] + content[(place + 1)...]
        let other: Role = role == .verifier ? .reader : .verifier
        let dressed = try RecordValue.map(Self.members(content).merging(["role": .text(other.rawValue)]) { $1 })
        let text = String(decoding: file, as: UTF8.self)
        let variants: [(suffix: String, code: FormatError.Code, bytes: [UInt8])] = [
            ("version-2", .unsupported, Self.file(around: content, version: "2")),
            ("non-canonical", .malformed, Self.file(around: Array(longer))),
            ("other-role", .malformed, Self.file(around: dressed.encoded)),
            ("carriage-returns", .damaged, Array(text.replacing("\n", with: "\r\n").utf8)),
            ("other-check", .damaged, file.replacing(file.count - 2, [file[file.count - 2] ^ 1])),
        ]
        for (suffix, code, bytes) in variants {
            let name = "refused-credential-\(role.rawValue)-\(suffix)"
            let stored = try GoldenTests.stored(name, orWrite: bytes)
            #expect(stored != file)
            #expect(refusalCode { try CredentialFile.credential(parsing: stored, of: "a file") } == code, "\(name)")
        }
    }

    static func members(_ content: [UInt8]) throws -> [String: RecordValue] {
        guard case .map(let members) = try RecordValue(decoding: content[...], of: "a credential") else { return [:] }
        return members
    }
}
