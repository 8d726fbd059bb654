import BackupModel
import Glibc
import GuestSource
import Testing

/// Every test here needs qemu-img and qemu-nbd of Debian's qemu-utils; without them each is counted as skipped.
@Suite(
    "images in container formats",
    .enabled(if: Tool.hasQEMU, "qemu-img and qemu-nbd are not in /usr/bin; install qemu-utils to run these"))
struct ServedImageSourceTests {
    /// An odd image: random data, zero runs, holes, a length that is no multiple of a sector.
    private static func oddImage(_ folder: TemporaryFolder, _ name: String = "odd.raw") throws -> (String, [UInt8]) {
        var random = Seeded()
        let size = 5 << 20 + 777
        var bytes = [UInt8](repeating: 0, count: size)
        let path = try folder.write([], to: name)
        #expect(TestFile.resize(path, to: size))
        for _ in 0..<12 {
            let piece = random.bytes(Int.random(in: 1...120_000, using: &random))
            let place = Int.random(in: 0...(size - piece.count), using: &random)
            try TestFile.overwrite(piece, at: place, in: path)
            bytes.replaceSubrange(place..<(place + piece.count), with: piece)
        }
        return (path, bytes)
    }

    private static func padded(_ bytes: [UInt8], to size: UInt64) -> [UInt8] {
        bytes + [UInt8](repeating: 0, count: max(0, Int(size) - bytes.count))
    }

    @Test(
        "every format gives the bytes of the raw image it was made of (S41, S61)",
        arguments: [
            ("qcow2", "compat=1.1", "qcow2"), ("qcow2", "compat=0.10", "qcow2"),
            ("qcow2", "extended_l2=on,cluster_size=128k", "qcow2"),
            ("vmdk", "subformat=monolithicSparse", "vmdk"), ("vmdk", "subformat=streamOptimized", "vmdk"),
            ("vmdk", "subformat=monolithicFlat", "vmdk"), ("vmdk", "subformat=twoGbMaxExtentSparse", "vmdk"),
            ("vpc", "subformat=dynamic", "vhd"), ("vpc", "subformat=dynamic,force_size=on", "vhd"),
            ("vpc", "subformat=fixed,force_size=on", "vhd"), ("vpc", "subformat=fixed", "vhd"),
            ("vhdx", "subformat=dynamic", "vhdx"), ("vhdx", "subformat=fixed", "vhdx"), ("vdi", "static=off", "vdi"),
        ])
    func formats(driver: String, options: String, name: String) async throws {
        let folder = try TemporaryFolder()
        let (raw, bytes) = try ServedImageSourceTests.oddImage(folder)
        let path = folder.file("odd.\(name)")
        try Tool.image("convert", "-f", "raw", "-O", driver, "-o", options, raw, path)
        let source = try await ImageOpener.open(path: path, options: OpenOptions(connections: 3))
        #expect(source.summary.format.name == name && source.summary.formatOrigin == .detected)
        let rounded = UInt64(bytes.count + 511) / 512 * 512
        // Only a VHD without force_size is rounded further, to whole cylinders.
        let mayGrow = driver == "vpc" && !options.contains("force_size")
        #expect(mayGrow ? source.byteCount >= rounded : source.byteCount == rounded)
        let all = ServedImageSourceTests.padded(bytes, to: source.byteCount)
        #expect(try await Reading.whole(source) == all, "seed \(Seeded.seed)")
        // Odd windows, and reads that ignore the map.
        #expect(try await Reading.part(source, at: 1_000_003, count: 77_777) == Array(all[1_000_003..<1_077_780]))
        let window = Extent(start: 12345, length: 3_000_001)
        try Reading.checkCover(try await source.extents(in: window), window)
        #expect(source.summary.hasAllocationMap == (name != "vhdx"))
        try await source.confirmUnchanged()
        await source.close()
        #expect(try await Reading.code { _ = try await Reading.part(source, at: 0, count: 1) } == .closed)
        #expect(Tool.servers(naming: path).isEmpty)
    }

    @Test("compressed clusters come back as well")
    func compressed() async throws {
        let folder = try TemporaryFolder()
        let (raw, bytes) = try ServedImageSourceTests.oddImage(folder)
        let path = folder.file("small.qcow2")
        try Tool.image("convert", "-c", "-f", "raw", "-O", "qcow2", "-o", "compression_type=zstd", raw, path)
        let source = try await ImageOpener.open(path: path)
        #expect(try await Reading.whole(source) == ServedImageSourceTests.padded(bytes, to: source.byteCount))
    }

