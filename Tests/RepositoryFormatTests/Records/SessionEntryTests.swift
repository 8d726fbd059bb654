import BackupModel
import ChunkEncryption
import Foundation
import RepositoryFormat
import Testing

@Suite("session entries and their sealed records (format page §11)")
struct SessionEntryTests {
    static let recipient = Sample.recipient(.structure)

    private func read(
        _ bytes: [UInt8], writer: WriterID = Sample.writer, session: SessionID = Sample.identifier(1),
        number: UInt32 = 2
    ) throws -> SessionEntry {
        let object = try SignedObject(parsing: bytes, name: "s/x", kind: .sessionEntry, repository: Sample.repository)
        return try SessionEntry(object, writer: writer, session: session, number: number)
    }

    private func open(
        _ entry: SessionEntry, _ position: Int, recipient: DomainRecipient = recipient,
        key: RecipientPrivateKey = Sample.structureKey
    ) throws -> Record {
        try entry.open(record: position, recipient: recipient, privateKey: key)
    }

    @Test("an entry of each type comes back with its records", arguments: SessionEntry.Action.allCases)
    func roundTrip(action: SessionEntry.Action) throws {
        var draft = Sample.draft()
        draft.action = action
        let object = try Sample.compose(draft)
        #expect(object.isSigned(by: Sample.signer.publicKey))
        let entry = try read(object.bytes)
        #expect(entry.action == action && entry.heads == draft.heads && entry.inventory == draft.inventory)
        #expect(entry.previous == draft.previous && entry.slot == draft.slot && entry.hash == object.hash)
        #expect(entry.records.map(\.kind) == draft.records.map(\.kind))
        for (position, record) in draft.records.enumerated() { #expect(try open(entry, position) == record) }
        #expect(try RestorePointRecord(open(entry, 0), name: "s/x") == Sample.point)
        draft.records = []
        draft.inventory = Inventory()
        let bare = try read(Sample.compose(draft).bytes)
        #expect(bare.records.isEmpty && bare.inventory == Inventory())
    }

    @Test("an entry in another place is misplaced")
    func place() throws {
        let bytes = try Sample.compose(Sample.draft()).bytes
        #expect(refusalCode { try read(bytes) } == nil)
        #expect(refusalCode { try read(bytes, number: 3) } == .misplaced)
        #expect(refusalCode { try read(bytes, session: Sample.identifier(2)) } == .misplaced)
        #expect(refusalCode { try read(bytes, writer: Sample.identifier(2)) } == .misplaced)
    }

    @Test("a sealed body opens in its own place alone, also when the chain is made to agree")
    func exchanged() throws {
        let entry = try read(Sample.compose(Sample.draft()).bytes)
        let bodies = entry.records.compactMap(\.sealed)
        #expect(bodies.count == 3)
        // Records 1 and 2 are of one kind and as long: only the position tells them apart.
        let swapped = try entryWith([bodies[0], bodies[2], bodies[1]], kinds: [1, 2, 2])
        #expect(refusalCode { try open(swapped, 0) } == nil)
        #expect(refusalCode { try open(swapped, 1) } == .damaged)
        #expect(refusalCode { try open(swapped, 2) } == .damaged)
        let renumbered = try entryWith(bodies, kinds: [1, 2, 3])
        #expect(refusalCode { try open(renumbered, 1) } == nil)
        #expect(refusalCode { try open(renumbered, 2) } == .damaged)
        #expect(refusalCode { try open(entryWith(bodies, kinds: [1, 2, 2], number: 3), 0) } == .damaged)
        let other: SessionID = Sample.identifier(2)
        #expect(refusalCode { try open(entryWith(bodies, kinds: [1, 2, 2], session: other), 0) } == .damaged)
        for recipient in [
            Sample.recipient(.structure, domain: 5), Sample.recipient(.structure, epoch: 8), Sample.recipient(.content),
            Sample.recipient(.structure, repository: Sample.repository(0x20)),
        ] {
            #expect(refusalCode { try open(entry, 0, recipient: recipient) } == .damaged)
        }
        #expect(refusalCode { try open(entry, 0, key: Sample.contentKey) } == .damaged)
        for (index, code) in [(0, .unsupported), (2, .damaged), (3, .damaged), (40, .damaged)]
            as [(Int, FormatError.Code)]
        {
            var changed = bodies
            changed[0][index] ^= 1
            #expect(refusalCode { try open(entryWith(changed, kinds: [1, 2, 2]), 0) } == code, "byte \(index)")
        }
        for count in [0, 1, 3, 4, 35, 36, 51] {
            let cut = [Array(bodies[0][..<count]), bodies[1], bodies[2]]
            #expect(refusalCode { try open(entryWith(cut, kinds: [1, 2, 2]), 0) } == .damaged, "\(count) bytes")
        }
    }

    /// The entry with these sealed bodies; hashes and lengths are right.
    private func entryWith(
        _ bodies: [[UInt8]], kinds: [UInt32], number: UInt32 = 2, session: SessionID = Sample.identifier(1)
    ) throws -> SessionEntry {
        let records: [RecordValue] = zip(bodies, kinds).map { body, kind in
            .map([
                "kind": .unsigned(UInt64(kind)), "critical": .bool(true),
                "body": .bytes(SecureHash.sha256(body).bytes), "length": .unsigned(UInt64(body.count)),
                "domain": .unsigned(6), "epoch": .unsigned(7),
            ])
        }
        let body = try Sample.compose(Sample.draft()).body.setting("records", .array(records))
            .setting("k", .unsigned(UInt64(number))).setting("session", .bytes(session.bytes))
        return try SessionEntry(
            signed(.sessionEntry, body, tail: bodies.flatMap { $0 }), writer: Sample.writer, session: session,
            number: number)
    }

    @Test("erased, cut, exchanged and surplus bodies are noticed before anything is opened")
    func bodies() throws {
        let object = try Sample.compose(Sample.draft())
        let start = object.bytes.count - object.tail.count
        #expect(refusalCode { try read(Array(object.bytes[..<start])) } == .damaged)
        for count in start..<object.bytes.count {
            #expect(refusalCode { try read(Array(object.bytes[..<count])) } == .damaged)
        }
        #expect(refusalCode { try read(object.bytes + [0]) } == .malformed)
        for place in start..<object.bytes.count {
            #expect(refusalCode { try read(object.bytes.flipping(bit: place * 8)) } == .damaged)
        }
        let zeros = Array(object.bytes[..<start]) + [UInt8](repeating: 0, count: object.tail.count)
        #expect(refusalCode { try read(zeros) } == .damaged)
    }

    @Test("unknown types and critical fields are unsupported; missing fields and wrong classes malformed")
    func refused() throws {
        let object = try Sample.compose(Sample.draft())
        func read(_ body: RecordValue) -> FormatError.Code? {
            refusalCode { try self.read(signed(.sessionEntry, body, tail: Array(object.tail)).bytes) }
        }
        let body = object.body
        #expect(read(body) == nil)
        #expect(read(body.setting("type", .text("merge"))) == .unsupported)
        #expect(read(body.setting("!x", .null)) == .unsupported)
        #expect(read(body.setting("x", .null)) == nil)
        for name in body.names { #expect(read(body.setting(name, nil)) != nil, "without \(name)") }
        for (objectClass, code) in [(1, nil), (2, nil), (0, .malformed), (3, .malformed), (256, .malformed)]
            as [(UInt64, FormatError.Code?)]
        {
            let pack: RecordValue = .array([
                .bytes(Sample.hash(1).bytes), .unsigned(0), .unsigned(1), .unsigned(objectClass), .unsigned(0),
            ])
            #expect(
                read(body.setting("inventory", .map(["packs": .array([pack]), "runs": .array([])]))) == code)
        }
        for slot in [[0, 0, 100_000_000], [100_000_000, 0, 0], [0, 100_000_000, 0]] as [[UInt64]] {
            #expect(read(body.setting("slot", .array(slot.map { .unsigned($0) }))) == .malformed)
        }
        #expect(
            refusalCode {
                try SignedObject(
                    parsing: object.bytes, name: "x", kind: .ledger, repository: nil)
            } == .misplaced)
        #expect(
            refusalCode {
                try SignedObject(
                    parsing: object.bytes, name: "x", kind: .sessionEntry, repository: Sample.repository(0x20))
            } == .misplaced)
    }

    @Test("every flipped bit of a signed object is refused or breaks its signature or its hash")
    func flipped() throws {
        let object = try Sample.compose(Sample.draft())
        let accepted = (0..<(object.bytes.count - object.tail.count) * 8).filter { bit in
            let bytes = object.bytes.flipping(bit: bit)
            guard
                let changed = try? SignedObject(
                    parsing: bytes, name: "s/x", kind: .sessionEntry, repository: Sample.repository)
            else { return false }
            return changed.isSigned(by: Sample.signer.publicKey) || changed.hash == object.hash
        }
        #expect(accepted == [])
    }

    @Test("a restore point comes back with and without a base; a record of another kind is none")
    func restorePoint() throws {
        var point = Sample.point
        #expect(try RestorePointRecord(point.record, name: "s/x") == point)
        point.base = nil
        point.images = []
        #expect(try RestorePointRecord(point.record, name: "s/x") == point)
        let body = Sample.point.record.body
        for name in body.names where name != "base" {
            let record = Record(kind: 1, isCritical: true, body: body.setting(name, nil))
            #expect(refusalCode { try RestorePointRecord(record, name: "s/x") } == .malformed, "without \(name)")
        }
        let other = Record(kind: 2, isCritical: true, body: body)
        #expect(refusalCode { try RestorePointRecord(other, name: "s/x") } == .misplaced)
    }

    @Test("tags and what asked for the run come back; tags out of order, too many or too long are refused")
    func origin() throws {
        var point = Sample.point
        point.tags = ["audit", "before upgrade", "業務"]
        point.origin = RestorePointRecord.Origin(policy: "nightly", revision: "3", startedBy: "schedule")
        #expect(try RestorePointRecord(point.record, name: "s/x") == point)
        point.origin = RestorePointRecord.Origin(policy: "", revision: "", startedBy: "")
        #expect(try RestorePointRecord(point.record, name: "s/x") == point)
        let body = point.record.body
        func code(tags: [String]) -> FormatError.Code? {
            let record = Record(
                kind: 1, isCritical: true, body: body.setting("tags", .array(tags.map { .text($0) })))
            return refusalCode { try RestorePointRecord(record, name: "s/x") }
        }
        let long = String(repeating: "x", count: RestorePointRecord.wordByteCount)
        #expect(code(tags: (0..<32).map { String(format: "t%02d", $0) }) == nil)
        #expect(code(tags: [long]) == nil)
        for wrong in [["b", "a"], ["a", "a"], [""], ["a\n"], [long + "x"]] {
            #expect(code(tags: wrong) == .malformed, "\(wrong)")
        }
        #expect(code(tags: (0..<33).map { String(format: "t%02d", $0) }) != nil)
        for (name, value) in [
            ("tags", RecordValue.text("a")), ("policy", .text("a")), ("policy", .map(["name": .text("a")])),
        ] {
            let record = Record(kind: 1, isCritical: true, body: body.setting(name, value))
            #expect(refusalCode { try RestorePointRecord(record, name: "s/x") } == .malformed, "\(name)")
        }
    }

    @Test("a forget comes back with and without the time until when it can be taken back")
    func forget() throws {
        for until: UInt64 in [0, 1, .max] {
            let forget = ForgetRecord(points: [Sample.identifier(3)], at: 7, reason: "tidy", undoUntil: until)
            #expect(try ForgetRecord(forget.record, name: "s/x") == forget)
            #expect(forget.record.body.names.contains("undo_until") == (until > 0))
        }
        let record = ForgetRecord(points: [Sample.identifier(3)], at: 7, reason: "", undoUntil: 9).record
        let wrong = Record(
            kind: Record.forgetKind, isCritical: true, body: record.body.setting("undo_until", .text("9")))
        #expect(refusalCode { try ForgetRecord(wrong, name: "s/x") } == .malformed)
    }

    @Test("an attestation comes back; one without points, with one twice or out of order is refused")
    func attestation() throws {
        let (first, second): (PointID, PointID) = (Sample.identifier(3), Sample.identifier(4))
        for level in AttestationRecord.Level.allCases {
            let said = AttestationRecord(level: level, at: 7, whole: [second, first], damaged: [Sample.identifier(5)])
            #expect(try AttestationRecord(said.record, name: "s/x") == said)
            #expect(said.whole == [first, second] && !said.record.isCritical)
        }
        let body = AttestationRecord(level: .tags, at: 7, whole: [first, second], damaged: []).record.body
        func list(_ points: [PointID]) -> RecordValue { .array(points.map { .bytes($0.bytes) }) }
        for (name, value) in [
            ("whole", list([])), ("whole", list([second, first])), ("whole", list([first, first])),
            ("damaged", list([first])), ("damaged", .unsigned(1)), ("whole", .array([.bytes([1])])),
            ("at", .text("7")), ("level", .unsigned(1)),
            ("damaged", list((0...AttestationRecord.pointLimit).map { PointID.numbered($0) })),
        ] {
            let record = Record(kind: Record.attestationKind, isCritical: false, body: body.setting(name, value))
            #expect(refusalCode { try AttestationRecord(record, name: "s/x") } == .malformed, "\(name)")
        }
        // A level of a newer program is no reason to refuse the session it stands in.
        let newer = Record(
            kind: Record.attestationKind, isCritical: false, body: body.setting("level", .text("booted")))
        #expect(try AttestationRecord(newer, name: "s/x").level == nil)
    }

    @Test("messages call an image by its kind: a disk by its name, memory memory")
    func titles() {
        func title(_ name: String, _ kind: String) -> String {
            RestorePointRecord.Image(
                name: name, kind: kind, byteCount: 1, format: "raw", root: Sample.hash(1), domain: 1
            ).title
        }
        #expect(title("vda", "disk") == "disk vda")
        #expect(title("memory", "memory") == "memory")
        #expect(title("memory-skeleton", "memory-skeleton") == "the skeleton of memory")
        #expect(title("definition", "definition") == "the definition")
        // A disk may be called so where no memory is.
        #expect(title("memory", "disk") == "disk memory")
        #expect(title("x", "of a later version") == "disk x")
    }
}

