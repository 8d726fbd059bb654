import BackupModel
import ChunkEncryption
import RepositoryFormat
import TestKit
import Testing

@Suite("packs that were changed")
struct PackDamageTests {
    let built: BuiltPack
    let keyTable: Int

    init() throws {
        built = try BuiltPack.small()
        keyTable = built.bytes.number(built.bytes.count - 64, 8)
    }

    private func check(_ bytes: [UInt8]) -> FormatError.Code? {
        refusalCode {
            try ObjectSeal.check(
                bytes, hash: built.finished.hash, label: ObjectSeal.packLabel, footerByteCount: PackFooter.byteCount,
                signedBy: nil, name: "packs/x")
        }
    }

    @Test("every flipped bit shows in the name")
    func name() {
        #expect(check(built.bytes) == nil)
        let missed = (0..<built.bytes.count * 8).filter { check(built.bytes.flipping(bit: $0)) != .damaged }
        #expect(missed == [])
    }

    @Test("a right name with a wrong signature, label or key is refused")
    func signature() throws {
        func check(_ bytes: [UInt8], label: [UInt8], key: VerifyingKey) -> FormatError.Code? {
            refusalCode {
                try ObjectSeal.check(
                    bytes, hash: SecureHash.sha256(bytes), label: label, footerByteCount: PackFooter.byteCount,
                    signedBy: key, name: "packs/x")
            }
        }
        let key = Sample.signer.publicKey
        #expect(check(built.bytes, label: ObjectSeal.packLabel, key: key) == nil)
        #expect(check(built.bytes, label: ObjectSeal.runLabel, key: key) == .damaged)
        #expect(
            check(built.bytes, label: ObjectSeal.packLabel, key: SigningKey(seed: Sample.secret(9)).publicKey)
                == .damaged)
        for place in [0, 100, built.bytes.count - 65, built.bytes.count - 128] {
            #expect(check(built.bytes.flipping(bit: place * 8), label: ObjectSeal.packLabel, key: key) == .damaged)
        }
    }

    @Test("without the name, every flipped bit of header and trailer is refused or means the same")
    func parsers() throws {
        let whole = try parsePack(built.bytes)
        let places = Array(0..<96) + Array(keyTable..<built.bytes.count)
        var wrong: [Int] = []
        for bit in places.flatMap({ $0 * 8..<$0 * 8 + 8 }) {
            let bytes = built.bytes.flipping(bit: bit)
            var contents: PackContents?
            guard refusalCode({ contents = try parsePack(bytes) }) == nil, let contents else { continue }
            if contents.entries != whole.entries || contents.footer != whole.footer { wrong.append(bit) }
            if contents.keys == whole.keys { continue }
            // The key table is not sealed; a changed key must open nothing.
            if (try? openKey(contents, 0)) != nil { wrong.append(bit) }
        }
        #expect(wrong == [])
    }

    @Test("every flipped bit of the blobs is refused when the blob is opened")
    func blobs() throws {
        let contents = try parsePack(built.bytes)
        let key = try openKey(contents, 0)
        var wrong: [Int] = []
        for entry in contents.entries {
            let start = Int(entry.offset)
            for place in start..<(start + Int(entry.storedByteCount)) {
                let changed = built.bytes.flipping(bit: place * 8 + place % 8)
                if (try? openBlob(changed, entry, key: key)) != nil { wrong.append(place) }
            }
        }
        #expect(wrong == [])
    }

    @Test("every truncation and every appended byte is refused")
    func length() {
        let bytes = built.bytes
        let accepted = (0..<bytes.count).filter { count in refusalCode { try parsePack(Array(bytes[..<count])) } == nil
        }
        #expect(accepted == [])
        let cut = (0..<bytes.count).filter { count in check(Array(bytes[..<count])) != .damaged }
        #expect(cut == [])
        for byte in [UInt8(0), 0x0A, 0xFF] {
            #expect(refusalCode { try parsePack(bytes + [byte]) } != nil)
            #expect(refusalCode { try PackContents.damagedBlocks(of: bytes + [byte], name: "packs/x") } != nil)
            #expect(check(bytes + [byte]) == .damaged)
        }
        for count in 0..<bytes.count {
            _ = refusalCode { try PackContents.damagedBlocks(of: Array(bytes[..<count]), name: "packs/x") }
        }
    }

    @Test("a blob opens only as what it was sealed as, and where it belongs")
    func exchanged() throws {
        let contents = try parsePack(built.bytes)
        let key = try openKey(contents, 0)
        for (index, entry) in contents.entries.enumerated() {
            let other = contents.entries[(index + 1) % contents.entries.count]
            var variants: [PackEntry] = []
            func vary(_ change: (inout PackEntry) -> Void) {
                var changed = entry
                change(&changed)
                variants.append(changed)
            }
            vary { $0.identifier = other.identifier }
            vary { $0.kind = entry.kind == .data ? .padding : .data }
            vary { $0.kind = .mapLeaf }
            vary { $0.codec = entry.codec == .stored ? .zstd : .stored }
            vary { $0.plainByteCount += 1 }
            vary { $0.storedByteCount += 1 }
            if entry.storedByteCount > 16 { vary { $0.storedByteCount -= 1 } }
            vary { $0.counter += 1 }
            vary { $0.dictionary = 1 }
            vary {
                $0.offset = other.offset; $0.storedByteCount = other.storedByteCount
            }
            for variant in variants {
                #expect(throws: EncryptionError.self) { try openBlob(built.bytes, variant, key: key) }
            }
            #expect(throws: EncryptionError.self) { try openBlob(built.bytes, entry, key: key, domain: 0) }
            #expect(throws: EncryptionError.self) { try openBlob(built.bytes, entry, key: Sample.secret(8)) }
            #expect(throws: EncryptionError.self) {
                try openBlob(built.bytes, entry, key: key, repository: Sample.repository(0x20))
            }
        }
    }

    @Test("a pack key opens for its repository, domain, class and epoch alone")
    func packKey() throws {
        let message = try parsePack(built.bytes).keys[0].message
        func open(_ recipient: DomainRecipient, _ key: RecipientPrivateKey = Sample.contentKey) -> SecretBytes? {
            try? recipient.open(message, with: key, associatedData: [])
        }
        #expect(open(Sample.recipient(.content)) != nil)
        #expect(open(Sample.recipient(.content, repository: Sample.repository(0x20))) == nil)
        #expect(open(Sample.recipient(.content, domain: 5)) == nil)
        #expect(open(Sample.recipient(.content, epoch: 8)) == nil)
        #expect(open(Sample.recipient(.structure)) == nil)
        #expect(open(Sample.recipient(.content), Sample.structureKey) == nil)
    }

    @Test("the checksums say which block is damaged, for every block")
    func damagedBlocks() throws {
        var dice = Dice(seed: 21)
        let pack = try BuiltPack(
            (0..<4).map {
                BuiltPack.Blob(
                    kind: .data, codec: .stored, identifier: Sample.hash(UInt8($0)), packed: dice.bytes(60_000),
                    plainByteCount: 60_000)
            })
        let covered = pack.bytes.number(pack.bytes.count - 32, 8)
        for place in [0, 1, 65_535, 65_536, 131_071, 131_072, 196_608, covered - 1] {
            let changed = pack.bytes.flipping(bit: place * 8 + 3)
            #expect(try PackContents.damagedBlocks(of: changed, name: "packs/x") == [place / 65_536])
        }
        var both = pack.bytes.flipping(bit: 70_000 * 8)
        both[200_000] ^= 0xFF
        #expect(try PackContents.damagedBlocks(of: both, name: "packs/x") == [1, 3])
        // A damaged checksum accuses its own block; a damaged footer is said to be one.
        let list = pack.bytes.flipping(bit: (covered + 8) * 8)
        #expect(try PackContents.damagedBlocks(of: list, name: "packs/x") == [2])
        let footer = pack.bytes.flipping(bit: (pack.bytes.count - 64) * 8)
        #expect(refusalCode { try PackContents.damagedBlocks(of: footer, name: "packs/x") } == .damaged)
    }

    @Test("another repository, kind or class is refused by name")
    func foreign() throws {
        #expect(refusalCode { try parsePack(built.bytes, repository: Sample.repository(0x20)) } == .misplaced)
        #expect(refusalCode { try parsePack(built.bytes.replacing(12, [8, 0])) } == .misplaced)
        #expect(refusalCode { try parsePack(built.bytes.replacing(14, [0])) } == .malformed)
        #expect(refusalCode { try parsePack(built.bytes.replacing(14, [1])) } == .damaged)
    }
}
