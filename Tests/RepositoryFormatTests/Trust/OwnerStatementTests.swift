import BackupModel
import ChunkEncryption
import RepositoryFormat
import TestKit
import Testing

@Suite("statements: fields, features, revocations (format page §3)")
struct OwnerStatementTests {
    let fixture = TrustFixture()

    @Test("every statement is written with the published fields")
    func fields() throws {
        let common: Set<String> = ["n", "type", "created_at"]
        let expected: [(type: String, fields: Set<String>)] = [
            ("genesis", ["repository", "owner", "features", "domains", "defaults"]),
            ("enrol", ["previous", "key", "role", "domain", "guests", "label"]),
            ("enrol", ["previous", "key", "role", "domain", "label"]),
            ("revoke", ["previous", "key", "slot", "sessions"]), ("key_epoch", ["previous", "domains"]),
            ("features", ["previous", "features"]),
        ]
        for (object, expectation) in zip(try fixture.statements(), expected) {
            #expect(object.members["type"] == .text(expectation.type))
            #expect(Set(object.members.keys) == expectation.fields.union(common))
        }
    }

    @Test("a missing field is refused, whichever it is")
    func missing() throws {
        for (number, object) in try fixture.statements().enumerated() {
            let name = OwnerStatement.name(UInt32(number))
            // These two may be absent.
            for field in object.members.keys where field != "guests" && field != "slot" {
                var members = object.members
                members[field] = nil
                let forged = fixture.forged(members)
                #expect(try refusal { _ = try OwnerStatement(forged, name: name) } == .malformed, "\(field) of \(name)")
            }
        }
    }

    @Test("an unknown field is ignored, and a critical one refuses the statement")
    func critical() throws {
        for (number, object) in try fixture.statements().enumerated() {
            let name = OwnerStatement.name(UInt32(number))
            var members = object.members
            members["later"] = .bool(true)
            #expect(try OwnerStatement(fixture.forged(members), name: name) == OwnerStatement(object, name: name))
            members["!later"] = .bool(true)
            let forged = fixture.forged(members)
            #expect(try refusal { _ = try OwnerStatement(forged, name: name) } == .unsupported)
        }
    }

    @Test("a critical field inside a domain, the defaults or the features refuses the statement")
    func nestedCritical() throws {
        let name = OwnerStatement.name(0)
        for field in ["defaults", "features"] {
            var members = fixture.genesis.members
            guard case .map(var nested)? = members[field] else {
                Issue.record("\(field) is a map")
                continue
            }
            nested["!later"] = .null
            members[field] = .map(nested)
            let forged = fixture.forged(members)
            #expect(try refusal { _ = try OwnerStatement(forged, name: name) } == .unsupported)
        }
        var members = fixture.genesis.members
        guard case .array(let domains)? = members["domains"], case .map(var domain)? = domains.first else {
            Issue.record("domains are maps")
            return
        }
        domain["!later"] = .null
        members["domains"] = .array([.map(domain)])
        let forged = fixture.forged(members)
        #expect(try refusal { _ = try OwnerStatement(forged, name: name) } == .unsupported)
    }

    @Test("another type, role, id algorithm or dedup trust is unsupported; a domain twice is malformed")
    func unknownWords() throws {
        let objects = try fixture.statements()
        func changed(_ number: Int, _ change: (inout [String: RecordValue]) -> Void) throws -> FormatError.Code? {
            var members = objects[number].members
            change(&members)
            let forged = fixture.forged(members)
            return try refusal { _ = try OwnerStatement(forged, name: OwnerStatement.name(UInt32(number))) }
        }
        #expect(try changed(1) { $0["type"] = .text("quorum") } == .unsupported)
        for role in ["owner", "reader", "verifier", "king"] {
            #expect(try changed(1) { $0["role"] = .text(role) } == .unsupported)
        }
        guard case .array(let domains)? = objects[4].members["domains"], case .map(let domain)? = domains.first else {
            Issue.record("domains are maps")
            return
        }
        let other: [(String, RecordValue)] = [("id_algorithm", .unsigned(2)), ("dedup_trust", .text("none"))]
        for (field, value) in other {
            var changedDomain = domain
            changedDomain[field] = value
            #expect(try changed(4) { $0["domains"] = .array([.map(changedDomain)]) } == .unsupported)
        }
        #expect(try changed(4) { $0["domains"] = .array([.map(domain), .map(domain)]) } == .malformed)
        #expect(try changed(4) { $0["domains"] = .array([]) } == .malformed)
        #expect(try changed(1) { $0["key"] = .bytes([UInt8](repeating: 0, count: 32)) } == .malformed)
        #expect(try changed(3) { $0["slot"] = nil } == .malformed, "sessions without a slot")
        #expect(try changed(2) { $0["type"] = .text("genesis") } == .malformed)
    }

