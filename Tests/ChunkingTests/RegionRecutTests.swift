import BackupModel
import Chunking
import TestKit
import Testing

/// A region that changed is cut anew from the earlier cut and a few reads, and comes out as a whole cut does.
@Suite("cutting anew after a change (design §4.3, format page §8)")
struct RegionRecutTests {
    static let sizes = ChunkerParameters(
        regionSize: 1 << 20, minimum: 8 << 10, maximum: 48 << 10, threshold: .max / 6, zeroRunMinimum: 16 << 10)

    /// Cuts `now` anew, knowing only the cut of what it was before and where it changed. - Returns: the pieces, and the
    /// ranges that were read.
    static func recut(
        _ now: [UInt8], earlier: [RegionPiece], changed: [Extent], _ parameters: ChunkerParameters = sizes
    ) async throws -> (pieces: [RecutPiece], reads: [Range<Int>]) {
        let chunker = try unsafe RegionChunkerTests.key.withUnsafeBytes { key in
            try unsafe RegionChunker(parameters: parameters, pageHashKey: key)
        }
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: now.count, alignment: 16)
        defer { unsafe buffer.deallocate() }
        // What nobody reads is garbage, so that leaning on it is seen.
        unsafe _ = buffer.initializeMemory(as: UInt8.self, repeating: 0xEE)
        var pieces: [RecutPiece] = []
        var reads: [Range<Int>] = []
        try unsafe await chunker.recut(
            buffer, earlier: earlier, changed: changed, into: &pieces,
            read: { range in
                reads.append(range)
                unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[range]).copyBytes(from: now[range])
            },
            encryptBlocks: { blocks in
                for offset in stride(from: 0, to: blocks.count, by: 16) {
                    let low = unsafe UInt64(littleEndian: blocks.load(fromByteOffset: offset, as: UInt64.self))
                    let high = unsafe UInt64(littleEndian: blocks.load(fromByteOffset: offset + 8, as: UInt64.self))
                    unsafe blocks.storeBytes(
                        of: RegionChunkerTests.mix((low, high)).littleEndian, toByteOffset: offset, as: UInt64.self)
                }
            })
        // Whoever stores a new chunk takes it from the buffer.
        for piece in pieces where piece.kept == nil && !piece.piece.isHole {
            let range = Int(piece.piece.offset)..<Int(piece.piece.end)
            let isTrue = unsafe buffer[range].elementsEqual(now[range])
            #expect(isTrue, "the bytes of a new chunk were not read")
        }
        return (pieces, reads)
    }

    /// A random change: data, zeros, or what was there already, on any bytes. - Returns: what a bitmap would say.
    static func change(_ region: inout [UInt8], _ dice: inout Dice) -> Extent {
        let longest = [4_000, 9_000, 40_000, 200_000][Int(dice.roll(below: 4))]
        var start = Int(dice.roll(below: UInt64(region.count)))
        var end = min(region.count, start + 1 + Int(dice.roll(below: UInt64(longest))))
        // Half of them on pages, where zero runs and boundaries lie.
        if dice.roll(below: 2) == 0 {
            start = start / 4096 * 4096
            end = min(region.count, (end + 4095) / 4096 * 4096)
        }
        switch dice.roll(below: 5) {
        case 0, 1: for index in start..<end { region[index] = 0 }
        case 2:
            let shift = Int(dice.roll(below: UInt64(region.count)))
            for index in start..<end { region[index] = region[(index + shift) % region.count] }
        case 3: break
        default:
            let bytes = dice.bytes(64)
            for index in start..<end { region[index] = bytes[index % 64] &+ UInt8(truncatingIfNeeded: index >> 6) }
        }
        // Bitmaps have granules, and may say more than what changed.
        let grain = [512, 4096, 65_536][Int(dice.roll(below: 3))]
        let low = start / grain * grain
        return Extent(start: UInt64(low), length: UInt64(min(region.count, (end + grain - 1) / grain * grain) - low))
    }

    @Test("any history of changes gives the pieces of a whole cut", arguments: 0..<1500)
    func histories(seed: UInt64) async throws {
        var dice = Dice(seed: seed)
        let odd = dice.roll(below: 3) == 0 ? 1 + Int(dice.roll(below: 4095)) : 0
        var region = [UInt8](repeating: 0, count: (1 + Int(dice.roll(below: 250))) * 4096 + odd)
        for _ in 0..<dice.roll(below: 24) { _ = Self.change(&region, &dice) }
        var cut = try RegionChunkerTests.cut(region, Self.sizes)
        for night in 0..<6 {
            var changed: [Extent] = []
            for _ in 0..<dice.roll(below: 5) { changed.append(Self.change(&region, &dice)) }
            let whole = try RegionChunkerTests.cut(region, Self.sizes)
            let (pieces, reads) = try await Self.recut(region, earlier: cut, changed: changed)
            #expect(pieces.map(\.piece) == whole, "seed \(seed), night \(night)")
            for piece in pieces where piece.kept != nil { #expect(piece.kept.map { cut[$0] } == piece.piece) }
            let sorted = reads.sorted { $0.lowerBound < $1.lowerBound }
            for (one, next) in zip(sorted, sorted.dropFirst()) {
                #expect(one.upperBound <= next.lowerBound, "seed \(seed): bytes were read twice")
            }
            cut = whole
        }
    }

    @Test("nothing changed: nothing is read and everything is kept")
    func unchanged() async throws {
        var dice = Dice(seed: 3)
        var region = [UInt8](repeating: 0, count: 1 << 20)
        for _ in 0..<12 { _ = Self.change(&region, &dice) }
        let cut = try RegionChunkerTests.cut(region, Self.sizes)
        let (pieces, reads) = try await Self.recut(region, earlier: cut, changed: [])
        #expect(reads.isEmpty)
        #expect(pieces.map(\.piece) == cut)
        let isAllKept = pieces.allSatisfy { $0.piece.isHole || $0.kept != nil }
        #expect(isAllKept)
    }

    @Test("one changed page in a region of data costs a few chunks to read, never the region", arguments: 0..<40)
    func costFollowsTheChange(seed: UInt64) async throws {
        var dice = Dice(seed: seed)
        var region = dice.bytes(1 << 20)
        let cut = try RegionChunkerTests.cut(region, Self.sizes)
        let page = Int(dice.roll(below: 256))
        for index in page * 4096..<page * 4096 + 4096 { region[index] = region[index] &+ 1 }
        let (_, reads) = try await Self.recut(
            region, earlier: cut, changed: [Extent(start: UInt64(page * 4096), length: 4096)])
        // Boundaries follow from pages alone, so they meet again within a few chunks of 32 KiB on average.
        #expect(reads.reduce(0) { $0 + $1.count } <= 6 * Self.sizes.maximum, "seed \(seed)")
    }

    @Test("data in the middle of a hole joins the segments beside it only when what is left is too short")
    func holesMelt() async throws {
        var dice = Dice(seed: 11)
        let page = 4096
        // 10 pages of data, a hole of 7, 10 pages of data; the hole's middle page then gets data.
        var region = dice.bytes(10 * page) + [UInt8](repeating: 0, count: 7 * page) + dice.bytes(10 * page)
        let before = try RegionChunkerTests.cut(region, Self.sizes)
        for index in 13 * page..<14 * page { region[index] = 7 }
        let (pieces, _) = try await Self.recut(
            region, earlier: before, changed: [Extent(start: UInt64(13 * page), length: UInt64(page))])
        let hasHole = pieces.contains { $0.piece.isHole }
        #expect(!hasHole)
        let whole = try RegionChunkerTests.cut(region, Self.sizes)
        #expect(pieces.map(\.piece) == whole)
    }

    @Test("zeros that make a short zero run in the chunk beside them long enough become one hole with it")
    func holesGrow() async throws {
        var dice = Dice(seed: 12)
        let page = 4096
        var region = dice.bytes(20 * page)
        for index in 8 * page..<11 * page { region[index] = 0 }
        let before = try RegionChunkerTests.cut(region, Self.sizes)
        let hadHole = before.contains { $0.isHole }
        #expect(!hadHole)
        for index in 11 * page..<12 * page { region[index] = 0 }
        let (pieces, _) = try await Self.recut(
            region, earlier: before, changed: [Extent(start: UInt64(11 * page), length: UInt64(page))])
        let hole = RegionPiece(offset: UInt32(8 * page), length: UInt32(4 * page), isHole: true)
        let isThere = pieces.contains { $0.piece == hole }
        #expect(isThere)
        let whole = try RegionChunkerTests.cut(region, Self.sizes)
        #expect(pieces.map(\.piece) == whole)
    }

    @Test("what is read is at most 1.1 x what changed, widened to the chunks that it lay in")
    func costIsTheChunks() async throws {
        let sizes = ChunkerParameters(regionSize: 4 << 20)
        var read = 0
        var widened = 0
        for seed in 0..<24 as Range<UInt64> {
            var dice = Dice(seed: seed)
            var region = dice.bytes(sizes.regionSize)
            let cut = try RegionChunkerTests.cut(region, sizes)
            // Blocks of 64 KiB, as QEMU's lists of changes have them, each alone or a few together.
            var changed: [Extent] = []
            for _ in 0..<(1 + dice.roll(below: 6)) {
                let first = Int(dice.roll(below: 60)) << 16
                let count = (1 + Int(dice.roll(below: 4))) << 16
                region.replaceSubrange(first..<first + count, with: dice.bytes(count))
                changed.append(Extent(start: UInt64(first), length: UInt64(count)))
            }
            let (_, reads) = try await Self.recut(region, earlier: cut, changed: changed, sizes)
            read += reads.reduce(0) { $0 + $1.count }
            let touched = cut.filter { piece in
                let chunk = Extent(start: UInt64(piece.offset), length: UInt64(piece.length))
                return changed.contains { $0.intersection(chunk) != nil }
            }
            widened += touched.reduce(0) { $0 + Int($1.length) }
        }
        #expect(10 * read <= 11 * widened, "\(read) bytes read, where \(widened) are touched")
        // Without that the first bound says nothing.
        #expect(read >= widened)
    }

    @Test("an error while reading is passed on")
    func readingFails() async throws {
        struct Broken: Error {}
        var dice = Dice(seed: 5)
        let region = dice.bytes(64 << 10)
        let cut = try RegionChunkerTests.cut(region, Self.sizes)
        let chunker = try unsafe RegionChunkerTests.key.withUnsafeBytes { key in
            try unsafe RegionChunker(parameters: Self.sizes, pageHashKey: key)
        }
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: region.count, alignment: 16)
        defer { unsafe buffer.deallocate() }
        var pieces: [RecutPiece] = []
        await #expect(throws: Broken.self) {
            try unsafe await chunker.recut(
                buffer, earlier: cut, changed: [Extent(start: 0, length: 1)], into: &pieces,
                read: { _ in throw Broken() }, encryptBlocks: { _ in })
        }
    }
}
