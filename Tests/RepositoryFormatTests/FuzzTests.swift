import BackupModel
import ChunkEncryption
import RepositoryFormat
import TestKit
import Testing

/// Every parser of stored bytes accepts or refuses whatever it is given, and never traps; what it accepts keeps the
/// promises that its readers rely on. What lies behind a seal is changed before it is sealed.
@Suite("seeded mutations")
struct FuzzTests {
    @Test("packs as stored")
    func packs() throws {
        Mutator.run("packs", try [.content, .structure].map { try BuiltPack.small($0).bytes }) { bytes in
            _ = try? PackContents.damagedBlocks(of: bytes, name: "x")
            return Self.tiles(try parsePack(bytes))
        }
    }

    @Test("directories and key tables that were sealed and signed")
    func directories() throws {
        var pack = PlainPack()
        pack.blobs = [UInt8](repeating: 0xB0, count: 26 + 36)
        pack.keyTable = PlainPack.keyTable([PlainPack.key()])
        let directory = PlainPack.directory([
            PlainPack.Entry(offset: 96, stored: 26, plain: 10), PlainPack.Entry(offset: 122, stored: 36, plain: 20),
        ])
        Mutator.run("directories", [directory]) { bytes in
            var pack = pack
            pack.directory = bytes
            return Self.tiles(try parsePack(pack.bytes))
        }
        Mutator.run("key tables", [pack.keyTable]) { bytes in
            for key in try PackKeyTable.parse(bytes[...], name: "x")
            where key.message.encapsulatedKey.count != 32 || key.message.ciphertext.count != 48 {
                return "a sealed key of another size"
            }
            return nil
        }
    }

    private static func tiles(_ contents: PackContents) -> String? {
        var position = 96
        for entry in contents.entries {
            guard Int(entry.offset) == position, entry.storedByteCount >= 16, entry.keyNumber < contents.keys.count
            else {
                return "an entry that does not fit"
            }
            position += Int(entry.storedByteCount)
        }
        return position == contents.footer.keyTable.lowerBound ? nil : "entries that do not tile the blobs"
    }

    @Test("map leaves")
    func leaves() {
        let leaf = PlainBlob.leaf(
            1_000, [Sample.hash(1), Sample.hash(2)],
            [[holeReference, 0, 200, 1], [0, 0, 150, 1], [1, 8, 100, 3], [0, 0, 350, 1]])
        Mutator.run("map leaves", [leaf.bytes]) { bytes in
            let leaf = try MapLeaf(parsing: bytes, byteCount: 1_000, name: "x")
            var builder = MapLeafBuilder()
            for slice in leaf.slices {
                for _ in 0..<slice.repeats {
                    if let chunk = slice.chunk {
                        builder.append(chunk, skip: slice.skip, length: slice.length)
                    } else {
                        builder.appendHole(slice.length)
                    }
                }
            }
            return builder.finish() == bytes ? nil : "two spellings of one leaf"
        }
    }

    @Test("map nodes and image roots")
    func nodes() {
        let node = PlainBlob.node(2, [Sample.hash(1), Sample.hash(2)], [holeReference, 0, 1, 0])
        Mutator.run("map nodes", [node.bytes]) { bytes in
            let node = try MapNode(parsing: bytes, level: 2, childCount: 4, name: "x")
            return node.encoded == bytes ? nil : "two spellings of one node"
        }
        let roots = [nil, Sample.hash(1)].map {
            ImageRoot(byteCount: 5 << 40, parameters: ImageParameters(), top: $0).encoded
        }
        Mutator.run("image roots", roots) { bytes in
            let root = try ImageRoot(parsing: bytes, name: "x")
            return root.encoded == bytes ? nil : "two spellings of one root"
        }
    }

    @Test("index runs as stored, and fences and blocks that were sealed and signed")
    func runs() {
        Mutator.run("index runs", [IndexRunSample(count: 5).bytes]) { bytes in
            _ = try IndexRunSample.read(bytes)
            return nil
        }
        let plain = PlainRun([PlainRun.entry(1), PlainRun.entry(2), PlainRun.entry(2, ordinal: 1)])
        Mutator.run("index run sections", [plain.blocks[0] + plain.fence]) { bytes in
            var run = plain
            let cut = min(bytes.count, plain.blocks[0].count)
            run.blocks = [Array(bytes[..<cut])]
            run.fence = Array(bytes[cut...])
            let (fence, entries) = try IndexRunSample.read(run.bytes)
            return entries == entries.sorted() && entries.allSatisfy { $0.pack < fence.packs.count }
                ? nil : "entries out of order or of no pack"
        }
    }

