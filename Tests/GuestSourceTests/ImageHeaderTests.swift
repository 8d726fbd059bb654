import GuestSource
import Testing

@Suite("headers written by strangers")
struct ImageHeaderTests {
    static func samples() -> [(ImageFormat, [UInt8])] {
        var vhd = Array("conectix".utf8) + [UInt8](repeating: 0, count: 504)
        vhd[63] = 3
        var vdi = [UInt8](repeating: 0, count: 512)
        vdi.replaceSubrange(64..<68, with: [0x7f, 0x10, 0xda, 0xbe])
        vdi[76] = 1
        let text = "# Disk DescriptorFile\nversion=1\nRW 12 FLAT \"a.img\" 0\nparentFileNameHint=\"b.vmdk\"\n"
        var sparse = Array("KDMV".utf8) + [UInt8](repeating: 0, count: 508)
        sparse[12] = 8
        sparse[28] = 1
        return [
            (.qcow2, BackingPolicyTests.forged(backing: "base.raw")), (.vhd, vhd), (.vdi, vdi),
            (.vmdk, Array(text.utf8)), (.vmdk, sparse + Array(text.utf8)), (.vhdx, vhdx()),
        ]
    }

    private static func vhdx(parent: Bool = false) -> [UInt8] {
        var bytes = Array("vhdxfile".utf8) + [UInt8](repeating: 0, count: 300 << 10)
        func put(_ piece: [UInt8], _ place: Int) { bytes.replaceSubrange(place..<(place + piece.count), with: piece) }
        let region: [UInt8] = [
            0x06, 0xa2, 0x7c, 0x8b, 0x90, 0x47, 0x9a, 0x4b, 0xb8, 0xfe, 0x57, 0x5f, 0x05, 0x0f, 0x88, 0x6e,
        ]
        let item: [UInt8] = [
            0x37, 0x67, 0xa1, 0xca, 0x36, 0xfa, 0x43, 0x4d, 0xb3, 0xb6, 0x33, 0xf0, 0xaa, 0x44, 0xe7, 0x6b,
        ]
        put(Array("regi".utf8), 192 << 10)
        put([1], 192 << 10 + 8)
        put(region + [0, 0x10, 0, 0], 192 << 10 + 16)
        put(Array("metadata".utf8) + [0, 0, 1], 4096)
        put(item + [0, 1, 0, 0], 4096 + 32)
        put([0, 0, 16, 0, parent ? 2 : 0], 4096 + 256)
        return bytes
    }

    @Test("every sample is understood")
    func samplesParse() throws {
        for (format, bytes) in ImageHeaderTests.samples() {
            let header = try ImageHeader(parsing: HeaderBytes(bytes, path: "sample"), as: format)
            if format == .qcow2 { #expect(header.backing?.name == "base.raw" && header.backing?.format == "raw") }
        }
    }

    @Test("a VHDX with a parent is refused: QEMU would read the parent as zeros")
    func vhdxParent() throws {
        #expect(throws: SourceError.self) {
            _ = try ImageHeader(parsing: HeaderBytes(ImageHeaderTests.vhdx(parent: true), path: "sample"), as: .vhdx)
        }
    }

    @Test("every truncation and every flipped bit of the first bytes parses or throws, and never traps")
    func exhaustive() {
        for (format, bytes) in ImageHeaderTests.samples() {
            let length = min(bytes.count, 700)
            for count in 0..<length { parse(Array(bytes.prefix(count)), format) }
            for bit in 0..<(length * 8) {
                var changed = bytes.count > 4096 ? Array(bytes.prefix(4096)) : bytes
                changed[bit / 8] ^= 1 << UInt8(bit % 8)
                parse(changed, format)
            }
        }
    }

    @Test("seeded mutations of every header parse or throw, and never trap")
    func mutations() {
        var random = Seeded()
        for (format, bytes) in ImageHeaderTests.samples() {
            let interesting = format == .vhdx ? [0..<16, 196608..<196672, 4096..<4400] : [0..<min(bytes.count, 600)]
            var changed = bytes
            for _ in 0..<3000 {
                var undo: [(Int, UInt8)] = []
                for _ in 0..<Int.random(in: 1...6, using: &random) {
                    let place = Int.random(in: interesting.randomElement(using: &random) ?? 0..<1, using: &random)
                    undo.append((place, changed[place]))
                    changed[place] =
                        [0, 1, 0x7f, 0x80, 0xff, UInt8.random(in: 0...255, using: &random)]
                        .randomElement(using: &random) ?? 0
                }
                parse(changed, format)
                for (place, byte) in undo.reversed() { changed[place] = byte }
            }
        }
    }

    /// Parses as `format` and by content; only the module's own errors may come out.
    private func parse(_ bytes: [UInt8], _ format: ImageFormat) {
        let source = HeaderBytes(bytes, path: "mutated")
        _ = try? ImageHeader(parsing: source, as: format)
        _ = try? ContentLook(source)
    }
}
