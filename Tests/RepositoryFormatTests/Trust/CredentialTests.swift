import BackupModel
import ChunkEncryption
import RepositoryFormat
import TestKit
import Testing

@Suite("credentials and roles (format page §4)")
struct CredentialTests {
    let fixture = TrustFixture()

    private func credential(of role: Role) -> Credential {
        guard role != .owner else { return fixture.credential }
        let seed = role.signs ? SecretBytes(copying: [UInt8](repeating: 6, count: 32)) : nil
        return fixture.credential.restricted(to: role, signingSeed: seed)
    }

    @Test("generated secrets differ, and the structure identity key is the published derivation")
    func generated() throws {
        let secrets = fixture.secrets[0]
        let all = [
            secrets.identity, secrets.structureIdentity, secrets.boundary, secrets.index, secrets.preShared,
            secrets.contentPrivate, secrets.structurePrivate,
        ].compactMap { $0 }
        #expect(all.count == 7)
        for (position, secret) in all.enumerated() {
            #expect(secret.count == 32)
            #expect(!all[..<position].contains(secret))
        }
        let derived = KeyDerivation.derive(key: try #require(secrets.identity), label: "dozo/1 structure id")
        #expect(secrets.structureIdentity == derived)
        let keys = DomainKeys(of: secrets, dedupTrust: .own)
        let content = try RecipientPrivateKey(bytes: try #require(secrets.contentPrivate)).publicKey
        #expect(keys.contentKey == content && keys.structureKey != content)
    }

    @Test("a role holds exactly what the format page says", arguments: Role.allCases)
    func holdings(role: Role) {
        let expected: [Role: [Bool]] = [
            .owner: [true, true, true, true, true, true, true],
            .reader: [true, true, false, true, true, true, true],
            .maintainer: [false, true, false, true, true, false, true],
            .approver: [false, true, false, true, true, false, true],
            .writer: [true, true, true, true, true, false, false],
        ]
        let credential = credential(of: role)
        #expect(credential.domains.count == (role == .verifier ? 0 : 2))
        for secrets in credential.domains {
            let held = [
                secrets.identity, secrets.structureIdentity, secrets.boundary, secrets.index, secrets.preShared,
                secrets.contentPrivate, secrets.structurePrivate,
            ]
            #expect(held.map { $0 != nil } == expected[role])
        }
        #expect((credential.signingSeed != nil) == [.owner, .maintainer, .approver, .writer].contains(role))
        #expect((credential.signingSeed == fixture.ownerSeed) == (role == .owner))
        #expect(credential.owner == fixture.owner.publicKey.fingerprint)
    }

    @Test("the bytes of a restricted credential hold no key that the role lacks", arguments: Role.allCases)
    func absentBytes(role: Role) {
        let encoded = credential(of: role).encoded
        for secrets in fixture.secrets {
            let all: [(DomainSecrets.Kind, SecretBytes?)] = [
                (.identity, secrets.identity), (.structureIdentity, secrets.structureIdentity),
                (.boundary, secrets.boundary), (.index, secrets.index), (.preShared, secrets.preShared),
                (.contentPrivate, secrets.contentPrivate), (.structurePrivate, secrets.structurePrivate),
            ]
            for (kind, secret) in all {
                let bytes = secret.map { unsafe $0.withUnsafeBytes { unsafe [UInt8]($0) } } ?? []
                #expect(encoded.contains(bytes) == role.holdings.contains(kind), "\(kind)")
            }
        }
        let seed = unsafe fixture.ownerSeed.withUnsafeBytes { unsafe [UInt8]($0) }
        #expect(encoded.contains(seed) == (role == .owner))
    }

    @Test("a credential comes back from CBOR and from its file", arguments: Role.allCases)
    func roundTrip(role: Role) throws {
        let credential = credential(of: role)
        #expect(try Credential(decoding: credential.encoded, of: "a credential") == credential)
        let file = CredentialFile.encoded(credential)
        #expect(try CredentialFile.credential(parsing: file, of: "a file") == credential)
        #expect(try CredentialFile.credential(parsing: Array(file.dropLast()), of: "a file") == credential)
        let lines = String(decoding: file, as: UTF8.self).split(separator: "\n")
        #expect(lines.first == "dozo credential 1")
        #expect(lines.dropFirst().dropLast().allSatisfy { $0.utf8.count <= 64 })
        #expect(lines.last == "check \(SecureHash.sha256(credential.encoded).hexadecimal.prefix(16))")
    }

    @Test("a credential is cut to chosen domains and carries the head it was issued at")
    func chosen() {
        let head = OwnerHead(number: 12, hash: TrustFixture.hash(5))
        let reader = fixture.credential.restricted(to: .reader, ownerHead: head, domains: [4])
        #expect(reader.domains.map(\.id) == [4])
        #expect(reader.ownerHead == head)
        let later = DomainSecrets.generate(id: 0, epoch: 2) { [UInt8](repeating: 0x55, count: $0) }
        let owner = fixture.credential.updated(ownerHead: head, adding: [later])
        #expect(owner.domains.map(\.id) == [0, 0, 4] && owner.domains.map(\.epoch) == [1, 2, 1])
        #expect(owner.ownerHead == head && owner.owner == fixture.credential.owner)
    }

    @Test("every single flipped bit and every truncation of a credential file is refused")
    func flippedFile() throws {
        let file = CredentialFile.encoded(credential(of: .maintainer))
        for (bit, bytes) in singleBitFlips(of: file).enumerated() {
            let code = try refusal { _ = try CredentialFile.credential(parsing: bytes, of: "a file") }
            #expect(code != nil, "bit \(bit)")
        }
        for length in 0..<file.count - 1 {
            let cut = Array(file[..<length])
            #expect(try refusal { _ = try CredentialFile.credential(parsing: cut, of: "a file") } != nil)
        }
    }

    @Test("no changed bit of the CBOR is overlooked: it is refused, or read as what it says")
    func flippedRecord() {
        let encoded = credential(of: .writer).encoded
        for (bit, bytes) in singleBitFlips(of: encoded).enumerated() {
            guard let read = try? Credential(decoding: bytes, of: "a credential") else { continue }
            #expect(read.encoded == bytes, "bit \(bit)")
        }
    }

    @Test("other shapes of the file are refused: versions, line ends, line lengths, blank lines, padding")
    func shapes() throws {
        let file = String(decoding: CredentialFile.encoded(credential(of: .verifier)), as: UTF8.self)
        let lines = file.split(separator: "\n").map(String.init)
        let content = lines[1..<lines.count - 1].joined()
        let shapes = [
            "", "\n", "dozo credential 1\n", "dozo credential 1\n\(lines.last ?? "")\n",
            file.replacing("credential 1", with: "credential 2"), file.replacing("\n", with: "\r\n"), file + "\n",
            "\n" + file, file.replacing("1\n", with: "1\n\n", maxReplacements: 1),
            [lines[0], content, lines.last ?? ""].joined(separator: "\n"),
            [lines[0], String(content.dropLast(4)) + "====", lines.last ?? ""].joined(separator: "\n"),
            String(repeating: "x", count: CredentialFile.largestByteCount + 1),
        ]
        for shape in shapes {
            let code = try refusal { _ = try CredentialFile.credential(parsing: Array(shape.utf8), of: "a file") }
            #expect(code != nil, "\(shape.prefix(200))")
        }
    }

    /// The credential's CBOR with one change in its members.
    private func changed(_ role: Role, _ change: (inout [String: RecordValue]) -> Void) throws -> FormatError.Code? {
        let encoded = credential(of: role).encoded
        guard case .map(var members) = try RecordValue(decoding: encoded[...], of: "a credential") else { return nil }
        change(&members)
        let bytes = RecordValue.map(members).encoded
        return try refusal { _ = try Credential(decoding: bytes, of: "a credential") }
    }

    @Test("a credential with more or fewer secrets than its role holds is refused", arguments: Role.allCases)
    func otherHoldings(role: Role) throws {
        // Those two hold the same: what they may is said by the owner chain.
        let twins: Set<Role> = [.maintainer, .approver]
        for other in Role.allCases where other != role && !twins.isSuperset(of: [role, other]) {
            let code = try changed(role) { $0["role"] = .text(other.rawValue) }
            #expect(code == .malformed, "a \(role) dressed up as a \(other)")
        }
        #expect(try changed(role) { $0["role"] = .text("king") } == .unsupported)
        #expect(try changed(role) { $0["!later"] = .null } == .unsupported)
        #expect(try changed(role) { $0["later"] = .null } == nil)
        for field in ["role", "repository", "owner", "owner_head", "domains"] {
            #expect(try changed(role) { $0[field] = nil } == .malformed)
        }
        let seed = RecordValue.bytes([UInt8](repeating: 5, count: 32))
        let reseeded = try changed(role) { $0["signing_seed"] = seed }
        #expect((reseeded == nil) == [.maintainer, .approver, .writer].contains(role))
    }

    @Test("domains that are repeated, out of order, or do not fit together are refused")
    func domains() throws {
        let code = try changed(.owner) { members in
            guard case .array(let domains)? = members["domains"] else { return }
            members["domains"] = .array(domains.reversed())
        }
        #expect(code == .malformed)
        let repeated = try changed(.owner) { members in
            guard case .array(let domains)? = members["domains"] else { return }
            members["domains"] = .array([domains[0], domains[0]])
        }
        #expect(repeated == .malformed)
        let torn = try changed(.owner) { members in
            guard case .array(var domains)? = members["domains"], case .map(var domain) = domains[0] else { return }
            domain["identity"] = .bytes([UInt8](repeating: 1, count: 32))
            domains[0] = .map(domain)
            members["domains"] = .array(domains)
        }
        #expect(torn == .malformed)
    }

    @Test("secrets are not in any description")
    func description() {
        let text = "\(fixture.credential) \(String(reflecting: fixture.credential))"
        let seed = unsafe fixture.ownerSeed.withUnsafeBytes { unsafe [UInt8]($0) }
        #expect(!text.contains(seed.hexadecimal) && !text.contains("\(seed)"))
        #expect(text.contains("<secret>"))
    }
}
