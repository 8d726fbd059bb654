import RepositoryFormat
import TestKit
import Testing

@Suite("CRC32C (RFC 3720)")
struct ChecksumTests {
    private static func checksum(_ bytes: ArraySlice<UInt8>) -> UInt32 {
        unsafe bytes.withUnsafeBytes { buffer in unsafe Checksum.crc32c(buffer) }
    }

    @Test("the check value is the published one")
    func published() {
        #expect(Self.checksum(Array("123456789".utf8)[...]) == 0xE306_9283)
        #expect(bitwiseCRC32C("123456789".utf8) == 0xE306_9283)
        #expect(Self.checksum([]) == 0)
        // RFC 3720 appendix B.4: 32 bytes of zeros, of ones, ascending.
        #expect(Self.checksum([UInt8](repeating: 0, count: 32)[...]) == 0x8A91_36AA)
        #expect(Self.checksum([UInt8](repeating: 0xFF, count: 32)[...]) == 0x62A8_AB43)
        #expect(Self.checksum([UInt8](0..<32)[...]) == 0x46DD_794E)
    }

    @Test(
        "every length to 300 at every offset to 16 agrees with one bit a step, by instruction and by table"
    )
    func agrees() {
        var dice = Dice(seed: 11)
        let bytes = dice.bytes(320)
        var wrong: [String] = []
        for offset in 0..<16 {
            for length in 0...300 {
                let slice = bytes[offset..<(offset + length)]
                let portable = unsafe slice.withUnsafeBytes { buffer in unsafe Checksum.portable(buffer) }
                let expected = bitwiseCRC32C(slice)
                if Self.checksum(slice) != expected || portable != expected { wrong.append("\(offset)+\(length)") }
            }
        }
        #expect(wrong == [])
    }

    @Test("blocks are cut where the page says, the last one short", arguments: [0, 1, 63, 64, 65, 128, 200])
    func blocks(length: Int) {
        var dice = Dice(seed: 12)
        let bytes = dice.bytes(length)
        let sums = unsafe bytes.withUnsafeBytes { buffer in unsafe Checksum.ofBlocks(buffer, blockByteCount: 64) }
        let expected = stride(from: 0, to: length, by: 64).map { bitwiseCRC32C(bytes[$0..<min($0 + 64, length)]) }
        #expect(sums == expected)
    }
}
