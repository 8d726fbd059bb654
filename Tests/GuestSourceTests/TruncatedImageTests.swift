import Glibc
import GuestSource
import Testing

/// QEMU reads what lies behind the end of a file as zeros, for most formats without a word.
@Suite(
    "images that were cut short",
    .enabled(if: Tool.hasQEMU, "qemu-img and qemu-nbd are not in /usr/bin; install qemu-utils to run these"))
struct TruncatedImageTests {
    /// An image with data in its first and last bytes, holes between, and a size that is no multiple of a sector.
    private static func image(_ folder: TemporaryFolder) throws -> (path: String, bytes: [UInt8]) {
        var random = Seeded()
        let size = 5 << 20 + 777
        var bytes = [UInt8](repeating: 0, count: size)
        let path = try folder.write([], to: "source.raw")
        try #require(TestFile.resize(path, to: size))
        for place in [0, 1_400_000, 3_000_001, size - 90_000] {
            let piece = random.bytes(90_000)
            try TestFile.overwrite(piece, at: place, in: path)
            bytes.replaceSubrange(place..<(place + piece.count), with: piece)
        }
        return (path, bytes + [UInt8](repeating: 0, count: 1024 - 777))
    }

    /// What came of an image: refused when it was opened, refused when it was read, or every byte.
    private enum Outcome: Equatable {
        case refused(SourceError.Code)
        case failed
        case whole
        case wrong
    }

    private static func outcome(_ path: String, _ bytes: [UInt8]) async throws -> Outcome {
        let source: any ImageSource
        do {
            source = try await ImageOpener.open(path: path)
        } catch {
            return .refused(error.code)
        }
        do {
            let read = try await Reading.whole(source)
            await source.close()
            let same = read.count >= bytes.count && Array(read.prefix(bytes.count)) == bytes
            return same && read.dropFirst(bytes.count).allSatisfy { $0 == 0 } ? .whole : .wrong
        } catch let error as SourceError {
            await source.close()
            #expect(error.code == .serverFailed)
            return .failed
        }
    }

    @Test(
        "cut anywhere, an image is refused or still gives every byte; without its second half it is refused",
        arguments: [
            ("qcow2", "compat=1.1", "qcow2", ""), ("qcow2", "compat=0.10", "qcow2", ""),
            ("qcow2", "cluster_size=512", "qcow2", ""), ("qcow2", "extended_l2=on,cluster_size=128k", "qcow2", ""),
            ("qcow2", "preallocation=metadata", "qcow2", ""),
            ("vmdk", "subformat=monolithicSparse", "vmdk", ""), ("vmdk", "subformat=streamOptimized", "vmdk", ""),
            ("vmdk", "subformat=monolithicFlat", "vmdk", "-flat"),
            ("vmdk", "subformat=twoGbMaxExtentSparse", "vmdk", "-s001"),
            ("vmdk", "subformat=twoGbMaxExtentFlat", "vmdk", "-f001"),
            ("vpc", "subformat=dynamic", "vhd", ""), ("vpc", "subformat=fixed", "vhd", ""),
            ("vpc", "subformat=dynamic,force_size=on", "vhd", ""), ("vpc", "subformat=fixed,force_size=on", "vhd", ""),
            ("vhdx", "subformat=dynamic", "vhdx", ""), ("vhdx", "subformat=fixed", "vhdx", ""),
            ("vdi", "static=off", "vdi", ""), ("vdi", "static=on", "vdi", ""),
        ])
    func cutAnywhere(driver: String, options: String, ending: String, extent: String) async throws {
        let folder = try TemporaryFolder()
        let (raw, bytes) = try TruncatedImageTests.image(folder)
        let path = folder.file("cut.\(ending)")
        try Tool.image("convert", "-f", "raw", "-O", driver, "-o", options, raw, path)
        #expect(try await TruncatedImageTests.outcome(path, bytes) == .whole, "nothing was cut off")
        let file = folder.file("cut\(extent).\(ending)")
        let whole = try TestFile.read(file)
        var random = Seeded()
        var sizes = [1, 511, 512, 513, 4096, 65536, 70_000].map { whole.count - $0 }
        for _ in 0..<8 { sizes.append(Int.random(in: 0..<whole.count, using: &random)) }
        for size in sizes {
            try TestFile.write(Array(whole.prefix(size)), to: file)
            let outcome = try await TruncatedImageTests.outcome(path, bytes)
            #expect(outcome != .wrong, "\(size) of \(whole.count) bytes, seed \(Seeded.seed)")
        }
        try TestFile.write(Array(whole.prefix(whole.count / 2)), to: file)
        guard case .refused(let code) = try await TruncatedImageTests.outcome(path, bytes) else {
            Issue.record("half of it was opened")
            return
        }
        // A fixed VHD is known by its last sector alone; then it looks like no VHD at all.
        let isNamed = code == .damagedHeader || code == .serverFailed || (ending == "vhd" && code == .wrongFormat)
        #expect(isNamed, "\(code)")
    }

