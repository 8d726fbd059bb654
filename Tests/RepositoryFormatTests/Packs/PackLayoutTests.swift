import BackupModel
import ChunkEncryption
import RepositoryFormat
import Testing

@Suite("packs as the page lays them out (format page §6)")
struct PackLayoutTests {
    @Test("what was built is read, and every blob opens", arguments: [ObjectClass.content, .structure])
    func roundTrip(objectClass: ObjectClass) throws {
        let built = try BuiltPack.small(objectClass)
        let contents = try parsePack(built.bytes)
        #expect(contents.entries == built.finished.entries)
        #expect(contents.header.objectClass == objectClass && contents.header.domain == 6)
        #expect(contents.keys.count == 1)
        let key = try openKey(contents, 0)
        for (entry, blob) in zip(contents.entries, built.blobs) {
            #expect(entry.kind == blob.kind && entry.codec == blob.codec && entry.identifier == blob.identifier)
            #expect(Int(entry.plainByteCount) == blob.plainByteCount)
            #expect(try openBlob(built.bytes, entry, key: key) == blob.packed)
        }
        try ObjectSeal.check(
            built.bytes, hash: built.finished.hash, label: ObjectSeal.packLabel, footerByteCount: PackFooter.byteCount,
            signedBy: Sample.signer.publicKey, name: "packs/x")
        #expect(try PackContents.damagedBlocks(of: built.bytes, name: "packs/x") == [])
    }

    @Test("the trailer alone is enough, and one byte less of it is not")
    func trailerAlone() throws {
        let bytes = try BuiltPack.small().bytes
        let start = bytes.number(bytes.count - 64, 8)
        func parse(from start: Int) throws -> PackContents {
            try PackContents(
                front: bytes[..<96], tail: bytes[start...], packByteCount: bytes.count, repository: Sample.repository,
                indexKey: Sample.indexKey, name: "packs/x")
        }
        #expect(try parse(from: start).entries == parsePack(bytes).entries)
        #expect(refusalCode { try parse(from: start + 1) } == .damaged)
    }

    @Test("every part stands where the page says, opened by hand")
    func byHand() throws {
        let built = try BuiltPack.small()
        let bytes = built.bytes
        let footer = bytes.count - 64
        let places = (0..<6).map { bytes.number(footer + 8 * $0, 8) }
        #expect(places[0] + places[1] == places[2] && places[2] + places[3] == places[4])
        #expect(places[4] + places[5] + 128 == bytes.count)
        #expect(bytes.number(footer + 48, 4) == 65_536 && bytes.number(footer + 52, 4) == 0)
        #expect(bytes.number(72, 8) == bytes.count - 96)

        let table = places[0]
        #expect(bytes.number(table, 4) == 1 && places[1] == 4 + 12 + 32 + 48)
        #expect((0..<4).map { bytes.number(table + 4 + 2 * $0, 2) } == [1, 32, 48, 0])
        #expect(bytes.number(table + 12, 4) == 7)
        let message = SealedMessage(
            encapsulatedKey: Array(bytes[(table + 16)..<(table + 48)]),
            ciphertext: Array(bytes[(table + 48)..<(table + 96)]))
        let packKey = try HybridEncryption.open(
            with: Sample.contentKey, message,
            info: Array("dozo/1".utf8) + Sample.repository.bytes + [6, 0, 0, 0] + [2] + [7, 0, 0, 0],
            associatedData: [], preSharedKey: Sample.preSharedKey,
            preSharedKeyID: Array("dozo/1 psk".utf8) + [7, 0, 0, 0])

        let salt = Array(bytes[places[2]..<(places[2] + 32)])
        let directory = try AuthenticatedCipher().open(
            key: KeyDerivation.derive(key: Sample.indexKey, label: "dozo/1 directory", context: salt, byteCount: 32),
            nonce: 0, associatedData: Array(bytes[..<72]), sealed: Array(bytes[(places[2] + 32)..<places[4]]))
        #expect(directory.number(0, 4) == built.blobs.count && directory.number(4, 4) == 0)
        #expect(directory.count == 8 + 56 * built.blobs.count)
        var offset = 96
        for (index, blob) in built.blobs.enumerated() {
            let entry = Array(directory[(8 + 56 * index)..<(64 + 56 * index)])
            #expect(Array(entry[..<32]) == blob.identifier.bytes)
            #expect(entry[32] == blob.kind.rawValue && entry[33] == blob.codec.rawValue)
            let stored = entry.number(44, 4)
            #expect(entry.number(34, 2) == 0 && entry.number(36, 4) == index && entry.number(40, 4) == offset)
            #expect(stored == blob.packed.count + 16 && entry.number(48, 4) == blob.plainByteCount)
            #expect(entry.number(52, 4) == 0)
            var bound = Array("dozo/1 blob".utf8) + Sample.repository.bytes + [6, 0, 0, 0]
            for part in [entry[32..<34], [0, 0], entry[52..<56], entry[48..<52], entry[44..<48], entry[..<32]] {
                bound += part
            }
            let plain = try AuthenticatedCipher().open(
                key: KeyDerivation.expand(key: packKey, info: Array(entry[32..<34] + entry[..<32]), byteCount: 32),
                nonce: UInt64(index), associatedData: bound, sealed: Array(bytes[offset..<(offset + stored)]))
            #expect(plain == blob.packed)
            offset += stored
        }
        #expect(offset == table, "the blobs end where the key table begins")

        var plain = PlainPack()
        plain.blobs = Array(bytes[96..<table])
        plain.keyTable = Array(bytes[table..<places[2]])
        plain.directory = directory
        plain.salt = salt
        #expect(plain.bytes == bytes, "header, checksums, signature and footer are the same when made by hand")
        #expect(SecureHash.sha256(bytes) == built.finished.hash)
    }

    @Test("a builder goes on with a new key, and a repeated generator repeats no key for other content")
    func nextPack() throws {
        let settings = PackBuilder.Settings(
            recipient: Sample.recipient(.content), indexKey: Sample.indexKey, signer: Sample.signer,
            randomness: Sample.counting(), targetByteCount: 1)
        let builder = PackBuilder(settings)
        var packs: [FinishedPack] = []
        for _ in 0..<2 {
            #expect(builder.isEmpty && !builder.isFull)
            try unsafe [UInt8](repeating: 9, count: 50).withUnsafeBytes { bytes in
                try unsafe builder.append(
                    bytes, kind: .data, codec: .stored, identifier: Sample.hash(1), plainByteCount: 50)
            }
            #expect(builder.isFull)
            packs.append(builder.finish())
        }
        #expect(packs[0].hash != packs[1].hash)
        #expect(packs[0].bytes[96..<162] != packs[1].bytes[96..<162])
        for pack in packs { #expect(try parsePack(pack.bytes).entries == pack.entries) }
    }
}
