import GuestSource
import TestKit
import Testing

/// Everything that reads an image before QEMU does accepts or refuses whatever it is given, and never traps.
@Suite("seeded mutations of images")
struct ImageFuzzTests {
    /// Reads as the opener does, first as what it looks like, then as what it is said to be.
    private static func read(_ bytes: [UInt8], _ format: ImageFormat) throws {
        let source = HeaderBytes(bytes, path: "mutated")
        _ = try? ContentLook(source)
        for name in ["x.img", "x.qcow2", "x"] {
            _ = try? ContentLook.decide(name: name, isBlockDevice: false, stated: nil, recorded: nil, source)
        }
        // Also what a header refuses: each check stands alone.
        let header = Result { try ImageHeader(parsing: source, as: format) }
        let tables = Result { try TruncationCheck.check(source, as: format) }
        _ = try header.get()
        try tables.get()
    }

    @Test("headers and tables of every format", arguments: SmallImage.all.indices)
    func small(number: Int) {
        let image = SmallImage.all[number]
        Mutator.run("\(image.name) images", [image.bytes], refusedBy: SourceError.self) { bytes in
            try Self.read(bytes, image.format)
            return nil
        }
    }

    @Test("headers that name other files, and descriptors")
    func headers() {
        for (format, bytes) in ImageHeaderTests.samples() where format != .vhdx {
            // What is mutated is the beginning; the rest stays where it is as far as the length allows.
            let length = min(bytes.count, 700)
            Mutator.run("headers of \(format.name)", [Array(bytes[..<length])], refusedBy: SourceError.self) {
                changed in
                try Self.read(changed + bytes[length...], format)
                return nil
            }
        }
    }

    @Test("the places of a VHDX that say where things are")
    func vhdx() throws {
        let sample = try #require(ImageHeaderTests.samples().first { $0.0 == .vhdx }).1
        let windows = [0..<16, 4096..<4400, 196_608..<196_672]
        let places = windows.flatMap { $0 }
        Mutator.run("headers of vhdx", [places.map { sample[$0] }], refusedBy: SourceError.self) { changed in
            var bytes = sample
            for (place, byte) in zip(places, changed) { bytes[place] = byte }
            try Self.read(bytes, .vhdx)
            return nil
        }
    }

    @Test("each small image is whole, and no beginning of it is", arguments: SmallImage.all.indices)
    func truncations(number: Int) throws {
        let image = SmallImage.all[number]
        try Self.read(image.bytes, image.format)
        for count in 0..<image.bytes.count {
            let error = #expect(throws: SourceError.self, "\(image.name) of \(count) bytes") {
                try Self.read(Array(image.bytes[..<count]), image.format)
            }
            if error?.sentence.contains("cut short") == true { #expect(error?.code == .damagedHeader) }
        }
    }
}
