import BackupModel
import ChunkEncryption
import RepositoryFormat
import Testing

@Suite("control-log slots, ledgers and store identities (format page §10)")
struct LogSlotTests {
    static let place = SlotNumber(incarnation: 1, epoch: 4, number: 9)
    static let claims: [LogSlot.Claim] = [
        .open(Sample.identifier(1), bases: []), .open(Sample.identifier(1), bases: [Sample.identifier(2)]),
        .pin([Sample.identifier(3)]), .hold([Sample.identifier(4), Sample.identifier(5)]), .undo([]),
        .close(ledger: Sample.hash(6)),
    ]

    private static func slot(_ claim: LogSlot.Claim, heads: Heads? = Sample.heads()) -> LogSlot {
        LogSlot(
            slot: place, previous: Sample.hash(7), claim: claim,
            writerPrevious: LogHead(
                slot: SlotNumber(incarnation: 1, epoch: 3, number: 2), hash: Sample.hash(8)),
            ended: [LogSlot.Ended(session: Sample.identifier(9), number: 3, hash: Sample.hash(10))], heads: heads)
    }

    private static func read(_ body: RecordValue, expected: SlotNumber = place) throws -> LogSlot {
        try LogSlot(signed(.logSlot, body), expected: expected)
    }

    @Test("a slot of each type comes back through its bytes", arguments: claims)
    func roundTrip(claim: LogSlot.Claim) throws {
        let slot = Self.slot(claim)
        let object = SignedObject(
            kind: .logSlot, repository: Sample.repository, body: slot.body, signedBy: Sample.signer)
        let parsed = try SignedObject(
            parsing: object.bytes, name: "log/x", kind: .logSlot, repository: Sample.repository)
        #expect(try LogSlot(parsed, expected: Self.place) == slot)
        #expect(parsed.hash == object.hash && parsed.isSigned(by: Sample.signer.publicKey))
        let bare = LogSlot(
            slot: Self.place, previous: Sample.hash(7), claim: claim, writerPrevious: nil, ended: [], heads: nil)
        #expect(try Self.read(bare.body) == bare)
    }

    @Test("a slot in another place is misplaced, and a type that is not known unsupported", arguments: claims)
    func refused(claim: LogSlot.Claim) throws {
        let body = Self.slot(claim).body
        for other in [Self.place.next, Self.place.nextEpoch, SlotNumber(incarnation: 0, epoch: 4, number: 9)] {
            #expect(refusalCode { try Self.read(body, expected: other) } == .misplaced)
        }
        #expect(refusalCode { try Self.read(body.setting("type", .text("seal"))) } == .unsupported)
        #expect(refusalCode { try Self.read(body.setting("!new", .null)) } == .unsupported)
        #expect(refusalCode { try Self.read(body.setting("new", .null)) } == nil)
        for name in body.names where name != "heads" && name != "writer_previous" {
            #expect(refusalCode { try Self.read(body.setting(name, nil)) } == .malformed, "without \(name)")
        }
        for name in body.names {
            #expect(refusalCode { try Self.read(body.setting(name, .null)) } == .malformed, "\(name) is nothing")
        }
    }

    @Test("a slot over 4 KiB is refused")
    func size() {
        let small = Self.slot(Self.claims[1], heads: Sample.heads(sessions: 20))
        let large = Self.slot(Self.claims[1], heads: Sample.heads(sessions: 60))
        #expect(refusalCode { try Self.read(small.body) } == nil)
        #expect(refusalCode { try Self.read(large.body) } == .malformed)
    }

    @Test("numbers that no name can spell are refused where they are read")
    func numbers() throws {
        let most: UInt64 = 99_999_999
        let body = Self.slot(Self.claims[0]).body
        func head(_ number: UInt64) -> RecordValue {
            .array([.unsigned(0), .unsigned(number), .bytes(Sample.hash(1).bytes)])
        }
        func ended(_ number: UInt64) -> RecordValue {
            .array([.array([.bytes(Sample.identifierBytes(1)), .unsigned(number), .bytes(Sample.hash(1).bytes)])])
        }
        for (number, code) in [(most, nil), (most + 1, .malformed), (1 << 32, .malformed)]
            as [(UInt64, FormatError.Code?)]
        {
            #expect(refusalCode { try Self.read(body.setting("writer_previous", head(number))) } == code)
            #expect(refusalCode { try Self.read(body.setting("ended", ended(number))) } == code)
            #expect(refusalCode { try Self.read(body.setting("n", .unsigned(number))) } == (code ?? .misplaced))
            let heads: RecordValue = .map([
                "owner": .array([.unsigned(number), .bytes(Sample.hash(1).bytes)]), "sessions": .array([]),
            ])
            #expect(refusalCode { try Heads(heads, of: "x") } == code)
        }
    }

