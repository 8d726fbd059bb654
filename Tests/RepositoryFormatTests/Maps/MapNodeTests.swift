import BackupModel
import RepositoryFormat
import TestKit
import Testing

@Suite("map nodes (format page §7)")
struct MapNodeTests {
    static let first = Sample.hash(1)
    static let second = Sample.hash(2)

    private func read(_ bytes: [UInt8], level: UInt8 = 2, count: Int = 4) -> FormatError.Code? {
        refusalCode { try MapNode(parsing: bytes, level: level, childCount: count, name: "a node") }
    }

    @Test("a node has the published layout and comes back")
    func layout() throws {
        let node = MapNode(level: 2, children: [nil, Self.second, Self.first, Self.second])
        let plain = PlainBlob.node(2, [Self.second, Self.first], [holeReference, 0, 1, 0])
        #expect(node.encoded == plain.bytes)
        #expect(try MapNode(parsing: plain.bytes, level: 2, childCount: 4, name: "a node") == node)
        #expect(read(plain.bytes, level: 1) == .damaged)
        #expect(read(plain.bytes, count: 3) == .damaged)
        #expect(read(plain.bytes, count: 5) == .damaged)
    }

    @Test("every other spelling is refused, one by one")
    func spellings() {
        let two = [Self.first, Self.second]
        let refused: [(String, PlainBlob)] = [
            ("unsorted first use", .node(2, two, [1, 0, 0, 0])),
            ("unused reference", .node(2, two, [0, 0, 0, 0])),
            ("repeated reference", .node(2, [Self.first, Self.first], [0, 1, 0, 0])),
            ("all holes", .node(2, [], [holeReference, holeReference, holeReference, holeReference])),
            ("beyond the table", .node(2, [Self.first], [0, 1, 0, 0])),
            ("absent", .node(2, [Self.first], [0, absentReference, 0, 0])),
        ]
        for (what, blob) in refused { #expect(read(blob.bytes) == .malformed, "\(what)") }
        var blob = PlainBlob.node(2, two, [0, 1, 0, 1])
        #expect(read(blob.bytes) == nil)
        blob.payload[1] = 1
        #expect(read(blob.bytes) == .malformed)
        blob.payload[1] = 0
        #expect(read(PlainBlob(kind: 3, structures: two, payload: blob.payload + [0]).bytes) == .malformed)
        #expect(read(PlainBlob(kind: 3, structures: two, payload: blob.payload.dropLast()).bytes) == .damaged)
        blob.contents = [Self.first]
        #expect(read(blob.bytes) == .malformed)
        blob.contents = []
        blob.kind = 2
        #expect(read(blob.bytes) == .misplaced)
        blob.kind = 3
        blob.version = 2
        #expect(read(blob.bytes) == .unsupported)
    }

    @Test("truncations are refused, and flipped bits are refused or mean something else")
    func changed() throws {
        let node = MapNode(level: 2, children: [nil, Self.second, Self.first, Self.second])
        let bytes = node.encoded
        for count in 0..<bytes.count { #expect(read(Array(bytes[..<count])) == .damaged) }
        for bit in 0..<bytes.count * 8 {
            let other = try? MapNode(parsing: bytes.flipping(bit: bit), level: 2, childCount: 4, name: "a node")
            if other == node { Issue.record("bit \(bit) has no meaning") }
        }
    }

    @Test("random nodes come back", arguments: 0..<50)
    func random(seed: UInt64) throws {
        var dice = Dice(seed: seed)
        for _ in 0..<20 {
            let children: [Hash256?] = (0...dice.roll(below: 64)).map { _ in
                dice.roll(below: 3) == 0 ? nil : Sample.hash(UInt8(dice.roll(below: 9)))
            }
            guard children.contains(where: { $0 != nil }) else { continue }
            let node = MapNode(level: 1, children: children)
            let read = try MapNode(parsing: node.encoded, level: 1, childCount: children.count, name: "a node")
            #expect(read == node, "seed \(seed)")
        }
    }
}
