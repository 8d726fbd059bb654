import BackupModel
import ChunkEncryption
import RepositoryFormat
import TestKit
import Testing

@Suite("the owner chain (format page §3)")
struct OwnerChainTests {
    let fixture = TrustFixture()

    @Test("a chain of every type of statement says what was stated")
    func fold() throws {
        let chain = try fixture.fullChain()
        let statements = try fixture.statements()
        #expect(chain.repository == fixture.repository)
        #expect(chain.owner == fixture.owner.publicKey)
        #expect(chain.defaults == TrustFixture.defaults)
        #expect(chain.head == OwnerHead(number: 5, hash: try #require(statements.last).hash))
        #expect(chain.nextName == "owner/00000006")
        #expect(chain.domains.map(\.id) == [0, 4])
        #expect(chain.domains.map(\.epoch) == [1, 2])
        #expect(chain.domains[0] == DomainKeys(of: fixture.secrets[0], dedupTrust: .own))
        #expect(chain.domains[1].dedupTrust == .all)
        let writer = try #require(chain.signer(TrustFixture.key(7).publicKey.fingerprint))
        #expect(writer.role == .writer && writer.domain == 4 && writer.statement == 1)
        #expect(writer.label == "nightly, 東京")
        #expect(writer.mayWrite(guest: try #require(GuestID(bytes: TrustFixture.sixteen(1)))))
        #expect(!writer.mayWrite(guest: try #require(GuestID(bytes: TrustFixture.sixteen(2)))))
        let maintainer = try #require(chain.signer(TrustFixture.key(8).publicKey.fingerprint))
        #expect(maintainer.role == .maintainer && maintainer.guests == nil && maintainer.statement == 2)
        #expect(maintainer.mayWrite(guest: try #require(GuestID(bytes: TrustFixture.sixteen(2)))))
        #expect(chain.signer(fixture.owner.publicKey.fingerprint)?.role == .owner)
        #expect(chain.signer(TrustFixture.key(9).publicKey.fingerprint) == nil)
        #expect(chain.revocations.count == 1)
    }

    @Test("every single flipped bit of every statement is refused")
    func flipped() throws {
        let objects = try fixture.statements()
        for (number, object) in objects.enumerated() {
            let name = OwnerStatement.name(UInt32(number))
            var before = try fixture.chain()
            for earlier in objects[..<number].indices.dropFirst() {
                try before.append(objects[earlier], name: OwnerStatement.name(UInt32(earlier)))
            }
            for (bit, bytes) in singleBitFlips(of: object.bytes).enumerated() {
                let code = try refusal {
                    let parsed = try SignedObject(
                        parsing: bytes, name: name, kind: .ownerStatement, repository: nil)
                    guard number > 0 else {
                        _ = try OwnerChain(genesis: parsed, expectedOwner: fixture.owner.publicKey.fingerprint)
                        return
                    }
                    var chain = before
                    try chain.append(parsed, name: name)
                }
                #expect(code != nil, "bit \(bit) of \(name)")
            }
        }
    }

    @Test("every other order of the statements is refused, and a failed append changes nothing")
    func order() throws {
        let objects = try fixture.statements()
        var chain = try fixture.chain()
        for next in 1..<objects.count {
            for other in objects.indices where other != next {
                let head = chain.head
                // Under its own name, and under the name that is due.
                for name in [OwnerStatement.name(UInt32(other)), chain.nextName] {
                    #expect(try refusal { try chain.append(objects[other], name: name) } == .misplaced)
                }
                #expect(chain.head == head)
            }
            try chain.append(objects[next], name: chain.nextName)
        }
    }

    @Test("a statement that follows another than the last one is refused")
    func fork() throws {
        var chain = try fixture.chain()
        let first = try chain.changing(features: FeatureSets(read: ["a"]), createdAt: 1, signedBy: fixture.owner)
        var other = chain
        try other.append(
            try other.changing(features: FeatureSets(read: ["b"]), createdAt: 1, signedBy: fixture.owner),
            name: other.nextName)
        let second = try other.changing(features: FeatureSets(), createdAt: 2, signedBy: fixture.owner)
        try chain.append(first, name: chain.nextName)
        #expect(try refusal { try chain.append(second, name: chain.nextName) } == .damaged)
    }