extension Sample {
    static let point = RestorePointRecord(
        identifier: identifier(0x41), guest: identifier(0x42), label: "業務サーバ01", takenAt: 1_790_000_000_000_000_000,
        consistency: "crash", trust: "scanned", host: "host", tool: "dozo 1",
        images: [
            RestorePointRecord.Image(
                name: "vda", kind: "disk", byteCount: 5 << 40, format: "qcow2", root: hash(0x43), domain: 6)
        ], base: identifier(0x44), startedAt: 1, endedAt: .max, volume: RestorePointRecord.Volume())

    static func draft() -> SessionEntry.Draft {
        var inventory = Inventory()
        inventory.packs = [
            Inventory.Pack(
                key: ObjectKey(hash: hash(0x51), generation: 4), byteCount: 32 << 20, objectClass: .content, domain: 6)
        ]
        inventory.runs = [Inventory.Run(key: ObjectKey(hash: hash(0x52), generation: 4), byteCount: 900)]
        func roots(_ byte: UInt8) -> Record {
            Record(
                kind: Record.checkpointRootsKind, isCritical: true,
                body: .map(["roots": .array([.bytes(hash(byte).bytes)])]))
        }
        return SessionEntry.Draft(
            writer: writer, session: identifier(1), number: 2, previous: hash(0x53),
            slot: SlotNumber(incarnation: 0, epoch: 4, number: 1), action: .commit, heads: heads(),
            inventory: inventory, records: [point.record, roots(0x54), roots(0x55)])
    }

    static func compose(_ draft: SessionEntry.Draft) throws -> SignedObject {
        try SessionEntry.compose(
            draft, recipient: recipient(.structure), signer: signer, randomness: counting())
    }
}

extension PointID {
    /// The id whose last four bytes are a number.
    fileprivate static func numbered(_ number: Int) -> PointID {
        let bytes =
            [UInt8](repeating: 0, count: 12) + (0..<4).map { UInt8(truncatingIfNeeded: number >> (24 - 8 * $0)) }
        return PointID(bytes: bytes)!
    }
}
