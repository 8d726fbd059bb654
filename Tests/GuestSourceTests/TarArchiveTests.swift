import GuestSource
import Testing

@Suite("tar archives")
struct TarArchiveTests {
    private static func members(_ bytes: [UInt8]) throws -> [TarArchive.Member] {
        try TarArchive(parsing: HeaderBytes(bytes, path: "x.ova")).members
    }

    private static func refusal(_ bytes: [UInt8]) -> SourceError? {
        do throws(SourceError) {
            _ = try TarArchive(parsing: HeaderBytes(bytes, path: "x.ova"))
            return nil
        } catch { return error }
    }

    @Test("names and sizes of every kind, and each member's own bytes")
    func rich() throws {
        let bytes = TarSample.rich().closed
        let found = try Self.members(bytes)
        #expect(
            found.map(\.name) == [
                "web.ovf", "folder/", "deep/er/disk1.img", "folder/\(String(repeating: "n", count: 150)).raw",
                "base256.raw", "業務.raw", "link.iso", "empty.raw",
            ])
        #expect(found.map(\.byteCount) == [6, 0, 700, 512, 513, 5, 0, 0])
        #expect(found.map(\.kind) == [.file, .folder, .file, .file, .file, .file, .link, .file])
        for (member, byte) in [(found[2], UInt8(1)), (found[3], 2), (found[4], 3), (found[5], 4)] {
            let range = Int(member.offset)..<Int(member.offset + member.byteCount)
            #expect(bytes[range].allSatisfy { $0 == byte } && bytes[range.lowerBound - 1] != byte)
        }
    }

    @Test("archives of the tar program, in three formats", arguments: ["ustar", "gnu", "pax"])
    func real(format: String) throws {
        let folder = try TemporaryFolder()
        let long = String(repeating: "d", count: 90) + "/" + String(repeating: "e", count: format == "ustar" ? 90 : 220)
        for name in ["small.raw", "日本.img", long] {
            let path = folder.file("in/\(name)")
            let parent = path.split(separator: "/").dropLast().joined(separator: "/")
            #expect(Tool.run(["/bin/mkdir", "-p", "/" + parent]) == 0)
            try TestFile.write(Array(name.utf8), to: path)
        }
        #expect(Tool.run(["/bin/ln", "-s", "small.raw", folder.file("in/link")]) == 0)
        let file = folder.file("x.ova")
        let options = ["/bin/tar", "--format=\(format)", "-C", folder.file("in")]
        try #require(Tool.run(options + ["-cf", file, "small.raw", "日本.img", long, "link"]) == 0)
        let whole = try TestFile.read(file)
        let found = try Self.members(whole)
        #expect(found.map(\.name) == ["small.raw", "日本.img", long, "link"])
        #expect(found.map(\.kind) == [.file, .file, .file, .link])
        for member in found.dropLast() {
            #expect(Array(whole[Int(member.offset)...].prefix(Int(member.byteCount))) == Array(member.name.utf8))
        }
        // tar would take the second of two.
        try #require(Tool.run(options + ["-rf", file, "small.raw"]) == 0)
        #expect(Self.refusal(try TestFile.read(file))?.code == .unsupported)
    }

    @Test("no beginning of an archive is one")
    func truncations() throws {
        let tar = TarSample.rich()
        for count in 0..<tar.bytes.count {
            let error = Self.refusal(Array(tar.bytes[..<count]))
            #expect([.damagedHeader, .wrongFormat].contains(error?.code), "\(count) bytes")
        }
        // The mark of the end may be short; half of it may be gone.
        let whole = try Self.members(tar.closed)
        #expect(try Self.members(Array(tar.closed.dropLast(512))) == whole)
        #expect(try Self.members(tar.closed + [UInt8](repeating: 0, count: 9000)) == whole)
        #expect(Self.refusal(Array(tar.closed.dropLast(513)))?.code == .damagedHeader)
    }

    @Test("no flipped bit of a header changes what is read")
    func flips() throws {
        var tar = TarSample()
        tar.add("disk.raw", [1, 2, 3])
        let whole = try Self.members(tar.closed)
        for bit in 0..<(512 * 8) {
            var bytes = tar.closed
            bytes[bit / 8] ^= 1 << UInt8(bit % 8)
            if let found = try? Self.members(bytes) { #expect(found == whole, "bit \(bit)") }
        }
    }

    private typealias Case = (name: String, bytes: [UInt8], code: SourceError.Code, words: String)

    private static func archive(_ build: (inout TarSample) -> Void) -> [UInt8] {
        var tar = TarSample()
        build(&tar)
        return tar.closed
    }

    private static func pax(_ records: [UInt8], type: Character = "x") -> [UInt8] {
        archive {
            $0.add("pax", records, type: type)
            $0.add("d.raw", [1])
        }
    }

    private func check(_ cases: [Case]) {
        for (name, bytes, code, words) in cases {
            let error = Self.refusal(bytes)
            #expect(error?.code == code && error?.sentence.contains(words) == true, "\(name): \(error?.sentence ?? "")")
        }
    }

    @Test("sizes that are negative, no numbers, too large or reach over the end are refused")
    func sizes() {
        func size(_ field: [UInt8]) -> [UInt8] { Self.archive { $0.add(TarSample.header("d.raw", size: field), [1]) } }
        let negative = [UInt8](repeating: 0xff, count: 12)
        let huge: [UInt8] = [0x80, 0, 0, 0, 0x7f] + [UInt8](repeating: 0xff, count: 7)
        let beyond: [UInt8] = [0x80, 0, 0, 0, 0x80] + [UInt8](repeating: 0, count: 7)
        check([
            ("negative", size(negative), .damagedHeader, "negative"),
            ("2^63 - 1", size(huge), .damagedHeader, "cut short"), ("2^63", size(beyond), .damagedHeader, "negative"),
            ("no octal", size(Array("0000000009\0\0".utf8)), .damagedHeader, "no number"),
            ("minus", size(Array("-0000000001\0".utf8)), .damagedHeader, "no number"),
            ("over the end", size(Array("00000003001\0".utf8)), .damagedHeader, "cut short"),
            ("pax", Self.pax(TarSample.record("size", "9223372036854775808")), .damagedHeader, "a size of"),
            ("pax minus", Self.pax(TarSample.record("size", "-1")), .damagedHeader, "a size of"),
            ("pax over the end", Self.pax(TarSample.record("size", "5000")), .damagedHeader, "cut short"),
        ])
    }

    @Test("names that are too long, twice or none, and pax headers that are none, are refused")
    func names() {
        let long = String(repeating: "n", count: TarArchive.longestName + 1)
        let longer = String(repeating: "n", count: 70_000)
        let twice = Self.archive {
            $0.add("d.raw", [1])
            $0.add("./d.raw", [2])
        }
        let alone = Self.archive { $0.add("pax", TarSample.record("path", "x"), type: "x") }
        check([
            ("pax length", Self.pax(Array("99 path=x\n".utf8)), .damagedHeader, "not as long"),
            ("pax zero", Self.pax(Array("0 path=x\n".utf8)), .damagedHeader, "not as long"),
            ("pax no value", Self.pax(Array("8 path_\n".utf8)), .damagedHeader, "no value"),
            ("zero byte", Self.pax(TarSample.record("path", "a\0b")), .damagedHeader, "zero byte"),
            ("global", Self.pax(TarSample.record("path", "x"), type: "g"), .unsupported, "all its members"),
            ("long", Self.pax(TarSample.record("path", long)), .unsupported, "a name of 1025 bytes"),
            ("longer", Self.pax(TarSample.record("path", longer)), .unsupported, "names"),
            ("no name", Self.archive { $0.add("", [1]) }, .damagedHeader, "without a name"),
            ("twice", twice, .unsupported, "two of its members"), ("alone", alone, .damagedHeader, "at its end"),
        ])
    }

    @Test("members in parts, too many of them, and what stands behind the end are refused")
    func kinds() {
        let behind = Self.archive {
            $0.add("c.raw", [1])
            $0.add([UInt8](repeating: 0, count: 512))
            $0.add("d.raw", [1])
        }
        let many = Self.archive { tar in for number in 0...TarArchive.mostHeaders { tar.add("\(number)", []) } }
        let wordy = Self.archive { tar in
            for number in 0..<40 {
                tar.add("x", TarSample.record("comment", String(repeating: "c", count: 50_000)), type: "x")
                tar.add("\(number)", [])
            }
        }
        check([
            ("sparse", Self.archive { $0.add("d.raw", [1], type: "S") }, .unsupported, "sparse"),
            ("in parts", Self.archive { $0.add("d.raw", [1], type: "M") }, .unsupported, "in parts"),
            ("behind", behind, .damagedHeader, "behind it"), ("many", many, .unsupported, "more than 4096"),
            ("wordy", wordy, .unsupported, "pax headers"),
            ("no archive", [UInt8](repeating: 7, count: 5000), .wrongFormat, "does not begin"),
        ])
    }

    @Test("nothing is no archive, and sparse members of the pax kind are marked")
    func corners() throws {
        #expect(Self.refusal([UInt8](repeating: 0, count: 1024))?.code == .wrongFormat)
        var tar = TarSample()
        tar.add("pax", TarSample.record("GNU.sparse.major", "1"), type: "x")
        tar.add("d.raw", [1])
        tar.add("e.raw", [1])
        #expect(try Self.members(tar.closed).map(\.kind) == [.sparseFile, .file])
    }
}
