import BackupModel
import RepositoryFormat
import TestKit
import Testing

@Suite("map leaves (format page §7)")
struct MapLeafTests {
    static let first = Sample.hash(1)
    static let second = Sample.hash(2)

    private func read(_ blob: PlainBlob, covering byteCount: UInt32 = 1_000) -> FormatError.Code? {
        refusalCode { try MapLeaf(parsing: blob.bytes, byteCount: byteCount, name: "a leaf") }
    }

    @Test("a leaf has the published layout and merges what adjoins")
    func layout() throws {
        var builder = MapLeafBuilder()
        builder.appendHole(100)
        builder.appendHole(100)
        builder.append(Self.first, skip: 0, length: 150)
        builder.append(Self.second, skip: 8, length: 100)
        builder.append(Self.second, skip: 8, length: 100)
        builder.append(Self.second, skip: 8, length: 100)
        builder.append(Self.first, skip: 0, length: 350)
        #expect(builder.byteCount == 1_000)
        let finished = builder.finish()
        let bytes = try #require(finished)
        let plain = PlainBlob.leaf(
            1_000, [Self.first, Self.second],
            [[holeReference, 0, 200, 1], [0, 0, 150, 1], [1, 8, 100, 3], [0, 0, 350, 1]])
        #expect(bytes == plain.bytes)
        let leaf = try MapLeaf(parsing: bytes, byteCount: 1_000, name: "a leaf")
        #expect(leaf.byteCount == 1_000)
        #expect(
            leaf.slices == [
                MapSlice(chunk: nil, skip: 0, length: 200, repeats: 1),
                MapSlice(chunk: Self.first, skip: 0, length: 150, repeats: 1),
                MapSlice(chunk: Self.second, skip: 8, length: 100, repeats: 3),
                MapSlice(chunk: Self.first, skip: 0, length: 350, repeats: 1),
            ])
        #expect(try StructureBlob(parsing: bytes, name: "a leaf").contents == [Self.first, Self.second])
        #expect(builder.byteCount == 0, "a builder begins anew")
    }

    @Test("a leaf of holes is not stored")
    func holes() {
        var builder = MapLeafBuilder()
        #expect(builder.finish() == nil)
        builder.appendHole(4_096)
        #expect(builder.finish() == nil)
        #expect(read(.leaf(1_000, [], [[holeReference, 0, 1_000, 1]])) == .malformed)
        #expect(read(.leaf(0, [], []), covering: 0) == .malformed)
    }

    @Test("what the refused ones differ from is read")
    func nearest() {
        let two = [Self.first, Self.second]
        #expect(read(.leaf(1_000, two, [[0, 0, 500, 1], [1, 0, 500, 1]])) == nil)
        #expect(read(.leaf(1_000, two, [[0, 0, 250, 2], [1, 9, 500, 1]])) == nil)
        #expect(read(.leaf(1_000, [Self.first], [[0, 0, 500, 1], [0, 1, 500, 1]])) == nil)
        #expect(read(.leaf(1_000, [Self.first], [[0, 0, 400, 1], [0, 0, 600, 1]])) == nil)
        #expect(read(.leaf(1_000, [Self.first], [[0, (4 << 20) - 1_000, 1_000, 1]])) == nil)
        #expect(read(.leaf(1_000, [Self.first], [[0, 0, 1, 1_000]])) == nil)
    }

    @Test("every other spelling is refused, one by one")
    func spellings() {
        let two = [Self.first, Self.second]
        let hole = holeReference
        let refused: [(String, PlainBlob)] = [
            ("unsorted first use", .leaf(1_000, two, [[1, 0, 500, 1], [0, 0, 500, 1]])),
            ("unused reference", .leaf(1_000, two, [[0, 0, 1_000, 1]])),
            ("repeated reference", .leaf(1_000, [Self.first, Self.first], [[0, 0, 400, 1], [1, 0, 600, 1]])),
            ("unmerged holes", .leaf(1_000, [Self.first], [[hole, 0, 100, 1], [hole, 0, 100, 1], [0, 0, 800, 1]])),
            ("unmerged repeats", .leaf(1_000, [Self.first], [[0, 0, 500, 1], [0, 0, 500, 1]])),
            ("unmerged runs", .leaf(1_000, [Self.first], [[0, 0, 100, 4], [0, 0, 100, 6]])),
            ("a hole with a skip", .leaf(1_000, [Self.first], [[hole, 1, 100, 1], [0, 0, 900, 1]])),
            ("a repeated hole", .leaf(1_000, [Self.first], [[hole, 0, 50, 2], [0, 0, 900, 1]])),
            ("a hole repeated never", .leaf(1_000, [Self.first], [[hole, 0, 100, 0], [0, 0, 1_000, 1]])),
            ("a length of zero", .leaf(1_000, two, [[0, 0, 0, 1], [1, 0, 1_000, 1]])),
            ("a hole of length zero", .leaf(1_000, [Self.first], [[hole, 0, 0, 1], [0, 0, 1_000, 1]])),
            ("a repeat of zero", .leaf(1_000, two, [[0, 0, 10, 0], [1, 0, 1_000, 1]])),
            ("too little covered", .leaf(1_000, [Self.first], [[0, 0, 999, 1]])),
            ("too much covered", .leaf(1_000, [Self.first], [[0, 0, 1_001, 1]])),
            ("far too much", .leaf(1_000, [Self.first], [[0, 0, 4 << 20, 0xFFFF_FFFF]])),
            ("a huge hole", .leaf(1_000, [Self.first], [[hole, 0, 0xFFFF_FFFF, 1], [0, 0, 1, 1]])),
            ("another coverage", .leaf(999, [Self.first], [[0, 0, 999, 1]])),
            ("beyond any chunk", .leaf(1_000, [Self.first], [[0, (4 << 20) - 999, 1_000, 1]])),
            ("a skip that overflows", .leaf(1_000, [Self.first], [[0, 0xFFFF_FFFF, 1_000, 1]])),
            ("a reference beyond the table", .leaf(1_000, [Self.first], [[1, 0, 1_000, 1]])),
            ("absent", .leaf(1_000, [Self.first], [[0, 0, 500, 1], [absentReference, 0, 500, 1]])),
            ("no entry", .leaf(1_000, [Self.first], [])),
        ]
        for (what, blob) in refused {
            let code = read(blob)
            #expect(code == .malformed || code == .damaged, "\(what): \(String(describing: code))")
        }
        var structures = PlainBlob.leaf(1_000, [Self.first], [[0, 0, 1_000, 1]])
        #expect(read(structures) == nil)
        #expect(read(structures, covering: 1_001) == .damaged)
        structures.structures = [Self.second]
        #expect(read(structures) == .malformed)
    }

    @Test("counts that lie, bytes left over, other versions and kinds are refused")
    func front() {
        let good = PlainBlob.leaf(1_000, [Self.first], [[0, 0, 1_000, 1]])
        let bytes = good.bytes
        func read(_ bytes: [UInt8]) -> FormatError.Code? {
            refusalCode { try MapLeaf(parsing: bytes, byteCount: 1_000, name: "a leaf") }
        }
        for count in 0..<bytes.count { #expect(read(Array(bytes[..<count])) == .damaged) }
        #expect(read(bytes + [0]) == .malformed)
        for offset in [4, 8, 12] {
            #expect(read(bytes.replacing(offset, .little(0xFFFF_FFFF, 4))) == .damaged)
        }
        #expect(read(bytes.replacing(2, [2])) == .unsupported)
        #expect(read(bytes.replacing(0, [3])) == .misplaced)
        var entries = good
        entries.payload.replaceSubrange(4..<8, with: [UInt8].little(0xFFFF_FFFF, 4))
        #expect(read(entries.bytes) == .damaged)
        entries.payload.replaceSubrange(4..<8, with: [UInt8].little(0, 4))
        #expect(read(entries.bytes) == .malformed)
    }

    @Test("every flipped bit is refused or means something else")
    func flipped() throws {
        var builder = MapLeafBuilder()
        builder.append(Self.first, skip: 0, length: 500)
        builder.appendHole(400)
        builder.append(Self.second, skip: 4, length: 50)
        builder.append(Self.second, skip: 4, length: 50)
        let finished = builder.finish()
        let bytes = try #require(finished)
        let leaf = try MapLeaf(parsing: bytes, byteCount: 1_000, name: "a leaf")
        for bit in 0..<bytes.count * 8 {
            let other = try? MapLeaf(parsing: bytes.flipping(bit: bit), byteCount: 1_000, name: "a leaf")
            if other == leaf { Issue.record("bit \(bit) has no meaning") }
        }
    }

    @Test("random leaves come back, and have one spelling", arguments: 0..<100)
    func random(seed: UInt64) throws {
        var dice = Dice(seed: seed)
        for _ in 0..<20 {
            var builder = MapLeafBuilder()
            var pieces: [MapSlice] = []
            for _ in 0...dice.roll(below: 30) {
                let length = UInt32(dice.roll(below: 3)) + 1
                if dice.roll(below: 3) == 0 {
                    builder.appendHole(length)
                    pieces += [MapSlice](
                        repeating: MapSlice(chunk: nil, skip: 0, length: 1, repeats: 1), count: Int(length))
                } else {
                    let chunk = Sample.hash(UInt8(dice.roll(below: 4)))
                    let skip = UInt32(dice.roll(below: 2))
                    builder.append(chunk, skip: skip, length: length)
                    pieces.append(MapSlice(chunk: chunk, skip: skip, length: length, repeats: 1))
                }
            }
            let byteCount = UInt32(builder.byteCount)
            guard let bytes = builder.finish() else { continue }
            let leaf = try MapLeaf(parsing: bytes, byteCount: byteCount, name: "seed \(seed)")
            var found: [MapSlice] = []
            for slice in leaf.slices {
                let single = MapSlice(
                    chunk: slice.chunk, skip: slice.skip, length: slice.chunk == nil ? 1 : slice.length, repeats: 1)
                let count = slice.chunk == nil ? slice.length : slice.repeats
                found += [MapSlice](repeating: single, count: Int(count))
                for _ in 0..<slice.repeats {
                    if let chunk = slice.chunk {
                        builder.append(chunk, skip: slice.skip, length: slice.length)
                    } else {
                        builder.appendHole(slice.length)
                    }
                }
            }
            #expect(found == pieces, "seed \(seed)")
            #expect(builder.finish() == bytes, "seed \(seed)")
        }
    }
}