    @Test("the refusal names the file and its size, and says what to do")
    func sentence() async throws {
        let folder = try TemporaryFolder()
        let (raw, _) = try TruncatedImageTests.image(folder)
        let path = folder.file("cut.qcow2")
        try Tool.image("convert", "-f", "raw", "-O", "qcow2", raw, path)
        let size = try TestFile.read(path).count
        #expect(TestFile.resize(path, to: size - 65536))
        do {
            _ = try await ImageOpener.open(path: path)
            Issue.record("it was opened")
        } catch {
            #expect(error.code == .damagedHeader && error.exitStatus == 6 && error.remedy == .repair)
            for word in [path, "\(size - 65536)", "cut short", "copy it again"] {
                #expect(error.sentence.contains(word), "\(error.sentence)")
            }
        }
    }

    @Test("a compressed qcow2 or a chain cut short is refused, or still gives every byte or an error")
    func compressedAndChains() async throws {
        let folder = try TemporaryFolder()
        let (raw, bytes) = try TruncatedImageTests.image(folder)
        let path = folder.file("base.qcow2")
        let top = folder.file("top.qcow2")
        for kind in ["zlib", "zstd"] {
            try Tool.image("convert", "-c", "-f", "raw", "-O", "qcow2", "-o", "compression_type=\(kind)", raw, path)
            try Tool.image("create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", "base.qcow2", top)
            let whole = try TestFile.read(path)
            for cut in [512, 4096, 65536, 70_000, whole.count / 2] {
                try TestFile.write(Array(whole.prefix(whole.count - cut)), to: path)
                for image in [path, top] {
                    let outcome = try await TruncatedImageTests.outcome(image, bytes)
                    #expect(outcome != .wrong, "\(kind), \(cut) bytes cut off")
                    if cut > 65536 { #expect(outcome == .refused(.damagedHeader), "\(kind), \(cut) bytes cut off") }
                }
            }
        }
    }

    @Test("files that end where their last written byte does are whole")
    func wholeThoughOdd() async throws {
        let folder = try TemporaryFolder()
        // A file each: a process that another test is just starting may hold the lock of the last one for a moment.
        var count = 0
        func fresh() -> String {
            count += 1
            return folder.file("new\(count).qcow2")
        }
        let write = ["/usr/bin/qemu-io", "-f", "qcow2", "-c"]
        for (options, command) in [
            ("extended_l2=on,cluster_size=128k", "write -P 3 1M 4k"), ("compat=1.1", "write -c -P 3 1M 64k"),
            ("compat=1.1", "write -P 3 1M 4k"), ("cluster_size=2M", "write -P 3 1M 4k"),
        ] {
            let path = fresh()
            try Tool.image("create", "-q", "-f", "qcow2", "-o", options, path, "3000k")
            #expect(Tool.run(write + [command, path]) == 0)
            let filled = command.contains("64k") ? 65536 : 4096
            var bytes = [UInt8](repeating: 0, count: 3000 * 1024)
            bytes.replaceSubrange(1 << 20..<1 << 20 + filled, with: [UInt8](repeating: 3, count: filled))
            #expect(try await TruncatedImageTests.outcome(path, bytes) == .whole, "\(options), \(command)")
        }
        for options in ["preallocation=metadata", "preallocation=falloc", "preallocation=metadata,extended_l2=on"] {
            let path = fresh()
            try Tool.image("create", "-q", "-f", "qcow2", "-o", options, path, "3001k")
            #expect(Tool.run(write + ["write -z 0 1M", "-c", "discard 1M 1M", path]) == 0)
            let bytes = [UInt8](repeating: 0, count: 3001 * 1024)
            #expect(try await TruncatedImageTests.outcome(path, bytes) == .whole, "\(options)")
        }
    }

    @Test("one table named again and again is refused, not followed")
    func repeatedTables() throws {
        func big(_ value: UInt64, _ count: Int) -> [UInt8] {
            (0..<count).reversed().map { UInt8(truncatingIfNeeded: value >> UInt64($0 * 8)) }
        }
        // Version 2, clusters of 64 KiB, 1,000 entries that all name the table at 64 KiB.
        var bytes: [UInt8] = [0x51, 0x46, 0x49, 0xfb] + big(2, 4) + big(0, 12) + big(16, 4) + big(1 << 40, 8)
        bytes += big(0, 4) + big(1000, 4) + big(512, 8) + big(0, 24)
        bytes += [UInt8](repeating: 0, count: 512 - bytes.count)
        for _ in 0..<1000 { bytes += big(65536, 8) }
        bytes += [UInt8](repeating: 0, count: 131_072 - bytes.count)
        #expect(throws: SourceError.self) { try TruncationCheck.check(HeaderBytes(bytes, path: "x"), as: .qcow2) }
    }
}
