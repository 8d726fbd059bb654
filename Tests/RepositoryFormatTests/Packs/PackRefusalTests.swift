import RepositoryFormat
import Testing

/// Packs whose every seal and signature is right, written by somebody who does not keep to the page.
@Suite("packs that a careless writer made")
struct PackRefusalTests {
    /// Two stored blobs of 10 and 20 bytes under one key.
    private func good() -> (pack: PlainPack, entries: [PlainPack.Entry]) {
        var pack = PlainPack()
        pack.blobs = [UInt8](repeating: 0xB0, count: 26 + 36)
        pack.keyTable = PlainPack.keyTable([PlainPack.key()])
        let entries = [
            PlainPack.Entry(offset: 96, stored: 26, plain: 10),
            PlainPack.Entry(identifier: Sample.hash(0xA1), counter: 1, offset: 122, stored: 36, plain: 20),
        ]
        pack.directory = PlainPack.directory(entries)
        return (pack, entries)
    }

    private func code(_ change: (inout PlainPack, inout [PlainPack.Entry]) -> Void) -> FormatError.Code? {
        var (pack, entries) = good()
        pack.directory = []
        change(&pack, &entries)
        if pack.directory.isEmpty { pack.directory = PlainPack.directory(entries) }
        return refusalCode { try parsePack(pack.bytes) }
    }

    @Test("the pack that all refused ones differ from is read")
    func accepted() throws {
        #expect(code { _, _ in } == nil)
        #expect(try parsePack(good().pack.bytes).entries.map(\.offset) == [96, 122])
    }

    @Test("entries that do not tile the blobs")
    func tiling() {
        #expect(code { $1[0].offset = 97 } == .damaged)
        #expect(code { $1[1].offset = 96 } == .damaged)
        #expect(code { $1.swapAt(0, 1) } == .damaged)
        #expect(code { $1.removeLast() } == .damaged)
        #expect(
            code {
                $0.blobs.append(0); _ = $1
            } == .damaged)
        #expect(
            code {
                $0.blobs.removeLast(); _ = $1
            } == .damaged)
        #expect(code { $1[1].stored = 15 } == .damaged)
        #expect(code { $1[1].stored = 0xFFFF_FFFF } == .damaged)
        #expect(
            code {
                $1[1].stored = 0; $1[1].plain = 0
            } == .damaged)
    }

    @Test("lengths that cannot both be true")
    func lengths() {
        #expect(code { $1[0].plain = 11 } == .damaged)
        #expect(code { $1[0].plain = 9 } == .damaged)
        #expect(code { $1[0].codec = 1 } == .damaged)
        #expect(
            code {
                $1[0].codec = 1; $1[0].plain = 11
            } == nil)
        #expect(
            code {
                $1[0].codec = 1; $1[0].plain = 4 << 20
            } == nil)
        #expect(
            code {
                $1[0].codec = 1; $1[0].plain = 4 << 20 + 1
            } == .malformed)
    }

    @Test("kinds, codecs and dictionaries that are not known or belong elsewhere")
    func kinds() {
        for kind in UInt8(2)...4 { #expect(code { $1[0].kind = kind } == .damaged) }
        for kind in UInt8(5)...9 { #expect(code { $1[0].kind = kind } == .unsupported) }
        #expect(code { $1[0].kind = 0 } == nil)
        #expect(code { $1[0].codec = 2 } == .unsupported)
        #expect(code { $1[0].dictionary = 1 } == .unsupported)
        #expect(
            code {
                $0.objectClass = 1; _ = $1
            } == .damaged)
        #expect(
            code {
                $0.objectClass = 1; for index in $1.indices { $1[index].kind = 2 }
            } == nil)
    }

    @Test("key tables that are not as the page says")
    func keys() {
        #expect(code { $1[0].key = 1 } == .damaged)
        #expect(
            code {
                $0.keyTable = PlainPack.keyTable([PlainPack.key(), PlainPack.key()]); _ = $1
            } == .damaged)
        #expect(
            code {
                $0.keyTable = PlainPack.keyTable([PlainPack.key(), PlainPack.key()]); $1[1].key = 1
            } == nil)
        #expect(
            code {
                $0.keyTable = PlainPack.keyTable([]); _ = $1
            } == .damaged)
        #expect(
            code {
                $0.keyTable = PlainPack.keyTable([PlainPack.key(suite: 2)]); _ = $1
            } == .unsupported)
        #expect(
            code {
                $0.keyTable = PlainPack.keyTable([PlainPack.key(zero: 1)]); _ = $1
            } == .malformed)
        #expect(
            code {
                $0.keyTable = PlainPack.keyTable([PlainPack.key(encapsulated: 33)]); _ = $1
            } == .damaged)
        #expect(
            code {
                $0.keyTable = PlainPack.keyTable([PlainPack.key(sealed: 47)]); _ = $1
            } == .damaged)
        #expect(
            code {
                $0.keyTable.append(0); _ = $1
            } == .malformed)
        #expect(
            code {
                $0.keyTable.removeLast(); _ = $1
            } == .damaged)
        #expect(
            code {
                $0.keyTable = .little(4_097, 4); _ = $1
            } == .malformed)
        #expect(
            code {
                $0.keyTable = []; _ = $1
            } == .damaged)
    }

    @Test("directories with counts that lie, bytes left over, or reserved bytes in use")
    func directory() {
        let plain = good().pack.directory
        #expect(code { pack, _ in pack.directory = plain.replacing(0, [3]) } == .damaged)
        #expect(code { pack, _ in pack.directory = plain.replacing(0, [1]) } == .malformed)
        #expect(code { pack, _ in pack.directory = plain.replacing(0, [1, 0, 1, 0]) } == .malformed)
        #expect(code { pack, _ in pack.directory = plain.replacing(4, [1]) } == .malformed)
        #expect(code { pack, _ in pack.directory = plain + [0] } == .malformed)
        #expect(code { pack, _ in pack.directory = Array(plain.dropLast()) } == .damaged)
        #expect(code { pack, _ in pack.directory = Array(plain[..<7]) } == .damaged)
    }

    @Test("footers that do not fit the pack, in every field and by every small step")
    func footer() {
        let bytes = good().pack.bytes
        let footer = bytes.count - 64
        for field in 0..<6 {
            let value = UInt64(bytes.number(footer + 8 * field, 8))
            let others = [0, value &+ 1, value &- 1, value << 32, .max, .max - value, UInt64(bytes.count), 64 << 20]
            for other in others where other != value {
                let changed = bytes.replacing(footer + 8 * field, .little(other, 8))
                #expect(refusalCode { try parsePack(changed) } == .damaged, "field \(field) as \(other)")
                _ = refusalCode { try PackContents.damagedBlocks(of: changed, name: "packs/x") }
            }
        }
        #expect(refusalCode { try parsePack(bytes.replacing(footer + 48, .little(32_768, 4))) } == .malformed)
        #expect(refusalCode { try parsePack(bytes.replacing(footer + 52, [1])) } == .malformed)
        #expect(refusalCode { try parsePack(bytes.replacing(footer + 56, [0])) } == .damaged)
    }
}
