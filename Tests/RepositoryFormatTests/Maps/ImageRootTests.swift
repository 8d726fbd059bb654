import BackupModel
import RepositoryFormat
import TestKit
import Testing

@Suite("image roots and the shape of maps (format page §7)")
struct ImageRootTests {
    private let image: UInt64 = (4 << 20) + 1

    private func payload(_ change: (inout [UInt8]) -> Void = { _ in }) -> [UInt8] {
        var payload = joined(
            .little(image, 8), .little(4 << 20, 4), .little(16 << 20, 4), .little(64, 2), [1, 0], .little(1, 2),
            .little(0, 2), .little(16 << 10, 4), .little(256 << 10, 4), .little(32 << 10, 4), .little(.max / 13, 8),
            .little(0, 12))
        change(&payload)
        return payload
    }

    private func read(_ payload: [UInt8], structures: [Hash256] = [Sample.hash(1)]) -> FormatError.Code? {
        refusalCode {
            try ImageRoot(
                parsing: PlainBlob(kind: 4, structures: structures, payload: payload).bytes, name: "a root")
        }
    }

    @Test("a root has the published layout and comes back")
    func layout() throws {
        let root = ImageRoot(byteCount: image, parameters: ImageParameters(), top: Sample.hash(1))
        #expect(root.encoded == PlainBlob(kind: 4, structures: [Sample.hash(1)], payload: payload()).bytes)
        #expect(try ImageRoot(parsing: root.encoded, name: "a root") == root)
        for byteCount in [0, 1, 5 << 40] as [UInt64] {
            let zeros = ImageRoot(byteCount: byteCount, parameters: ImageParameters(), top: nil)
            #expect(try ImageRoot(parsing: zeros.encoded, name: "a root") == zeros)
        }
        var slices = payload()
        slices[19] = 2
        let read = try ImageRoot(
            parsing: PlainBlob(kind: 4, structures: [Sample.hash(1)], payload: slices).bytes, name: "a root")
        #expect(read.hasSlices)
        #expect(read.encoded == PlainBlob(kind: 4, structures: [Sample.hash(1)], payload: slices).bytes)
    }

    @Test("every other spelling is refused, one by one")
    func spellings() {
        #expect(read(payload()) == nil)
        let refused: [(String, FormatError.Code, (inout [UInt8]) -> Void)] = [
            ("depth too small", .malformed, { $0[18] = 0 }), ("depth too large", .malformed, { $0[18] = 2 }),
            ("depth over the limit", .malformed, { $0[18] = 9 }),
            ("partial", .misplaced, { $0[19] = 1 }), ("unknown flag", .unsupported, { $0[19] = 4 }),
            ("chunker", .unsupported, { $0[20] = 2 }), ("grid origin", .unsupported, { $0[22] = 1 }),
            ("leaf of zero", .malformed, { $0.replaceSubrange(8..<12, with: [0, 0, 0, 0]) }),
            ("leaf not of pages", .malformed, { $0[8] = 1 }),
            ("region not of leaves", .malformed, { $0[13] = 0x10 }),
            ("region of zero", .malformed, { $0.replaceSubrange(12..<16, with: [0, 0, 0, 0]) }),
            ("fan-out of zero", .malformed, { $0[16] = 0 }), ("fan-out of one", .malformed, { $0[16] = 1 }),
            ("fan-out of 1025", .malformed, { $0.replaceSubrange(16..<18, with: [1, 4]) }),
            ("minimum of zero", .malformed, { $0.replaceSubrange(24..<28, with: [0, 0, 0, 0]) }),
            ("minimum above maximum", .malformed, { $0[26] = 5 }),
            ("maximum above any chunk", .malformed, { $0[30] = 0x41 }),
            ("reserved bytes", .malformed, { $0[48] = 1 }),
            ("top beyond the table", .malformed, { $0[52] = 1 }),
            ("top absent", .malformed, { $0.replaceSubrange(52..<56, with: [0xFE, 0xFF, 0xFF, 0xFF]) }),
            ("a hole with a reference", .malformed, { $0.replaceSubrange(52..<56, with: [0xFF, 0xFF, 0xFF, 0xFF]) }),
            (
                "an image of no bytes", .malformed,
                {
                    $0.replaceSubrange(0..<8, with: [UInt8](repeating: 0, count: 8)); $0[18] = 0
                }
            ),
        ]
        for (what, code, change) in refused { #expect(read(payload(change)) == code, "\(what)") }
        #expect(read(payload(), structures: []) == .malformed)
        #expect(read(payload(), structures: [Sample.hash(1), Sample.hash(2)]) == .malformed)
        #expect(read(payload() + [0]) == .malformed)
        let bytes = PlainBlob(kind: 4, structures: [Sample.hash(1)], contents: [Sample.hash(2)], payload: payload())
        #expect(refusalCode { try ImageRoot(parsing: bytes.bytes, name: "a root") } == .malformed)
    }

    @Test("truncations are refused, and flipped bits are refused or mean something else")
    func changed() {
        let root = ImageRoot(byteCount: image, parameters: ImageParameters(), top: Sample.hash(1))
        let bytes = root.encoded
        for count in 0..<bytes.count {
            #expect(refusalCode { try ImageRoot(parsing: Array(bytes[..<count]), name: "a root") } == .damaged)
        }
        for bit in 0..<bytes.count * 8 {
            let other = try? ImageRoot(parsing: bytes.flipping(bit: bit), name: "a root")
            if other == root { Issue.record("bit \(bit) has no meaning") }
        }
    }

    @Test("depth is the smallest that covers the image, in plain wide arithmetic")
    func depth() {
        var dice = Dice(seed: 31)
        for (leaf, fanOut) in [(4_096, 2), (4_096, 1_024), (4 << 20, 64), (4 << 20, 2), (16 << 20, 3)] {
            var parameters = ImageParameters()
            parameters.leafByteCount = UInt32(leaf)
            parameters.fanOut = UInt16(fanOut)
            var lengths: [UInt64] = [0, 1, .max, .max - 1, 1 << 63, 3 << 40, 17 << 40, (17 << 40) + 1]
            var edge = UInt128(leaf)
            while edge <= UInt128(UInt64.max) {
                lengths += [UInt64(edge) - 1, UInt64(edge), UInt64(edge) + 1]
                edge *= UInt128(fanOut)
            }
            for _ in 0..<200 { lengths.append(dice.next() >> dice.roll(below: 64)) }
            for length in lengths {
                var depth = 0
                var covered = UInt128(leaf)
                while covered < UInt128(length) {
                    covered *= UInt128(fanOut)
                    depth += 1
                }
                #expect(parameters.depth(forImageOf: length) == depth, "\(length) bytes, \(leaf) × \(fanOut)^d")
                let saturated = UInt64(min(covered, UInt128(UInt64.max)))
                #expect(parameters.byteCountCovered(atLevel: depth) == saturated, "level \(depth)")
            }
        }
    }
}
