import BackupModel
import ChunkEncryption
import RepositoryFormat
import TestKit
import Testing

/// As ``FuzzTests``, for what trust is made of. What lies behind a signature, a seal or a check is changed before it is
/// signed, sealed or checked.
@Suite("seeded mutations of trust")
struct TrustFuzzTests {
    private let fixture = TrustFixture()

    @Test("statements as stored, and with bodies that somebody wrote")
    func statements() throws {
        let objects = try fixture.statements()
        Mutator.run("statements as stored", objects.map(\.bytes)) { bytes in
            let object = try SignedObject(parsing: bytes, name: "x", kind: .ownerStatement, repository: nil)
            _ = try OwnerStatement(object, name: OwnerStatement.name(1))
            return nil
        }
        Mutator.run("bodies of statements", objects.map(\.body.encoded)) { body in
            let value = try RecordValue(decoding: body[...], of: "x")
            guard case .map(let members) = value else { return nil }
            for number in UInt32(0)..<6 {
                _ = try? OwnerStatement(fixture.forged(members), name: OwnerStatement.name(number))
            }
            return value.encoded == body ? nil : "two spellings of one statement"
        }
    }

    @Test("chains in which the owner signed a changed statement")
    func chains() throws {
        let objects = try fixture.statements()
        let writer = TrustFixture.key(7).publicKey.fingerprint
        for number in objects.indices {
            Mutator.run("chains with statement \(number) changed", [objects[number].body.encoded]) { body in
                guard case .map(let members) = try RecordValue(decoding: body[...], of: "x") else { return nil }
                let changed = fixture.forged(members)
                var chain = try OwnerChain(
                    genesis: number == 0 ? changed : fixture.genesis, expectedOwner: fixture.owner.publicKey.fingerprint
                )
                // The later ones name the hash of the true statement, and are refused unless nothing was changed.
                for (place, object) in objects.enumerated().dropFirst() {
                    do { try chain.append(place == number ? changed : object, name: chain.nextName) } catch { break }
                }
                for act in RepositoryAct.allCases { _ = chain.refusal(for: act) }
                _ = chain.accepts(TrustFixture.slot, by: writer)
                _ = chain.accepts(TrustFixture.entry, under: TrustFixture.slot, by: writer)
                _ = chain.refusal(remembering: chain.head)
                guard !chain.domains.isEmpty else { return "a chain without a domain" }
                let isRanged = (try? chain.defaults.check(of: "x")) != nil
                return isRanged ? nil : "defaults out of range"
            }
        }
    }

    @Test("key slots as stored, and credentials that the owner sealed into one")
    func keySlots() throws {
        let (name, object) = try TrustGoldenTests.slot("key-slot-passphrase")
        let slot = try KeySlot(object, name: name)
        // The one piece of work: changed slots are opened under this key.
        let key = try slot.wrappingKey(from: try TrustGoldenTests.slotSecret("key-slot-passphrase"))
        Mutator.run("key slots as stored", [object.bytes]) { bytes in
            let object = try SignedObject(parsing: bytes, name: name, kind: .keySlot, repository: nil)
            let slot = try KeySlot(object, name: name)
            guard bytes != object.bytes, (try? slot.open(wrappingKey: key)) != nil else { return nil }
            return "a changed slot opened"
        }
        var members = object.members
        members["sealed"] = nil
        let context = Array(object.bytes[..<72]) + RecordValue.map(members).encoded
        Mutator.run("credentials in key slots", [fixture.credential.encoded]) { content in
            members["sealed"] = .bytes(
                AuthenticatedCipher().seal(key: key, nonce: 0, associatedData: context, plaintext: content))
            let object = SignedObject(
                kind: .keySlot, repository: fixture.repository, body: .map(members), signedBy: fixture.owner)
            return Self.fault(try KeySlot(object, name: name).open(wrappingKey: key))
        }
        Mutator.run("bodies of key slots", [object.body.encoded]) { body in
            guard case .map(let members) = try RecordValue(decoding: body[...], of: "x") else { return nil }
            let object = SignedObject(
                kind: .keySlot, repository: fixture.repository, body: .map(members), signedBy: fixture.owner)
            _ = try KeySlot(object, name: name).open(wrappingKey: key)
            return nil
        }
    }

    @Test("credentials, and credential files with a check that fits")
    func credentials() {
        let all = Role.allCases.map(TrustGoldenTests.credential)
        Mutator.run("credentials", all.map(\.encoded)) { bytes in
            Self.fault(try Credential(decoding: bytes, of: "x"))
        }
        Mutator.run("credential files", all.map(CredentialFile.encoded)) { file in
            Self.fault(try CredentialFile.credential(parsing: file, of: "x"))
        }
        Mutator.run("credential files with a check that fits", all.map(\.encoded)) { content in
            let file = TrustGoldenTests.file(around: content)
            return Self.fault(try CredentialFile.credential(parsing: file, of: "x"))
        }
    }

    /// What an accepted credential must keep.
    private static func fault(_ credential: Credential) -> String? {
        guard credential.domains.allSatisfy({ $0.kinds == credential.role.holdings }) else {
            return "a credential that holds other secrets than its role"
        }
        guard (credential.signingSeed != nil) == credential.role.signs else { return "a seed too many or too few" }
        let again = try? Credential(decoding: credential.encoded, of: "x")
        return again == credential ? nil : "a credential that does not come back"
    }

    @Test("recovery keys as people type them")
    func recoveryKeys() {
        var dice = Dice(seed: 3)
        let texts = (0..<4).map { _ in RecoveryKey.generate { dice.bytes($0) }.text }
        let typed = [texts[0], texts[1].uppercased(), texts[2].replacing("-", with: " \n\t"), texts[3] + "\r\n"]
        Mutator.run("recovery keys", typed.map { Array($0.utf8) }) { bytes in
            let key = try RecoveryKey(parsing: String(decoding: bytes, as: UTF8.self))
            let again = try RecoveryKey(parsing: key.text)
            return again == key && texts.contains(key.text) ? nil : "a key that nobody wrote was accepted"
        }
    }
}
