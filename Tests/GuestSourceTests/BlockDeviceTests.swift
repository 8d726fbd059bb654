import BackupModel
import Glibc
import GuestSource
import Testing

@Suite(
    "block devices",
    .enabled(if: LoopDevice.refusal == nil, Comment(rawValue: LoopDevice.refusal ?? "loop devices work")))
struct BlockDeviceTests {
    @Test(
        "every byte of a device is read, whatever its size and its sectors are",
        arguments: [512, 4096], [512, 4096, 4096 + 512, 1 << 20, 5 << 20 + 3 * 512, 5 << 20 + 777])
    func sizes(sector: Int, size: Int) async throws {
        let folder = try TemporaryFolder()
        var random = Seeded()
        var bytes = random.bytes(size)
        // The kernel counts devices in 512 bytes, and leaves out the rest of a file.
        let device = try #require(try LoopDevice(folder, "device", bytes, sector: sector))
        bytes.removeLast(size % 512)
        guard bytes.count % sector == 0 else {
            // No disk is like that: the kernel itself reads nothing of a sector that is not whole. We say so.
            #expect(try await Reading.code { _ = try await ImageOpener.open(path: device.path) } == .readFailed)
            return
        }
        for cacheUse in [CacheUse.keep, .leaveAsFound] {
            let source = try await ImageOpener.open(path: device.path, options: OpenOptions(cacheUse: cacheUse))
            #expect(source.byteCount == UInt64(bytes.count))
            #expect(source.summary.isBlockDevice && source.summary.allocatedBytes == nil)
            #expect(source.summary.format == .raw && !source.summary.hasAllocationMap)
            #expect(try await Reading.whole(source) == bytes)
            let start = bytes.count / 3
            let odd = try await Reading.part(source, at: UInt64(start), count: bytes.count / 2 + 1)
            #expect(odd == Array(bytes[start...].prefix(bytes.count / 2 + 1)))
            #expect(
                try await Reading.code { _ = try await Reading.part(source, at: source.byteCount, count: 1) }
                    == .outOfRange)
            try await source.confirmUnchanged()
            await source.close()
        }
    }

    @Test("a device that grows or shrinks while it is read is refused")
    func resized() async throws {
        let folder = try TemporaryFolder()
        for (size, code) in [(1 << 19, SourceError.Code.shrank), (1 << 21, .changed)] {
            let bytes = [UInt8](repeating: 3, count: 1 << 20)
            let device = try #require(try LoopDevice(folder, "device", bytes))
            let source = try await ImageOpener.open(path: device.path)
            _ = try await Reading.part(source, at: 0, count: 4096)
            #expect(device.resize(to: size))
            #expect(try await Reading.code { try await source.confirmUnchanged() } == code)
            if size < bytes.count {
                let last = UInt64(bytes.count - 4096)
                #expect(try await Reading.code { _ = try await Reading.part(source, at: last, count: 4096) } == .shrank)
            }
        }
    }

    @Test("what a guest wrote on a device is no container until the operator says so")
    func forged() async throws {
        let folder = try TemporaryFolder()
        let content = BackingPolicyTests.forged(backing: "/etc/passwd")
        let device = try #require(try LoopDevice(folder, "device", content))
        #expect(try await Reading.code { _ = try await ImageOpener.open(path: device.path) } == .ambiguousFormat)
        let stated = try await ImageOpener.open(path: device.path, format: .raw)
        #expect(try await Reading.whole(stated) == content)
        #expect(
            try await Reading.code { _ = try await ImageOpener.open(path: device.path, format: .raw) } == .inUse,
            "it is held while it is read")
        let forced = try await ImageOpener.open(
            path: device.path, format: .raw, options: OpenOptions(ignoresUse: true))
        #expect(try await Reading.whole(forced) == content)
        await stated.close()
        #expect(
            try await Reading.code { _ = try await ImageOpener.open(path: device.path, format: .qcow2) }
                == .referenceRefused)
    }

    @Test(
        "a qcow2 on a device is read as such when it is stated, and alone; its backing file must be allowed",
        .enabled(if: Tool.hasQEMU, "qemu-img and qemu-nbd are not in /usr/bin; install qemu-utils to run this"),
        arguments: [512, 4096])
    func container(sector: Int) async throws {
        let folder = try TemporaryFolder()
        var random = Seeded()
        let raw = try folder.write(random.bytes(1 << 20), to: "raw")
        let image = folder.file("image.qcow2")
        try Tool.image("convert", "-f", "raw", "-O", "qcow2", raw, image)
        // A logical volume is larger than the image on it.
        let file = try TestFile.read(image) + [UInt8](repeating: 0, count: 3 << 20)
        let device = try #require(try LoopDevice(folder, "device", file, sector: sector))
        let source = try await ImageOpener.open(path: device.path, format: .qcow2)
        #expect(try await Reading.whole(source) == (try TestFile.read(raw)))
        await source.close()
        let top = folder.file("top.qcow2")
        try Tool.image("create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", device.path, top)
        #expect(try await Reading.code { _ = try await ImageOpener.open(path: top) } == .referenceRefused)
        let chain = try await ImageOpener.open(path: top, allowBacking: .anywhere)
        #expect(chain.summary.chain.map(\.path) == [top, device.path] && chain.summary.allocatedBytes == nil)
        #expect(try await Reading.whole(chain) == (try TestFile.read(raw)))
        await chain.close()
    }
}