    @Test("a VHD that QEMU rounds up says so in its notes")
    func rounding() async throws {
        let folder = try TemporaryFolder()
        let path = folder.file("rounded.vhd")
        try Tool.image("create", "-q", "-f", "vpc", path, "2M")
        var bytes = try TestFile.read(path)
        // The footer's own size, which Virtual PC ignores in favour of the geometry, and QEMU with it.
        bytes.replaceSubrange(48..<56, with: [0, 0, 0, 0, 0, 0x20, 0, 0])
        // Its checksum: the complement of the sum of all other bytes.
        let sum = bytes[..<64].reduce(0) { $0 + UInt32($1) } + bytes[68..<512].reduce(0) { $0 + UInt32($1) }
        bytes.replaceSubrange(64..<68, with: (0..<4).map { UInt8(truncatingIfNeeded: ~sum >> UInt32(24 - 8 * $0)) })
        try TestFile.write(bytes, to: path)
        let source = try await ImageOpener.open(path: path)
        #expect(source.byteCount > 2 << 20)
        #expect(source.summary.notes.contains { $0.contains("2097152") && $0.contains("\(source.byteCount)") })
    }

    @Test("a chain of three qcow2 reads as its flattened conversion, byte for byte (S67)")
    func chain() async throws {
        let folder = try TemporaryFolder()
        let (raw, _) = try ServedImageSourceTests.oddImage(folder)
        let names = ["base.qcow2", "middle 100%.qcow2", "top,x.qcow2"].map { folder.file($0) }
        try Tool.image("convert", "-f", "raw", "-O", "qcow2", raw, names[0])
        for (below, path) in zip(["base.qcow2", "middle 100%.qcow2"], names.dropFirst()) {
            try Tool.image("create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", below, path)
            let place = below.hasPrefix("base") ? "1M" : "1500k"
            #expect(Tool.run(["/usr/bin/qemu-io", "-f", "qcow2", "-c", "write -P 77 \(place) 1M", path]) == 0)
            #expect(Tool.run(["/usr/bin/qemu-io", "-f", "qcow2", "-c", "write -z 0 70k", path]) == 0)
        }
        let flat = folder.file("flat.raw")
        try Tool.image("convert", "-f", "qcow2", "-O", "raw", names[2], flat)
        let source = try await ImageOpener.open(path: names[2])
        #expect(source.summary.chain.map(\.path) == names.reversed())
        #expect(try await Reading.whole(source) == (try TestFile.read(flat)), "seed \(Seeded.seed)")
        try TestFile.overwrite([1], at: 300_000, in: names[0])
        #expect(try await Reading.code { try await source.confirmUnchanged() } == .changed)
    }

    @Test(
        "names with spaces, signs, quotes and UTF-8 are only names",
        arguments: [
            "- a b.qcow2", "%s%n.qcow2", "a,b:c=d.qcow2", "土蔵 \"q\" \\ é.qcow2", "json:{}.qcow2", "nbd:x.qcow2",
            "new\nline.qcow2",
        ])
    func names(name: String) async throws {
        let folder = try TemporaryFolder()
        let (raw, bytes) = try ServedImageSourceTests.oddImage(folder)
        let plain = folder.file("plain.qcow2")
        try Tool.image("convert", "-f", "raw", "-O", "qcow2", raw, plain)
        #expect(unsafe rename(plain, folder.file(name)) == 0)
        let source = try await ImageOpener.open(path: folder.file(name))
        #expect(try await Reading.whole(source) == ServedImageSourceTests.padded(bytes, to: source.byteCount))
    }

    @Test("a raw disk in a chain is never looked into when its format is named, and refused when it is not")
    func rawBase() async throws {
        let folder = try TemporaryFolder()
        // The guest of the base wrote a header that names a host file.
        let (raw, _) = try ServedImageSourceTests.oddImage(folder, "source.raw")
        let inner = folder.file("base.img")
        try Tool.image("create", "-q", "-f", "qcow2", "-u", "-F", "raw", "-b", "/etc/passwd", inner, "1M")
        let forged = try TestFile.read(inner)
        let top = folder.file("top.qcow2")
        try Tool.image("create", "-q", "-f", "qcow2", "-u", "-F", "raw", "-b", "base.img", top, "\(forged.count)")
        let source = try await ImageOpener.open(path: top)
        #expect(try await Reading.whole(source) == ServedImageSourceTests.padded(forged, to: source.byteCount))
        await source.close()
        #expect(!raw.isEmpty)
        var header = try TestFile.read(top)
        // Turns the backing format extension into one nobody knows.
        let mark: [UInt8] = [0xe2, 0x79, 0x2a, 0xca]
        let place = try #require((0..<512).first { Array(header[$0..<($0 + 4)]) == mark })
        header.replaceSubrange(place..<(place + 4), with: [1, 2, 3, 4])
        try TestFile.write(header, to: top)
        #expect(try await Reading.code { _ = try await ImageOpener.open(path: top) } == .ambiguousFormat)
    }

