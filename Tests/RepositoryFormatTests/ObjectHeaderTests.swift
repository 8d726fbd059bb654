import BackupModel
import RepositoryFormat
import Testing

@Suite("object headers (format page §2)")
struct ObjectHeaderTests {
    let header: ObjectHeader
    let bytes: [UInt8]

    init() throws {
        header = ObjectHeader(
            kind: .pack, objectClass: .content,
            repository: try #require(RepositoryID(bytes: (1...16).map { UInt8($0) })),
            domain: 3, keyEpoch: 7, signer: try #require(Hash256(bytes: (100..<132).map { UInt8($0) })),
            bodyByteCount: 4_321, flags: 1 << 40)
        bytes = header.encoded
    }

    @Test("the layout is the published one")
    func layout() {
        let signer = [UInt8](100..<132).hexadecimal
        let expected: [String] = [
            "444f5a4f0d0a1a0a", "0100", "0100", "0700", "02", "01", "0102030405060708090a0b0c0d0e0f10", "03000000",
            "07000000", signer, "e110000000000000", "0000000000010000", "0000000000000000",
        ]
        #expect(bytes.hexadecimal == expected.joined())
        #expect(bytes.count == ObjectHeader.byteCount)
    }

    @Test("what was written is read")
    func roundTrip() throws {
        #expect(try ObjectHeader(parsing: bytes[...], name: "packs/x") == header)
    }

    @Test("every truncation is refused", arguments: 0..<ObjectHeader.byteCount)
    func truncated(length: Int) {
        #expect(throws: FormatError.self) { try ObjectHeader(parsing: bytes[..<length], name: "packs/x") }
    }

    @Test("every single flipped bit is refused or changes what is read", arguments: 0..<ObjectHeader.byteCount * 8)
    func flipped(bit: Int) {
        var changed = bytes
        changed[bit / 8] ^= 1 << (bit % 8)
        let read = try? ObjectHeader(parsing: changed[...], name: "packs/x")
        #expect(read != header)
    }

    @Test(
        "another version, draft, suite, kind, class or critical flag is unsupported",
        arguments: [8, 10, 12, 14, 15, 80])
    func unsupported(offset: Int) throws {
        var changed = bytes
        changed[offset] = 0x7F
        let error = #expect(throws: FormatError.self) { try ObjectHeader(parsing: changed[...], name: "packs/x") }
        #expect(error?.code == .unsupported)
        #expect(error?.sentence.contains("packs/x") == true)
    }

    @Test("a body over the limit is refused before anything is allocated")
    func overLimit() {
        var changed = bytes
        changed[79] = 0xFF
        let error = #expect(throws: FormatError.self) { try ObjectHeader(parsing: changed[...], name: "packs/x") }
        #expect(error?.code == .malformed)
    }

    @Test("published numbers are frozen")
    func numbers() {
        #expect(ObjectKind.allCases.map(\.rawValue) == [1, 2, 3, 4, 5, 6, 7, 8])
        #expect(ObjectClass.allCases.map(\.rawValue) == [0, 1, 2])
    }
}
