import BackupModel
import Testing

@Suite("256-bit values")
struct Hash256Tests {
    @Test("bytes, digits and order agree")
    func order() throws {
        let low = try #require(Hash256(bytes: [UInt8](repeating: 0, count: 31) + [1]))
        let high = try #require(Hash256(bytes: [1] + [UInt8](repeating: 0, count: 31)))
        #expect(low < high)
        #expect(Hash256(hexadecimal: high.hexadecimal) == high)
        #expect(high.bytes == [1] + [UInt8](repeating: 0, count: 31))
        #expect(high.abbreviated == "01000000")
    }

    @Test("other lengths, upper case and odd digits are refused", arguments: ["", "0", "ZZ", "AB", "0g"])
    func refused(text: String) {
        #expect(Hash256(hexadecimal: text) == nil)
        #expect([UInt8](hexadecimal: text) == nil || text.isEmpty)
    }
}
