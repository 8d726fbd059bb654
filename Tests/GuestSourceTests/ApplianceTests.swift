import Glibc
import GuestSource
import Testing

@Suite("appliances")
struct ApplianceTests {
    private static let needsQEMU: Comment = "qemu-img and qemu-nbd are not in /usr/bin; install qemu-utils to run this"

    private static func write(_ folder: TemporaryFolder, _ name: String = "web.ova", _ build: (inout TarSample) -> Void)
        throws -> String
    {
        var tar = TarSample()
        build(&tar)
        return try folder.write(tar.closed, to: name)
    }

    private static func refusal(_ path: String) -> SourceError? {
        do throws(SourceError) {
            _ = try Appliance(opening: path)
            return nil
        } catch { return error }
    }

    @Test("its disks are found by their names, and what is not stored is told")
    func listed() throws {
        let folder = try TemporaryFolder()
        let path = try Self.write(folder) { tar in
            tar.add("web.ovf", Array("<xml/>".utf8))
            tar.add("web.mf", [])
            tar.add("folder/", [], type: "5")
            tar.add("folder/b.VMDK", [1])
            tar.add("a.raw", [2])
            tar.add("\u{1b}]0;x.iso", [3])
            tar.add("link.txt", [], type: "2")
        }
        let appliance = try Appliance(opening: path)
        #expect(appliance.disks == ["folder/b.VMDK", "a.raw"])
        #expect(appliance.notes.count == 1)
        #expect(appliance.notes[0].contains("not web.ovf, web.mf, ?]0;x.iso, link.txt;"), "\(appliance.notes)")
        let bare = try Appliance(opening: try Self.write(folder) { $0.add("a.raw", [2]) })
        #expect(bare.disks == ["a.raw"] && bare.notes.isEmpty)
    }

    @Test("what is or may be a disk and is not read where it lies is refused, so that none is left out unnoticed")
    func leftOut() throws {
        let folder = try TemporaryFolder()
        let qcow2 = BackingPolicyTests.forged(backing: "")
        let cases: [(String, (inout TarSample) -> Void, SourceError.Code, String)] = [
            ("compressed", { $0.add("b.vmdk.gz", [1]) }, .unsupported, "b.vmdk.gz is a disk that is compressed"),
            ("in parts", { $0.add("b.vmdk.000000001", [1]) }, .unsupported, "in parts"),
            ("a link", { $0.add("b.vmdk", [], type: "2") }, .unsupported, "b.vmdk is a link"),
            ("a hard link", { $0.add("b.vmdk", [], type: "1") }, .unsupported, "b.vmdk is a link"),
            ("a device", { $0.add("b.vmdk", [], type: "4") }, .unsupported, "b.vmdk is no file"),
            ("unnamed", { $0.add("b", qcow2) }, .unsupported, "b looks like a qcow2 image"),
            (
                "sparse",
                {
                    $0.add("pax", TarSample.record("GNU.sparse.major", "1"), type: "x")
                    $0.add("b.raw", [1])
                }, .unsupported, "b.raw is stored sparse"
            ),
            (
                "many", { tar in for number in 0..<Appliance.mostDisks { tar.add("\(number).raw", []) } }, .unsupported,
                "it has 65 disks"
            ),
        ]
        for (name, build, code, words) in cases {
            let path = try Self.write(folder) { tar in
                tar.add("a.raw", [1])
                build(&tar)
            }
            let error = Self.refusal(path)
            #expect(error?.code == code && error?.sentence.contains(words) == true, "\(name): \(error?.sentence ?? "")")
        }
        let none = Self.refusal(try Self.write(folder) { $0.add("web.ovf", [1]) })
        #expect(none?.code == .notAnImage && none?.sentence.contains("without a disk (web.ovf)") == true)
        #expect(Self.refusal(try folder.write([UInt8](repeating: 9, count: 3000), to: "x.ova"))?.code == .wrongFormat)
    }

