import BackupModel
import Chunking
import TestKit
import Testing

@Suite("page-aligned chunking (format page §8)")
struct RegionChunkerTests {
    static let key: [UInt8] = {
        var dice = Dice(seed: 7)
        return dice.bytes(4096)
    }()

    /// Stands in for AES: any fixed permutation of the hash will do to compare two ways of cutting.
    static func mix(_ hash: (low: UInt64, high: UInt64)) -> UInt64 {
        var dice = Dice(seed: hash.low ^ hash.high &* 0x9E37_79B9_7F4A_7C15)
        return dice.next()
    }

    static func cut(_ bytes: [UInt8], _ parameters: ChunkerParameters, holes: [Extent] = []) throws -> [RegionPiece] {
        let chunker = try unsafe key.withUnsafeBytes { key in
            try unsafe RegionChunker(parameters: parameters, pageHashKey: key)
        }
        var region = bytes
        var pieces: [RegionPiece] = []
        unsafe region.withUnsafeMutableBytes { region in
            unsafe chunker.chunk(region, knownHoles: holes, into: &pieces) { blocks in
                for offset in stride(from: 0, to: blocks.count, by: 16) {
                    let low = unsafe UInt64(littleEndian: blocks.load(fromByteOffset: offset, as: UInt64.self))
                    let high = unsafe UInt64(littleEndian: blocks.load(fromByteOffset: offset + 8, as: UInt64.self))
                    unsafe blocks.storeBytes(of: mix((low, high)).littleEndian, toByteOffset: offset, as: UInt64.self)
                }
            }
        }
        return pieces
    }

    static func word(_ bytes: ArraySlice<UInt8>, _ index: Int) -> UInt64 {
        (0..<8).reduce(0) { $0 | UInt64(bytes[bytes.startIndex + index * 8 + $1]) << UInt64($1 * 8) }
    }

    /// The definition, as plainly as it can be written.
    static func reference(_ bytes: [UInt8], _ parameters: ChunkerParameters) -> [RegionPiece] {
        let pages = stride(from: 0, to: bytes.count, by: 4096).map { bytes[$0..<min($0 + 4096, bytes.count)] }
        let zero = pages.map { $0.allSatisfy { $0 == 0 } }
        func value(_ page: ArraySlice<UInt8>) -> UInt64 {
            guard page.count == 4096 else { return .max }
            var low: UInt64 = 0
            var high: UInt64 = 0
            for index in stride(from: 0, to: 512, by: 2) {
                let product = (word(page, index) &+ word(key[...], index))
                    .multipliedFullWidth(by: word(page, index + 1) &+ word(key[...], index + 1))
                let (sum, carry) = low.addingReportingOverflow(product.low)
                low = sum
                high = high &+ product.high &+ (carry ? 1 : 0)
            }
            return mix((low, high))
        }
        var pieces: [RegionPiece] = []
        func add(_ from: Int, _ to: Int, hole: Bool) {
            let end = min(to * 4096, bytes.count)
            pieces.append(RegionPiece(offset: UInt32(from * 4096), length: UInt32(end - from * 4096), isHole: hole))
        }
        func segment(_ from: Int, _ to: Int) {
            var start = from
            for page in from..<to {
                let length = (page + 1 - start) * 4096
                let isBoundary = length >= parameters.minimum && value(pages[page]) < parameters.threshold
                if isBoundary || length >= parameters.maximum || page == to - 1 {
                    add(start, page + 1, hole: false)
                    start = page + 1
                }
            }
        }
        var open = 0
        var page = 0
        while page < pages.count {
            var end = page
            while end < pages.count, zero[end] { end += 1 }
            if end > page, min(end * 4096, bytes.count) - page * 4096 >= parameters.zeroRunMinimum {
                if open < page { segment(open, page) }
                add(page, end, hole: true)
                open = end
            }
            page = max(end, page + 1)
        }
        if open < pages.count { segment(open, pages.count) }
        return pieces
    }

    /// Data and zero runs of every length around the limits, and a last page of any size.
    static func region(_ dice: inout Dice) -> (bytes: [UInt8], holes: [Extent]) {
        var bytes: [UInt8] = []
        var holes: [Extent] = []
        for _ in 0..<1 + dice.roll(below: 12) {
            let count = Int(1 + dice.roll(below: 20)) * 4096
            if dice.roll(below: 2) == 0 {
                bytes += (0..<count / 4096).flatMap { _ in
                    [UInt8](repeating: UInt8(dice.roll(below: 4)), count: 4095) + [1]
                }
            } else {
                if dice.roll(below: 2) == 0 { holes.append(Extent(start: UInt64(bytes.count), length: UInt64(count))) }
                bytes += [UInt8](repeating: 0, count: count)
            }
        }
        bytes += [UInt8](repeating: UInt8(dice.roll(below: 2)), count: Int(dice.roll(below: 4096)))
        return (bytes, holes)
    }

    @Test("cuts are those of the plain definition, with holes read or only known", arguments: 0..<60)
    func agrees(seed: UInt64) throws {
        var dice = Dice(seed: seed)
        let parameters = ChunkerParameters()
        let (bytes, holes) = Self.region(&dice)
        let expected = Self.reference(bytes, parameters)
        #expect(try Self.cut(bytes, parameters) == expected, "seed \(seed)")
        var unread = bytes
        for hole in holes {
            for index in Int(hole.start)..<Int(hole.end) { unread[index] = 0xAA }
        }
        #expect(try Self.cut(unread, parameters, holes: holes) == expected, "seed \(seed), holes not read")
    }

    @Test("pieces tile the region and keep the limits", arguments: [1, 4095, 4096, 4097, 32_767, 32_768, 1 << 20])
    func tiles(count: Int) throws {
        var dice = Dice(seed: UInt64(count))
        let parameters = ChunkerParameters()
        for bytes in [dice.bytes(count), [UInt8](repeating: 0, count: count)] {
            var end: UInt32 = 0
            for piece in try Self.cut(bytes, parameters) {
                #expect(piece.offset == end && piece.length > 0)
                #expect(piece.isHole || piece.length <= UInt32(parameters.maximum))
                end = piece.end
            }
            #expect(end == UInt32(count))
        }
    }

    @Test("zeros are a hole from 32 KiB on, and data below")
    func zeros() throws {
        let parameters = ChunkerParameters()
        #expect(try Self.cut([UInt8](repeating: 0, count: 32_767), parameters).map(\.isHole) == [false])
        #expect(try Self.cut([UInt8](repeating: 0, count: 32_768), parameters).map(\.isHole) == [true])
    }
}