    @Test("an image QEMU cannot open is refused in QEMU's words, and leaves no server")
    func broken() async throws {
        let folder = try TemporaryFolder()
        let path = folder.file("broken.qcow2")
        try Tool.image("create", "-q", "-f", "qcow2", path, "1M")
        var bytes = try TestFile.read(path)
        // Reference counts of 2^9 bits.
        bytes[99] = 9
        try TestFile.write(bytes, to: path)
        do {
            _ = try await ImageOpener.open(path: path)
            Issue.record("a damaged image was opened")
        } catch {
            #expect(error.code == .serverFailed && error.sentence.contains("eference count"), "\(error.sentence)")
        }
        #expect(Tool.servers(naming: path).isEmpty)
    }

    @Test("a qcow2 that was cut short is refused: QEMU would read what is missing as zeros")
    func cutShort() async throws {
        let folder = try TemporaryFolder()
        let (raw, _) = try ServedImageSourceTests.oddImage(folder)
        let path = folder.file("whole.qcow2")
        try Tool.image("convert", "-f", "raw", "-O", "qcow2", raw, path)
        let bytes = try TestFile.read(path)
        let cut = folder.file("cut.qcow2")
        for size in [0, 3, 100, 4096, 65536, 0x30000, 0x40000] {
            try TestFile.write(Array(bytes.prefix(size)), to: cut)
            let code = try await Reading.code { _ = try await ImageOpener.open(path: cut) }
            #expect(
                code == .damagedHeader || (size < 8 && code == .wrongFormat),
                "cut at \(size): \(String(describing: code))")
        }
    }

    @Test("a server that dies fails the read with a sentence; nothing hangs")
    func serverDies() async throws {
        let folder = try TemporaryFolder()
        let (raw, _) = try ServedImageSourceTests.oddImage(folder)
        let path = folder.file("odd.qcow2")
        try Tool.image("convert", "-f", "raw", "-O", "qcow2", raw, path)
        let source = try await ImageOpener.open(path: path)
        let servers = Tool.servers(naming: path)
        #expect(servers.count == 1)
        for server in servers { #expect(kill(server, SIGKILL) == 0) }
        #expect(try await Reading.code { _ = try await Reading.whole(source) } == .serverFailed)
        await source.close()
    }

    @Test("kill -9 of the reader leaves no server behind")
    func killed() async throws {
        let folder = try TemporaryFolder()
        let path = folder.file("left.qcow2")
        try Tool.image("create", "-q", "-f", "qcow2", path, "64M")
        let witness = folder.file("server")
        await #expect(processExitsWith: .signal(SIGKILL)) {
            [path = path as String, witness = witness as String] in
            let source = try await ImageOpener.open(path: path, options: OpenOptions(connections: 2))
            _ = try await Reading.part(source, at: 0, count: 4096)
            let servers = Tool.servers(naming: path)
            try TestFile.write(Array("\(servers.count) \(servers.first ?? 0)".utf8), to: witness)
            kill(getpid(), SIGKILL)
        }
        let words = String(decoding: try TestFile.read(witness), as: UTF8.self).split(separator: " ")
        #expect(words.first == "1")
        let server = try #require(pid_t(words.last ?? ""))
        // The server is nobody's child now, so its end is no event of ours: it is looked for, up to 20 s.
        for _ in 0..<4000 where Tool.servers(naming: path).contains(server) { poll(nil, 0, 5) }
        #expect(Tool.servers(naming: path).isEmpty)
    }

    @Test("kill -9 before the server answers leaves no name of a socket behind")
    func killedWhileStarting() async throws {
        let folder = try TemporaryFolder()
        let path = folder.file("image.qcow2")
        try Tool.image("create", "-q", "-f", "qcow2", path, "1M")
        // A server that never answers: it waits until its socket has no name, up to 20 s, says what the name was, and
        // kills whoever started it.
        let server = """
            #!/bin/sh
            PATH=/usr/bin:/bin
            inode=$(readlink /proc/$$/fd/3 | tr -dc 0-9)
            socket=$(awk -v inode="$inode" '$7 == inode { print $8; exit }' /proc/net/unix)
            tries=0
            while [ -e "$socket" ] && [ "$tries" -lt 2000 ]; do sleep 0.01; tries=$((tries + 1)); done
            echo "$socket" >'\(folder.file("witness"))'
            kill -9 "$PPID"
            """
        #expect(unsafe chmod(try folder.write(Array(server.utf8), to: "qemu-nbd"), 0o700) == 0)
        await #expect(processExitsWith: .signal(SIGKILL)) { [path = path as String, tools = folder.path as String] in
            #expect(unsafe setenv("PATH", tools, 1) == 0)
            _ = try await ImageOpener.open(path: path, options: OpenOptions(connections: 3))
        }
        let socket = String(decoding: try TestFile.read(folder.file("witness")).dropLast(), as: UTF8.self)
        let slash = try #require(socket.lastIndex(of: "/"))
        #expect(unsafe access(socket, F_OK) != 0, "\(socket)")
        #expect(unsafe access(String(socket[..<slash]), F_OK) != 0, "\(socket)")
    }
}