    @Test("a path that goes on behind an appliance names a member, and only there")
    func split() throws {
        let folder = try TemporaryFolder()
        let path = try Self.write(folder) { $0.add("a/b.raw", [2]) }
        let found = try #require(Appliance.split("\(path)/a/b.raw"))
        #expect(found.archive == path && found.member == "a/b.raw")
        let other = try folder.write([1], to: "x.raw")
        // Safety: the path is a terminated copy for the call.
        #expect(unsafe mkdir(folder.file("folder.ova"), 0o700) == 0)
        for text in [
            path, "\(path)/", "\(other)/b.raw", folder.file("gone.ova/b.raw"), folder.file("folder.ova/b.raw"),
        ] {
            #expect(Appliance.split(text) == nil, "\(text)")
        }
        #expect(!Appliance.isNamed(folder.file("folder.ova")) && !Appliance.isNamed(other) && Appliance.isNamed(path))
    }

    @Test("a raw member is read where it lies, with its holes, and not a byte of its neighbours")
    func raw() async throws {
        let folder = try TemporaryFolder()
        var random = Seeded()
        let bytes = random.bytes(300_000) + [UInt8](repeating: 0, count: 2_000_000) + random.bytes(77_777)
        let path = try Self.write(folder) { tar in
            tar.add("before.txt", [UInt8](repeating: 0xee, count: 100))
            tar.add("disk.img", bytes)
            tar.add("after.txt", [UInt8](repeating: 0xee, count: 100_000))
        }
        // The same with holes in the file.
        #expect(Tool.run(["/bin/cp", "--sparse=always", path, folder.file("sparse.ova")]) == 0)
        for archive in [path, folder.file("sparse.ova")] {
            for cacheUse in [CacheUse.keep, .leaveAsFound] {
                let source = try await ImageOpener.open(
                    path: "\(archive)/disk.img", options: OpenOptions(cacheUse: cacheUse))
                #expect(source.byteCount == UInt64(bytes.count) && source.summary.format == .raw)
                #expect(source.summary.resolvedPath == "\(archive)/disk.img" && source.summary.fileName == "disk.img")
                #expect(try await Reading.whole(source) == bytes)
                #expect(try await Reading.part(source, at: 299_999, count: 2) == Array(bytes[299_999...300_000]))
                let end = source.byteCount
                #expect(try await Reading.code { _ = try await Reading.part(source, at: end, count: 1) } == .outOfRange)
                try await source.confirmUnchanged()
                await source.close()
            }
        }
        for (name, code) in [("gone.img", SourceError.Code.notFound), ("disk", .notFound)] {
            #expect(try await Reading.code { _ = try await ImageOpener.open(path: "\(path)/\(name)") } == code)
        }
    }

    @Test("a change of the archive anywhere is noticed, and a loop device or a guest on it keeps it from being read")
    func changed() async throws {
        let folder = try TemporaryFolder()
        let path = try Self.write(folder) { tar in
            tar.add("disk.img", [UInt8](repeating: 1, count: 4096))
            tar.add("other.img", [UInt8](repeating: 2, count: 4096))
        }
        let source = try await ImageOpener.open(path: "\(path)/disk.img")
        try TestFile.overwrite([9], at: 7000, in: path)
        #expect(try await Reading.code { try await source.confirmUnchanged() } == .changed)
        await source.close()
        if LoopDevice.refusal == nil {
            let device = try #require(try LoopDevice(attaching: path))
            #expect(try await Reading.code { _ = try await ImageOpener.open(path: "\(path)/disk.img") } == .inUse)
            withExtendedLifetime(device) {}
        }
    }

