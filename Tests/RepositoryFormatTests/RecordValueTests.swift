import BackupModel
import RepositoryFormat
import TestKit
import Testing

@Suite("records: deterministic CBOR (design §4.12)")
struct RecordValueTests {
    /// Examples of RFC 8949, appendix A, and of the name order of §4.2.1.
    static let known: [(RecordValue, String)] = [
        (.unsigned(0), "00"), (.unsigned(23), "17"), (.unsigned(24), "1818"), (.unsigned(100), "1864"),
        (.unsigned(1000), "1903e8"), (.unsigned(1_000_000), "1a000f4240"),
        (.unsigned(1_000_000_000_000), "1b000000e8d4a51000"), (.unsigned(.max), "1bffffffffffffffff"),
        (.negative(minusOneMinus: 0), "20"), (.negative(minusOneMinus: 999), "3903e7"),
        (.bytes([1, 2, 3, 4]), "4401020304"), (.text(""), "60"), (.text("IETF"), "6449455446"),
        (.text("水"), "63e6b0b4"),
        (.array([.unsigned(1), .array([.unsigned(2), .unsigned(3)])]), "8201820203"),
        (.map([:]), "a0"), (.map(["b": .array([.unsigned(2)]), "a": .unsigned(1)]), "a26161016162" + "8102"),
        (.map(["aa": .null, "b": .bool(true), "c": .bool(false)]), "a3" + "6162f5" + "6163f4" + "626161f6"),
    ]

    @Test("known values have their published encoding, and come back", arguments: known.indices)
    func published(index: Int) throws {
        let (value, text) = Self.known[index]
        #expect(value.encoded.hexadecimal == text)
        #expect(try RecordValue(decoding: value.encoded[...], of: "a record") == value)
    }

    @Test(
        "every other spelling is refused",
        arguments: [
            "1817", "190018", "1a0000ffff", "1b00000000ffffffff",  // longer than needed
            "5f4101ff", "9f01ff", "bf616101ff", "7f6161ff",  // indefinite lengths
            "a2616201616102", "a2616101616102",  // out of order, repeated
            "a10101", "c100", "f97e00", "fb7ff0000000000000", "f7", "f800", "ff", "1c",  // names, tags, floats, others
            "62ff20", "0000", "63e6b0",  // not UTF-8, trailing, cut
            "9bffffffffffffffff", "5bffffffffffffffff", "bbffffffffffffffff",  // lengths that lie
            "818181818181818181818100",  // too deep
        ])
    func refused(text: String) throws {
        let bytes = try #require([UInt8](hexadecimal: text))
        #expect(throws: FormatError.self) { try RecordValue(decoding: bytes[...], of: "a record") }
    }

    @Test("every truncation is refused")
    func truncated() {
        let whole = RecordValue.map(["name": .text("業務サーバ01"), "list": .array([.unsigned(300), .bytes([9])])]).encoded
        for length in 0..<whole.count {
            #expect(throws: FormatError.self) { try RecordValue(decoding: whole[..<length], of: "a record") }
        }
    }

    @Test("whatever decodes, encodes to the same bytes", arguments: 0..<200)
    func canonical(seed: UInt64) {
        var dice = Dice(seed: seed)
        for _ in 0..<200 {
            var bytes = dice.record(depth: 0).encoded
            for _ in 0..<dice.roll(below: 3) where !bytes.isEmpty {
                bytes[Int(dice.roll(below: UInt64(bytes.count)))] = UInt8(truncatingIfNeeded: dice.next())
            }
            if let value = try? RecordValue(decoding: bytes[...], of: "a record") {
                #expect(value.encoded == bytes, "seed \(seed)")
            }
        }
    }
}

extension Dice {
    /// Any record, nested a few levels deep.
    mutating func record(depth: Int) -> RecordValue {
        switch roll(below: depth > 3 ? 5 : 8) {
        case 0: return .unsigned(next() >> roll(below: 64))
        case 1: return .negative(minusOneMinus: next() >> roll(below: 64))
        case 2: return .bytes((0..<roll(below: 40)).map { _ in UInt8(truncatingIfNeeded: next()) })
        case 3: return .text(String(repeating: "x", count: Int(roll(below: 40))))
        case 4: return roll(below: 2) == 0 ? .null : .bool(roll(below: 2) == 0)
        case 5: return .array((0..<roll(below: 5)).map { _ in record(depth: depth + 1) })
        default:
            var members: [String: RecordValue] = [:]
            for _ in 0..<roll(below: 5) { members["n\(roll(below: 1000))"] = record(depth: depth + 1) }
            return .map(members)
        }
    }
}
