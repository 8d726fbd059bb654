import ChunkCompression
import TestKit
import Testing

@Suite("Chunks are compressed and opened within their bound")
struct ChunkCompressionTests {
    private func compressed(_ input: [UInt8], limit: Int, with compressor: ChunkCompressor = ChunkCompressor())
        -> [UInt8]?
    {
        var output = [UInt8](repeating: 0, count: limit)
        let count = unsafe input.withUnsafeBytes { source in
            unsafe output.withUnsafeMutableBytes { unsafe compressor.compress(source, into: $0) }
        }
        return count.map { Array(output[..<$0]) }
    }

    private func opened(
        _ input: [UInt8], count: Int, with decompressor: ChunkDecompressor = ChunkDecompressor()
    ) throws(CompressionError) -> [UInt8] {
        var output = [UInt8](repeating: 0, count: count)
        let result: Result<Void, CompressionError> = unsafe input.withUnsafeBytes { source in
            unsafe output.withUnsafeMutableBytes { target in
                do throws(CompressionError) {
                    return .success(try unsafe decompressor.decompress(source, into: target))
                } catch { return .failure(error) }
            }
        }
        try result.get()
        return output
    }

    private func text(_ dice: inout Dice, count: Int) -> [UInt8] {
        (0..<count).map { _ in UInt8(97 + dice.roll(below: 5)) }
    }

    @Test("what was compressed comes back, with one context for all")
    func roundTrip() throws {
        var dice = Dice(seed: 11)
        let compressor = ChunkCompressor()
        let decompressor = ChunkDecompressor()
        for count in [1, 2, 100, 4096, 65_536, 262_144, 1 << 20] {
            let plain = text(&dice, count: count)
            guard let packed = compressed(plain, limit: count + 64, with: compressor) else {
                Issue.record("\(count) bytes do not fit with room to spare")
                continue
            }
            #expect(try opened(packed, count: count, with: decompressor) == plain)
        }
    }

    @Test("what does not become smaller is not compressed")
    func incompressible() {
        var dice = Dice(seed: 12)
        #expect(compressed(dice.bytes(65_536), limit: 65_535) == nil)
    }

    @Test("a frame opens to its exact length and to no other")
    func exactLength() throws {
        var dice = Dice(seed: 13)
        let plain = text(&dice, count: 5000)
        let packed = try #require(compressed(plain, limit: 5000))
        for count in [0, 1, 4999, 5001, 100_000] {
            #expect(throws: CompressionError.self) { try opened(packed, count: count) }
        }
    }

    @Test("every truncation, and any byte behind the frame, is refused")
    func truncations() throws {
        var dice = Dice(seed: 14)
        let plain = text(&dice, count: 3000)
        let packed = try #require(compressed(plain, limit: 3000))
        for end in 0..<packed.count {
            #expect(throws: CompressionError.self) { try opened(Array(packed[..<end]), count: 3000) }
        }
        #expect(throws: CompressionError.self) { try opened(packed + [0], count: 3000) }
        #expect(throws: CompressionError.self) { try opened(packed + packed, count: 6000) }
    }

    @Test("mutated frames never trap and never write past the buffer")
    func mutations() throws {
        var dice = Dice(seed: 15)
        let plain = text(&dice, count: 3000)
        let packed = try #require(compressed(plain, limit: 3000))
        let decompressor = ChunkDecompressor()
        for _ in 0..<20_000 {
            var mutated = packed
            for _ in 0...dice.roll(below: 3) {
                mutated[Int(dice.roll(below: UInt64(mutated.count)))] = UInt8(dice.roll(below: 256))
            }
            _ = try? opened(mutated, count: 3000, with: decompressor)
        }
        #expect(try opened(packed, count: 3000, with: decompressor) == plain)
    }
}