    @Test(
        "what a member names is followed nowhere: not out, not in the archive, not when it is allowed for files",
        arguments: ["/etc/passwd", "../../../etc/passwd", "flat.img", "base.raw", "json:{}", "nbd://x/y"])
    func references(target: String) async throws {
        let folder = try TemporaryFolder()
        _ = try folder.write([UInt8](repeating: 5, count: 1 << 20), to: "base.raw")
        let extent = "# Disk DescriptorFile\nversion=1\ncreateType=\"monolithicFlat\"\nRW 8 FLAT \"\(target)\" 0\n"
        let parent = "# Disk DescriptorFile\nversion=1\nparentFileNameHint=\"\(target)\"\nRW 8 FLAT \"flat.img\" 0\n"
        let path = try Self.write(folder) { tar in
            tar.add("flat.img", [UInt8](repeating: 1, count: 4096))
            tar.add("extent.vmdk", Array(extent.utf8))
            tar.add("parent.vmdk", Array(parent.utf8))
            tar.add("backing.qcow2", BackingPolicyTests.forged(backing: target))
        }
        for name in ["extent.vmdk", "parent.vmdk", "backing.qcow2"] {
            for policy in [BackingPolicy.ownFolder, .anywhere] {
                let error = await #expect(throws: SourceError.self) {
                    _ = try await ImageOpener.open(path: "\(path)/\(name)", allowBacking: policy)
                }
                #expect(error?.code == .referenceRefused && error?.exitStatus == 7, "\(name): \(error?.sentence ?? "")")
                #expect(error?.sentence.contains("a member of an archive is read alone") == true)
            }
        }
    }

    @Test("a raw member that looks like a container is refused until its format is stated")
    func forged() async throws {
        let folder = try TemporaryFolder()
        let content = BackingPolicyTests.forged(backing: "/etc/passwd")
        let path = try Self.write(folder) { $0.add("disk.raw", content) } + "/disk.raw"
        #expect(try await Reading.code { _ = try await ImageOpener.open(path: path) } == .ambiguousFormat)
        let source = try await ImageOpener.open(path: path, format: .raw)
        #expect(try await Reading.whole(source) == content)
    }

    @Test("a member that is cut short inside its archive is refused", arguments: SmallImage.all.indices)
    func cutShort(number: Int) async throws {
        let image = SmallImage.all[number]
        let folder = try TemporaryFolder()
        let cut = Array(image.bytes.dropLast(600))
        let path = try Self.write(folder) { tar in
            tar.add("disk.\(image.format.name)", cut)
            // What follows in the archive is no part of it.
            tar.add("rest.txt", image.bytes)
        }
        let code = try await Reading.code {
            _ = try await ImageOpener.open(path: "\(path)/disk.\(image.format.name)")
        }
        #expect(code == .damagedHeader || code == .wrongFormat, "\(image.name)")
    }

    @Test(
        "containers of every format are read inside the archive as outside of it",
        .enabled(if: Tool.hasQEMU, needsQEMU),
        arguments: [
            ("vmdk", ["-O", "vmdk", "-o", "subformat=streamOptimized"]), ("vmdk", ["-O", "vmdk"]),
            ("qcow2", ["-O", "qcow2"]), ("qcow2", ["-c", "-O", "qcow2"]),
            ("vhd", ["-O", "vpc", "-o", "force_size=on"]),
            ("vhd", ["-O", "vpc", "-o", "subformat=fixed,force_size=on"]), ("vhdx", ["-O", "vhdx"]),
            ("vdi", ["-O", "vdi"]),
        ])
    func containers(ending: String, options: [String]) async throws {
        let folder = try TemporaryFolder()
        var random = Seeded()
        let bytes = random.bytes(700_001) + [UInt8](repeating: 0, count: (5 << 20) - 700_001)
        let raw = try folder.write(bytes, to: "disk.raw")
        let name = "disk.\(ending)"
        let image = folder.file(name)
        try #require(Tool.run(["/usr/bin/qemu-img", "convert", "-f", "raw"] + options + [raw, image]) == 0)
        let archive = folder.file("web.ova")
        _ = try folder.write([UInt8](repeating: 0xee, count: 700), to: "web.ovf")
        try #require(Tool.run(["/bin/tar", "-C", folder.path, "-cf", archive, "web.ovf", name, "disk.raw"]) == 0)
        let source = try await ImageOpener.open(path: "\(archive)/\(name)")
        #expect(source.summary.chain.map(\.path) == ["\(archive)/\(name)"])
        #expect(source.byteCount == UInt64(bytes.count) && source.summary.notes.isEmpty)
        #expect(try await Reading.whole(source) == bytes)
        try await source.confirmUnchanged()
        await source.close()
        #expect(Tool.servers(naming: archive).isEmpty)
    }
}
