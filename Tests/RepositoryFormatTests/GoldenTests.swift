import BackupModel
import ChunkEncryption
import Foundation
import RepositoryFormat
import Testing

/// Files that were written once with fixed keys and a counting generator. Today's reader must understand them, and
/// today's writer must still write the same bytes. `GOLDEN_WRITE=1` writes them anew, which only a draft may do.
@Suite("golden files")
struct GoldenTests {
    static let place = LogSlotTests.place
    static let names = ["pack", "run", "leaf", "node", "root", "slot", "session", "ledger", "store"]

    static let slot = LogSlot(
        slot: place, previous: Sample.hash(0x61), claim: .open(Sample.identifier(1), bases: [Sample.identifier(2)]),
        writerPrevious: LogHead(slot: SlotNumber(incarnation: 1, epoch: 3, number: 0), hash: Sample.hash(0x62)),
        ended: [LogSlot.Ended(session: Sample.identifier(3), number: 7, hash: Sample.hash(0x63))], heads: Sample.heads()
    )
    static let node = MapNode(level: 1, children: [Sample.hash(0x64), nil, Sample.hash(0x65), Sample.hash(0x64)])
    static let root = ImageRoot(byteCount: 5 << 40, parameters: ImageParameters(), top: Sample.hash(0x66))
    static let store = StoreIdentity(
        repository: Sample.repository, store: Sample.identifier(4), incarnation: 1, previous: Sample.hash(0x67),
        reason: "put back to an earlier state", heads: Sample.heads())
    static let slices = [
        MapSlice(chunk: nil, skip: 0, length: 4_096, repeats: 1),
        MapSlice(chunk: Sample.hash(0x68), skip: 0, length: 65_536, repeats: 2),
        MapSlice(chunk: Sample.hash(0x69), skip: 512, length: 1_000, repeats: 1),
    ]

    /// What today's writer makes of the name.
    static func written(_ name: String) throws -> [UInt8] {
        func object(_ kind: ObjectKind, _ body: RecordValue) -> [UInt8] {
            SignedObject(kind: kind, repository: Sample.repository, body: body, signedBy: Sample.signer).bytes
        }
        switch name {
        case "pack": return try BuiltPack.small().bytes
        case "run": return IndexRunSample(count: 12).bytes
        case "leaf":
            var builder = MapLeafBuilder()
            for slice in slices {
                for _ in 0..<slice.repeats {
                    if let chunk = slice.chunk {
                        builder.append(chunk, skip: slice.skip, length: slice.length)
                    } else {
                        builder.appendHole(slice.length)
                    }
                }
            }
            return builder.finish() ?? []
        case "node": return node.encoded
        case "root": return root.encoded
        case "slot": return object(.logSlot, slot.body)
        case "session": return try Sample.compose(Sample.draft()).bytes
        case "ledger": return object(.ledger, Sample.ledger.body)
        default: return object(.storeIdentity, store.body)
        }
    }

    /// Reads bytes as the thing of that name and compares what they say.
    static func understand(_ name: String, _ bytes: [UInt8]) throws -> Bool {
        func object(_ kind: ObjectKind) throws -> SignedObject {
            let object = try SignedObject(parsing: bytes, name: name, kind: kind, repository: Sample.repository)
            return object
        }
        switch name {
        case "pack":
            let contents = try parsePack(bytes)
            let key = try openKey(contents, 0)
            let blobs = try BuiltPack.small().blobs
            return try contents.entries.map { try openBlob(bytes, $0, key: key) } == blobs.map(\.packed)
                && contents.entries.map(\.identifier) == blobs.map(\.identifier)
                && contents.entries.map(\.codec) == blobs.map(\.codec)
        case "run":
            let (fence, entries) = try IndexRunSample.read(bytes)
            let sample = IndexRunSample(count: 12)
            return entries == sample.entries.sorted() && fence.packs == sample.packs && fence.merged == sample.merged
        case "leaf": return try MapLeaf(parsing: bytes, byteCount: 136_168, name: name).slices == slices
        case "node": return try MapNode(parsing: bytes, level: 1, childCount: 4, name: name) == node
        case "root": return try ImageRoot(parsing: bytes, name: name) == root
        case "slot": return try LogSlot(object(.logSlot), expected: place) == slot
        case "session":
            let entry = try SessionEntry(
                object(.sessionEntry), writer: Sample.writer, session: Sample.identifier(1), number: 2)
            let draft = Sample.draft()
            let records = try draft.records.indices.map {
                try entry.open(record: $0, recipient: Sample.recipient(.structure), privateKey: Sample.structureKey)
            }
            return records == draft.records && entry.heads == draft.heads && entry.inventory == draft.inventory
        case "ledger": return try Ledger(object(.ledger), name: name) == Sample.ledger
        default: return try StoreIdentity(object(.storeIdentity), expected: 1) == store
        }
    }

    /// The same object of another draft, version, with a critical flag, or of another repository; blobs have a version.
    static let refused: [(suffix: String, code: FormatError.Code, offset: Int, bytes: [UInt8])] = [
        ("draft-2", .unsupported, 10, [2]), ("version-2", .unsupported, 8, [2]),
        ("critical-flag", .unsupported, 80, [1]), ("foreign", .misplaced, 16, Sample.repository(0x20).bytes),
    ]

    private static func path(_ name: String) -> String {
        URL(fileURLWithPath: #filePath).deletingLastPathComponent().path + "/Golden/" + name
    }

    /// What lies under the name; `bytes`, when the environment asks for golden files to be written.
    static func stored(_ name: String, orWrite bytes: [UInt8]) throws -> [UInt8] {
        let path = path(name)
        if ProcessInfo.processInfo.environment["GOLDEN_WRITE"] == "1" {
            try Data(bytes).write(to: URL(fileURLWithPath: path))
        }
        return [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
    }

    @Test("each is understood, and written the same today", arguments: names)
    func accepted(name: String) throws {
        let written = try Self.written(name)
        let stored = try Self.stored(name, orWrite: written)
        #expect(try Self.understand(name, stored))
        #expect(stored == written, "today's writer writes other bytes for \(name)")
        if ["slot", "session", "ledger", "store"].contains(name) {
            let kind = try ObjectHeader(parsing: stored[...], name: name).kind
            let object = try SignedObject(parsing: stored, name: name, kind: kind, repository: nil)
            #expect(object.isSigned(by: Sample.signer.publicKey))
        }
    }

    @Test("another draft, version, critical flag or repository is refused", arguments: names)
    func refused(name: String) throws {
        let whole = try Self.written(name)
        if ["leaf", "node", "root"].contains(name) {
            let stored = try Self.stored("refused-\(name)-version-2", orWrite: whole.replacing(2, [2]))
            #expect(refusalCode { try Self.understand(name, stored) } == .unsupported)
            return
        }
        for (suffix, code, offset, bytes) in Self.refused {
            let stored = try Self.stored("refused-\(name)-\(suffix)", orWrite: whole.replacing(offset, bytes))
            #expect(stored != whole)
            #expect(refusalCode { try Self.understand(name, stored) } == code, "\(name) \(suffix)")
        }
    }
}