    @Test("a genesis of another owner, or of another repository, is refused")
    func swapped() throws {
        let stranger = TrustFixture(seed: 2)
        let fingerprint = fixture.owner.publicKey.fingerprint
        #expect(
            try refusal { _ = try OwnerChain(genesis: stranger.genesis, expectedOwner: fingerprint) } == .refused)
        // A stranger who writes the true owner's key into the body cannot sign for it.
        let claimed = fixture.forged(fixture.genesis.members, by: stranger.owner)
        #expect(try refusal { _ = try OwnerChain(genesis: claimed, expectedOwner: fingerprint) } == .void)
        let code = try refusal {
            _ = try OwnerChain(
                genesis: fixture.genesis, expectedOwner: fingerprint, expectedRepository: stranger.repository)
        }
        #expect(code == .misplaced)
        let moved = fixture.forged(fixture.genesis.members, in: stranger.repository)
        #expect(try refusal { _ = try OwnerChain(genesis: moved, expectedOwner: fingerprint) } == .misplaced)
    }

    @Test("a statement by another key, or for another repository, is refused")
    func foreign() throws {
        var chain = try fixture.chain()
        let enrolment = Enrolment(key: TrustFixture.key(9).publicKey, role: .maintainer, domain: 0, label: "me")
        let genuine = try chain.enrolling(enrolment, createdAt: 1, signedBy: fixture.owner)
        // A writer that is enrolled is no owner either.
        let writer = Enrolment(key: TrustFixture.key(7).publicKey, role: .writer, domain: 0, label: "w")
        try chain.append(try chain.enrolling(writer, createdAt: 1, signedBy: fixture.owner), name: chain.nextName)
        var members = genuine.members
        members["n"] = .unsigned(2)
        members["previous"] = .bytes(chain.head.hash.bytes)
        let name = chain.nextName
        for number: UInt8 in [7, 9] {
            let forged = fixture.forged(members, by: TrustFixture.key(number))
            #expect(try refusal { try chain.append(forged, name: name) } == .void)
        }
        let foreign = fixture.forged(members, in: TrustFixture(seed: 2).repository)
        #expect(try refusal { try chain.append(foreign, name: name) } == .misplaced)
        #expect(chain.signer(TrustFixture.key(9).publicKey.fingerprint) == nil)
        try chain.append(fixture.forged(members), name: name)
        #expect(chain.signer(TrustFixture.key(9).publicKey.fingerprint)?.role == .maintainer)
    }

    @Test("what contradicts the chain is neither written nor read")
    func contradictions() throws {
        let chain = try fixture.fullChain()
        let enrolled = Enrolment(key: TrustFixture.key(7).publicKey, role: .writer, domain: 0, label: "again")
        let owner = Enrolment(key: fixture.owner.publicKey, role: .writer, domain: 0, label: "owner")
        let nowhere = Enrolment(key: TrustFixture.key(9).publicKey, role: .writer, domain: 3, label: "nowhere")
        for enrolment in [enrolled, owner, nowhere] {
            #expect(
                try refusal { _ = try chain.enrolling(enrolment, createdAt: 1, signedBy: fixture.owner) } == .malformed)
        }
        let longest = String(repeating: "x", count: FormatLimits.textByteCount + 1)
        let wordy = Enrolment(key: TrustFixture.key(9).publicKey, role: .writer, domain: 0, label: longest)
        #expect(try refusal { _ = try chain.enrolling(wordy, createdAt: 1, signedBy: fixture.owner) } == .malformed)
        let unknown = Revocation(key: TrustFixture.hash(1), slot: nil)
        #expect(try refusal { _ = try chain.revoking(unknown, createdAt: 1, signedBy: fixture.owner) } == .malformed)
        let same = DomainKeys(of: fixture.secrets[0], dedupTrust: .own)
        #expect(
            try refusal { _ = try chain.beginningKeyEpoch([same], createdAt: 1, signedBy: fixture.owner) }
                == .malformed)
    }

    @Test("a chain that does not reach what is remembered, or not through it, is refused")
    func remembered() throws {
        let chain = try fixture.fullChain()
        for (number, object) in try fixture.statements().enumerated() {
            let head = OwnerHead(number: UInt32(number), hash: object.hash)
            #expect(chain.refusal(remembering: head) == nil)
            let other = OwnerHead(number: UInt32(number), hash: TrustFixture.hash(9))
            #expect(chain.refusal(remembering: other)?.code == .refused)
        }
        let beyond = OwnerHead(number: 6, hash: chain.head.hash)
        #expect(chain.refusal(remembering: beyond)?.code == .refused)
    }
}