    @Test("unknown feature words forbid exactly their act", arguments: RepositoryAct.allCases)
    func features(forbidden: RepositoryAct) throws {
        let word = "slices-2"
        let features = FeatureSets(
            read: forbidden == .read ? [word] : [], write: forbidden == .write ? [word] : [],
            sweep: forbidden == .sweep ? [word] : [])
        let stated = try TrustFixture(features: features).chain()
        var changed = try fixture.chain()
        try changed.append(
            try changed.changing(features: features, createdAt: 1, signedBy: fixture.owner), name: changed.nextName)
        for chain in [stated, changed] {
            for act in RepositoryAct.allCases {
                let refusal = chain.refusal(for: act)
                #expect(refusal?.code == (act == forbidden ? .unsupported : nil))
                #expect(refusal?.sentence.contains(word) ?? true)
            }
        }
        try changed.append(
            try changed.changing(features: FeatureSets(), createdAt: 2, signedBy: fixture.owner),
            name: changed.nextName)
        #expect(changed.refusal(for: forbidden) == nil)
    }

    @Test("a revoked key is believed up to the stated slot, in the order of incarnation, epoch and number")
    func revokedSlots() throws {
        let chain = try fixture.fullChain()
        let writer = TrustFixture.key(7).publicKey.fingerprint
        let last = TrustFixture.slot
        for incarnation: UInt32 in 0...2 {
            for epoch: UInt32 in 4...6 {
                for number: UInt32 in 8...10 {
                    let place = SlotNumber(incarnation: incarnation, epoch: epoch, number: number)
                    let slot = LogHead(slot: place, hash: TrustFixture.hash(9))
                    let isEarlier =
                        [incarnation, epoch, number].lexicographicallyPrecedes([
                            last.slot.incarnation, last.slot.epoch, last.slot.number,
                        ])
                    #expect(chain.accepts(slot, by: writer) == isEarlier)
                    #expect(chain.accepts(slot, by: TrustFixture.key(8).publicKey.fingerprint), "not revoked")
                    #expect(chain.accepts(slot, by: fixture.owner.publicKey.fingerprint))
                    #expect(!chain.accepts(slot, by: TrustFixture.key(9).publicKey.fingerprint), "not enrolled")
                }
            }
        }
        #expect(chain.accepts(last, by: writer))
    }

    @Test("a revoked key's open session is believed up to the stated entry, ended ones wholly, later ones not at all")
    func revokedSessions() throws {
        let chain = try fixture.fullChain()
        let writer = TrustFixture.key(7).publicKey.fingerprint
        let last = TrustFixture.entry
        let later = LogHead(slot: SlotNumber(incarnation: 1, epoch: 5, number: 10), hash: TrustFixture.hash(3))
        for number: UInt32 in 0...6 {
            for session in [last.session, try #require(SessionID(bytes: TrustFixture.sixteen(7)))] {
                let entry = SessionEntryReference(session: session, number: number, hash: TrustFixture.hash(9))
                let isAccepted = session != last.session || number < last.number
                #expect(chain.accepts(entry, under: TrustFixture.slot, by: writer) == isAccepted)
                #expect(!chain.accepts(entry, under: later, by: writer))
            }
        }
        #expect(chain.accepts(last, under: TrustFixture.slot, by: writer))
        #expect(!chain.accepts(last, under: TrustFixture.slot, by: TrustFixture.key(9).publicKey.fingerprint))
    }

    @Test("a later revocation narrows and never widens; one without a slot leaves nothing")
    func narrowed() throws {
        var chain = try fixture.fullChain()
        let writer = TrustFixture.key(7).publicKey.fingerprint
        let wide = LogHead(slot: SlotNumber(incarnation: 9, epoch: 0, number: 0), hash: TrustFixture.hash(1))
        let narrow = LogHead(slot: SlotNumber(incarnation: 1, epoch: 2, number: 0), hash: TrustFixture.hash(1))
        for slot in [wide, narrow] {
            try chain.append(
                try chain.revoking(Revocation(key: writer, slot: slot), createdAt: 6, signedBy: fixture.owner),
                name: chain.nextName)
        }
        #expect(chain.accepts(narrow, by: writer))
        #expect(!chain.accepts(TrustFixture.slot, by: writer))
        try chain.append(
            try chain.revoking(Revocation(key: writer, slot: nil), createdAt: 7, signedBy: fixture.owner),
            name: chain.nextName)
        #expect(!chain.accepts(narrow, by: writer))
    }

    @Test("defaults out of range are malformed")
    func defaults() throws {
        let changes: [(inout RepositoryDefaults) -> Void] = [
            { $0.minimum = 0 }, { $0.minimum = $0.maximum + 1 }, { $0.maximum = $0.region + 1 },
            { $0.maximum = UInt32(FormatLimits.chunkByteCount) + 1 }, { $0.zeroRun = 0 }, { $0.leaf = 0 },
            { $0.fanOut = 1 }, { $0.pack = 0 }, { $0.pack = UInt32(FormatLimits.objectByteCount) + 1 },
        ]
        for change in changes {
            var defaults = TrustFixture.defaults
            change(&defaults)
            #expect(try refusal { try defaults.check(of: "defaults") } == .malformed)
        }
        #expect(try refusal { try TrustFixture.defaults.check(of: "defaults") } == nil)
    }
}