    @Test("signed objects of each kind, with bodies that somebody signed")
    func objects() throws {
        let place = LogSlotTests.place
        let slots = LogSlotTests.claims.map {
            LogSlot(
                slot: place, previous: Sample.hash(1), claim: $0, writerPrevious: nil, ended: [], heads: Sample.heads()
            ).body.encoded
        }
        // Numbers of the largest size that names can spell: the smallest change makes them larger.
        let last = SlotNumber(incarnation: 1, epoch: 99_999_999, number: 99_999_999)
        let head = SessionHead(
            writer: Sample.writer, session: Sample.identifier(1), number: 99_999_999, hash: Sample.hash(1))
        let heads = Heads(
            owner: (99_999_999, Sample.hash(1)), log: LogHead(slot: last, hash: Sample.hash(1)), sessions: [head])
        let largest = LogSlot(
            slot: place, previous: Sample.hash(1), claim: .undo([]), writerPrevious: heads.log,
            ended: [LogSlot.Ended(session: head.session, number: 99_999_999, hash: head.hash)], heads: heads)
        func object(_ kind: ObjectKind, _ body: [UInt8], tail: [UInt8] = []) throws -> SignedObject {
            let header = ObjectHeader(
                kind: kind, objectClass: .open, repository: Sample.repository,
                signer: Sample.signer.publicKey.fingerprint, bodyByteCount: UInt64(body.count))
            return try SignedObject(
                parsing: header.encoded + body + [UInt8](repeating: 0, count: 64) + tail, name: "x", kind: kind,
                repository: nil)
        }
        Mutator.run("slots", slots + [largest.body.encoded]) { body in
            let slot = try LogSlot(try object(.logSlot, body), expected: place)
            for ended in slot.ended { _ = Self.name(ended.session, ended.number) }
            if let previous = slot.writerPrevious { _ = ObjectPaths.slot(previous.slot) }
            return Self.names(slot.heads)
        }
        var ledger = Sample.ledger
        ledger.horizon.append(head)
        Mutator.run("ledgers", [ledger.body.encoded]) { body in
            let ledger = try Ledger(try object(.ledger, body), name: "x")
            for point in ledger.points { _ = Self.name(point.session, point.number) }
            for head in ledger.horizon { _ = Self.name(head.session, head.number) }
            return nil
        }
        var draft = Sample.draft()
        draft.heads = heads
        draft.slot = last
        let entry = try Sample.compose(draft)
        let tail = Array(entry.tail)
        Mutator.run("session entries", [entry.body.encoded]) { body in
            let entry = try SessionEntry(
                try object(.sessionEntry, body, tail: tail), writer: Sample.writer, session: Sample.identifier(1),
                number: 2)
            _ = ObjectPaths.slot(entry.slot)
            return Self.names(entry.heads)
        }
        Mutator.run("objects as stored", [entry.bytes]) { bytes in
            _ = try SignedObject(parsing: bytes, name: "x", kind: .sessionEntry, repository: nil)
            return nil
        }
        let points = [Sample.point.record.body.encoded, MachineTests.point.record.body.encoded]
        Mutator.run("restore points", points) { bytes in
            let body = try RecordValue(decoding: bytes[...], of: "x")
            if body.encoded != bytes { return "two spellings of one record" }
            _ = try RestorePointRecord(Record(kind: 1, isCritical: true, body: body), name: "x")
            return nil
        }
    }

    private static func name(_ session: SessionID, _ number: UInt32) -> String {
        ObjectPaths.sessionEntry(writer: Sample.writer, session: session, number: number)
    }

    /// Spells every name that heads lead to; a number too long for one would trap here.
    private static func names(_ heads: Heads?) -> String? {
        guard let heads else { return nil }
        _ = ObjectPaths.ownerStatement(heads.owner.number)
        if let log = heads.log { _ = ObjectPaths.slot(log.slot) }
        for head in heads.sessions { _ = name(head.session, head.number) }
        return nil
    }
}