    @Test("heads come back, at most 1,024 of them")
    func heads() throws {
        let heads = Sample.heads(sessions: 1_024)
        #expect(try Heads(heads.value, of: "x") == heads)
        var none = Sample.heads(sessions: 0)
        none.log = nil
        #expect(try Heads(none.value, of: "x") == none)
        #expect(try Heads(Sample.heads(sessions: 1_025).value, of: "x") == heads, "a writer leaves the rest out")
        guard case .map(var members) = heads.value, case .array(let list)? = members["sessions"] else { return }
        members["sessions"] = .array(list + list.prefix(1))
        #expect(refusalCode { try Heads(.map(members), of: "x") } == .malformed)
    }

    @Test("a ledger comes back; what it may not hold is refused")
    func ledger() throws {
        let ledger = Sample.ledger
        func read(_ body: RecordValue) throws -> Ledger { try Ledger(signed(.ledger, body), name: "ledger/x") }
        #expect(try read(ledger.body) == ledger)
        let empty = Ledger(points: [], horizon: [], generation: [], condemnedFresh: [], condemnedCarried: [])
        #expect(try read(empty.body) == empty)
        for name in ledger.body.names {
            #expect(refusalCode { try read(ledger.body.setting(name, nil)) } == .malformed)
            #expect(refusalCode { try read(ledger.body.setting(name, .array([.null]))) } == .malformed)
        }
        for (kind, code) in [(7, nil), (8, nil), (6, .unsupported), (9, .unsupported), (65_536, .malformed)]
            as [(UInt64, FormatError.Code?)]
        {
            let key: RecordValue = .array([.unsigned(kind), .bytes(Sample.hash(1).bytes), .unsigned(0)])
            for name in ["condemned_fresh", "condemned_carried"] {
                #expect(refusalCode { try read(ledger.body.setting(name, .array([key]))) } == code)
            }
        }
        #expect(refusalCode { try read(ledger.body.setting("!x", .null)) } == .unsupported)
    }

    @Test("a store identity comes back; another incarnation or repository is misplaced")
    func store() throws {
        func identity(_ incarnation: UInt32, heads: Heads? = nil) -> StoreIdentity {
            StoreIdentity(
                repository: Sample.repository, store: Sample.identifier(1), incarnation: incarnation,
                previous: incarnation == 0 ? nil : Sample.hash(2), reason: "restored from tape", heads: heads)
        }
        func read(_ body: RecordValue, _ incarnation: UInt32) throws -> StoreIdentity {
            try StoreIdentity(signed(.storeIdentity, body), expected: incarnation)
        }
        for identity in [identity(0), identity(1), identity(1, heads: Sample.heads())] {
            #expect(try read(identity.body, identity.incarnation) == identity)
        }
        #expect(refusalCode { try read(identity(1).body, 0) } == .misplaced)
        let foreign = identity(1).body.setting("repository", .bytes(Sample.repository(0x20).bytes))
        #expect(refusalCode { try read(foreign, 1) } == .misplaced)
        #expect(refusalCode { try read(identity(1).body.setting("previous", nil), 1) } == .malformed)
        let rooted = identity(0).body.setting("previous", .bytes(Sample.hash(1).bytes))
        #expect(refusalCode { try read(rooted, 0) } == .malformed)
        for name in ["repository", "store", "incarnation", "reason"] {
            #expect(refusalCode { try read(identity(1).body.setting(name, nil), 1) } == .malformed)
        }
    }
}

/// A signed object, parsed from its bytes as a store would give them.
func signed(_ kind: ObjectKind, _ body: RecordValue, tail: [UInt8] = []) throws -> SignedObject {
    let object = SignedObject(
        kind: kind, repository: Sample.repository, body: body, tail: tail, signedBy: Sample.signer)
    return try SignedObject(parsing: object.bytes, name: "x", kind: kind, repository: Sample.repository)
}

extension RecordValue {
    /// The names of a map's members, sorted.
    var names: [String] { if case .map(let members) = self { members.keys.sorted() } else { [] } }

    /// The same map with another member, or without it.
    func setting(_ name: String, _ value: RecordValue?) -> RecordValue {
        guard case .map(var members) = self else { return self }
        members[name] = value
        return .map(members)
    }
}

extension Sample {
    static func identifierBytes(_ byte: UInt8) -> [UInt8] { [UInt8](repeating: byte, count: 16) }

    static let ledger = Ledger(
        points: [Ledger.LivePoint(point: identifier(1), writer: writer, session: identifier(2), number: 3)],
        horizon: heads().sessions,
        generation: [ObjectKey(hash: hash(4), generation: 0), ObjectKey(hash: hash(5), generation: 70_000)],
        condemnedFresh: [Ledger.Condemned(kind: .pack, key: ObjectKey(hash: hash(6), generation: 1))],
        condemnedCarried: [Ledger.Condemned(kind: .indexRun, key: ObjectKey(hash: hash(7), generation: 2))])
}
