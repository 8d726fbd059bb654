import BackupModel
import ChunkEncryption
import RepositoryFormat
import TestKit
import Testing

/// What the owner states for approvals: whose a key is, and how many persons are asked for.
@Suite("persons and requirements (format page §3)")
struct PersonTests {
    let fixture = TrustFixture()

    private static let approver = Enrolment(
        key: TrustFixture.key(9).publicKey, role: .writer, domain: 0, guests: [], label: "laptop", person: "Bó",
        approves: true)

    /// A chain with a person's key and a requirement, and its two statements.
    private func stated() throws -> (chain: OwnerChain, objects: [SignedObject]) {
        var chain = try fixture.chain()
        var objects: [SignedObject] = []
        objects.append(try chain.enrolling(Self.approver, createdAt: 1, signedBy: fixture.owner))
        try chain.append(objects[0], name: chain.nextName)
        objects.append(
            try chain.changing(
                features: FeatureSets(sweep: [FeatureSets.approvals]), approvals: 2, createdAt: 2,
                signedBy: fixture.owner))
        try chain.append(objects[1], name: chain.nextName)
        return (chain, objects)
    }

    @Test("a person and a requirement come back, with the fields that the page names; so do golden files")
    func roundTrip() throws {
        let (chain, objects) = try stated()
        let read = try #require(chain.enrolments[Self.approver.key.fingerprint])
        #expect(
            read.person == "Bó" && read.approves && read.guests == [] && !read.mayWrite(guest: Sample.identifier(1)))
        #expect(objects[0].members["person"] == .text("Bó") && objects[0].members["approves"] == .bool(true))
        #expect(objects[1].members["approvals"] == .map(["persons": .unsigned(2)]))
        let contents = chain.decisions.map(\.content)
        #expect(contents == [.person(Self.approver.key.fingerprint), .requirement(2)])
        #expect(chain.decisions.map(\.statement) == chain.statements.suffix(2))
        for (object, name) in zip(objects, ["owner-enrol-approver", "owner-approvals"]) {
            #expect(try GoldenTests.stored(name, orWrite: object.bytes) == object.bytes, "\(name)")
        }
    }

    @Test("a revocation that takes another back is one more to whoever does not know that, and names one of its key")
    func withdrawal() throws {
        var (chain, _) = try stated()
        let key = Self.approver.key.fingerprint
        func slot(_ number: UInt32) -> LogHead {
            LogHead(
                slot: SlotNumber(incarnation: 0, epoch: 0, number: number), hash: SecureHash.sha256([UInt8(number)]))
        }
        let first = try chain.revoking(Revocation(key: key, slot: slot(1)), createdAt: 3, signedBy: fixture.owner)
        try chain.append(first, name: chain.nextName)
        let taken = chain
        let second = try chain.revoking(
            Revocation(key: key, slot: slot(5), withdraws: first.hash), createdAt: 4, signedBy: fixture.owner)
        try chain.append(second, name: chain.nextName)
        #expect(second.members["withdraws"] == .bytes(first.hash.bytes) && first.members["withdraws"] == nil)
        #expect(try GoldenTests.stored("owner-withdraw", orWrite: second.bytes) == second.bytes)
        #expect(chain.withdrawn == [first.hash] && chain.revocation(second.hash)?.withdraws == first.hash)
        // With all of them the narrower one stays.
        #expect(chain.accepts(slot(1), by: key) && !chain.accepts(slot(4), by: key))
        let without = chain.believing(without: [first.hash])
        #expect(without.accepts(slot(4), by: key) && !without.accepts(slot(6), by: key))
        #expect(chain.believing(without: [first.hash, second.hash]).accepts(slot(6), by: key))
        #expect(chain.decisions.suffix(2).map(\.content) == [.revocation(key), .revocation(key)])
        for wrong in [chain.statements[0].hash, SecureHash.sha256([]), second.hash] {
            #expect(
                refusalCode {
                    try taken.revoking(
                        Revocation(key: key, slot: slot(5), withdraws: wrong), createdAt: 4, signedBy: fixture.owner)
                } == .malformed)
        }
    }

    @Test("whoever sweeps must know approvals, whoever reads or writes need not")
    func feature() throws {
        let (chain, _) = try stated()
        #expect(RepositoryAct.allCases.allSatisfy { chain.refusal(for: $0) == nil })
        #expect(RepositoryAct.allCases.filter { chain.features.names(FeatureSets.approvals, for: $0) } == [.sweep])
        // What a program does that does not know the word: as this one with a word that it does not know.
        let other = FeatureSets(sweep: ["approvals-2"])
        #expect(RepositoryAct.allCases.filter { other.refusal(for: $0) != nil } == [.sweep])
        let without = chain.features.setting(FeatureSets.approvals, for: .sweep, to: false)
        #expect(!without.names(FeatureSets.approvals, for: .sweep))
        #expect(throws: FormatError.self) {
            try chain.changing(features: without, approvals: 3, createdAt: 3, signedBy: fixture.owner)
        }
    }

    @Test("what is no person, no right and no number of persons is refused")
    func refused() throws {
        let (_, objects) = try stated()
        func code(_ number: Int, _ change: (inout [String: RecordValue]) -> Void) -> FormatError.Code? {
            var members = objects[number].members
            change(&members)
            let forged = fixture.forged(members)
            return refusalCode { try OwnerStatement(forged, name: OwnerStatement.name(UInt32(number + 1))) }
        }
        #expect(code(0) { _ in } == nil && code(1) { _ in } == nil)
        for wrong in ["", "a\u{0}", "a\nb", "\u{9b}", String(repeating: "x", count: 65)] {
            #expect(code(0) { $0["person"] = .text(wrong) } == .malformed, "\(wrong.debugDescription)")
        }
        #expect(code(0) { $0["person"] = .text(String(repeating: "x", count: 64)) } == nil)
        #expect(code(0) { $0["person"] = .bytes([65]) } == .malformed)
        #expect(code(0) { $0["person"] = nil } == .malformed, "approves without a person")
        #expect(code(0) { $0["approves"] = .bool(false) } == .malformed)
        #expect(code(0) { $0["approves"] = .unsigned(1) } == .malformed)
        #expect(code(0) { $0["approves"] = nil } == nil)
        for persons: UInt64 in [0, 1, 17, .max] {
            #expect(code(1) { $0["approvals"] = .map(["persons": .unsigned(persons)]) } == .malformed, "\(persons)")
        }
        #expect(code(1) { $0["approvals"] = .map(["persons": .unsigned(16)]) } == nil)
        #expect(code(1) { $0["approvals"] = .map([:]) } == .malformed)
        #expect(code(1) { $0["approvals"] = .map(["persons": .unsigned(2), "!more": .null]) } == .unsupported)
        #expect(code(1) { $0["features"] = FeatureSets().stated } == .malformed, "a feature that no program must know")
    }

    @Test("statements that anybody may have signed neither trap nor count persons that they must not")
    func fuzz() throws {
        let (_, objects) = try stated()
        Mutator.run("statements of persons", objects.map(\.body.encoded)) { body in
            guard case .map(let members) = try RecordValue(decoding: body[...], of: "x") else { return nil }
            let number: UInt32 = members["type"] == .text("features") ? 2 : 1
            let statement = try OwnerStatement(fixture.forged(members), name: OwnerStatement.name(number))
            switch statement.content {
            case .enrol(let enrolment):
                return enrolment.approves && enrolment.person == nil ? "an approver who is nobody" : nil
            case .features(_, let persons):
                return persons.map { OwnerStatement.personCounts.contains($0) } ?? true
                    ? nil : "\(persons ?? 0) persons"
            default: return nil
            }
        }
    }
}

extension FeatureSets {
    /// As a statement has it.
    fileprivate var stated: RecordValue {
        .map(Dictionary(uniqueKeysWithValues: RepositoryAct.allCases.map { ($0.rawValue, RecordValue.array([])) }))
    }
}
