import Glibc
import GuestSource
import Testing

@Suite("files an image names")
struct BackingPolicyTests {
    /// A qcow2 header of version 3 that names `backing`, of the format `format`; nobody made it with a tool.
    static func forged(backing: String, format: String = "raw", incompatible: UInt64 = 0) -> [UInt8] {
        func big(_ value: UInt64, _ count: Int) -> [UInt8] {
            (0..<count).reversed().map { UInt8(truncatingIfNeeded: value >> UInt64($0 * 8)) }
        }
        let name = Array(backing.utf8)
        let formatExtension = big(0xe279_2aca, 4) + big(UInt64(format.utf8.count), 4) + Array(format.utf8)
        let padding = [UInt8](repeating: 0, count: (8 - format.utf8.count % 8) % 8)
        let extensions = format.isEmpty ? [] : formatExtension + padding
        let place = UInt64(104 + extensions.count + 8)
        var bytes: [UInt8] = [0x51, 0x46, 0x49, 0xfb] + big(3, 4)
        bytes += big(place, 8) + big(UInt64(name.count), 4) + big(16, 4) + big(1 << 20, 8) + big(0, 4)
        bytes += big(1, 4) + big(0x30000, 8) + big(0x10000, 8) + big(1, 4) + big(0, 4) + big(0, 8)
        bytes += big(incompatible, 8) + big(0, 8) + big(0, 8) + big(4, 4) + big(104, 4)
        bytes += extensions + big(0, 8) + name
        return bytes + [UInt8](repeating: 0, count: 0x40000 - bytes.count)
    }

    private func refusal(_ content: [UInt8], name: String = "x.qcow2", _ folder: TemporaryFolder) async throws
        -> SourceError?
    {
        let path = try folder.write(content, to: name)
        do {
            _ = try await ImageOpener.open(path: path)
            return nil
        } catch {
            #expect(Tool.servers(naming: path).isEmpty)
            return error
        }
    }

    @Test(
        "a forged header cannot carry a host file into the backup",
        arguments: [
            "/etc/shadow", "/etc/passwd", "../../../etc/passwd", "file:/etc/passwd", "/proc/self/environ", "/dev/sda",
            "/nowhere/at/all", "json:{\"driver\":\"file\",\"filename\":\"/etc/passwd\"}", "nbd://example.org/x",
            "http://example.org/x", "nbd+unix:///?socket=/run/x", "ssh:x", "file://etc/passwd", "fat:/etc",
        ])
    func forgedBacking(target: String) async throws {
        let folder = try TemporaryFolder()
        let error = try #require(try await refusal(BackingPolicyTests.forged(backing: target), folder))
        #expect(error.code == .referenceRefused && error.exitStatus == 7)
        #expect(error.sentence.contains(target), "\(error.sentence)")
    }

    @Test("a link inside the folder that leads out of it is refused; inside it is followed")
    func links() async throws {
        let folder = try TemporaryFolder()
        #expect(unsafe symlink("/etc/passwd", folder.file("inner.raw")) == 0)
        let error = try #require(try await refusal(BackingPolicyTests.forged(backing: "inner.raw"), folder))
        #expect(error.code == .referenceRefused)
    }

    @Test("what a stranger writes into a name cannot steer a terminal")
    func terminal() async throws {
        let folder = try TemporaryFolder()
        let content = BackingPolicyTests.forged(backing: "/etc/\u{1b}]0;x\u{7}\u{202e}y")
        let error = try #require(try await refusal(content, folder))
        #expect(error.sentence.contains("/etc/?]0;x??y"), "\(error.sentence)")
    }

    @Test("an image that stands on itself, or on a FIFO, is refused")
    func circles() async throws {
        let folder = try TemporaryFolder()
        let own = try await refusal(BackingPolicyTests.forged(backing: "x.qcow2", format: "qcow2"), folder)
        #expect(own?.code == .damagedHeader)
        #expect(unsafe mkfifo(folder.file("fifo"), 0o600) == 0)
        #expect(try await refusal(BackingPolicyTests.forged(backing: "fifo"), folder)?.code == .notAnImage)
        #expect(try await refusal(BackingPolicyTests.forged(backing: "gone.raw"), folder)?.code == .notFound)
    }

    @Test("external data files, encryption, corruption and unknown features are refused")
    func features() async throws {
        let folder = try TemporaryFolder()
        for (bits, code) in [(UInt64(4), SourceError.Code.unsupported), (2, .damagedHeader), (1 << 9, .unsupported)] {
            let content = BackingPolicyTests.forged(backing: "", incompatible: bits)
            #expect(try await refusal(content, folder)?.code == code)
        }
        var encrypted = BackingPolicyTests.forged(backing: "")
        encrypted[35] = 2
        #expect(try await refusal(encrypted, folder)?.code == .unsupported)
    }

    @Test(
        "a VMDK descriptor that points elsewhere is refused",
        arguments: [
            "RW 2048 FLAT \"/etc/passwd\" 0", "RW 1 FLAT \"../../../etc/passwd\" 0", " \tRW 1 SPARSE \"/etc/passwd\"",
            "RW 1 VMFS \"nbd://x/y\"",
        ])
    func descriptor(line: String) async throws {
        let folder = try TemporaryFolder()
        let text = "# Disk DescriptorFile\nversion=1\nparentCID=ffffffff\ncreateType=\"monolithicFlat\"\n\(line)\n"
        #expect(try await refusal(Array(text.utf8), name: "x.vmdk", folder)?.code == .referenceRefused)
    }

    @Test(
        "a VMDK descriptor that could be read in two ways is refused",
        arguments: [
            "RW 1\nFLAT \"/etc/passwd\" 0", "RW\n1 FLAT \"/etc/passwd\" 0", "nonsense", "RW 5 ZERO",
            "RDONLY 5 FLAT \"x\" 0",
            "ddb.x = \"parentFileNameHint=\"",
        ])
    func oddDescriptor(line: String) async throws {
        let folder = try TemporaryFolder()
        let text = "# Disk DescriptorFile\nversion=1\n\(line)\n"
        let code = try await refusal(Array(text.utf8), name: "x.vmdk", folder)?.code
        #expect(code == .damagedHeader || code == .unsupported)
    }

    @Test("a sparse VMDK without a capacity is a descriptor in disguise, and refused")
    func disguised() async throws {
        let folder = try TemporaryFolder()
        var bytes = Array("KDMV".utf8) + [UInt8](repeating: 0, count: 2044)
        bytes[4] = 1
        bytes[28] = 1
        bytes.replaceSubrange(
            512..<560, with: Array("# Disk DescriptorFile\nRW 1 FLAT \"/etc/passwd\" 0 ".utf8.prefix(48)))
        #expect(try await refusal(bytes, name: "x.vmdk", folder)?.code == .unsupported)
    }

    @Test("a differencing VHD is refused: QEMU would read its parent as zeros")
    func differencing() async throws {
        let folder = try TemporaryFolder()
        var footer = Array("conectix".utf8) + [UInt8](repeating: 0, count: 504)
        footer[63] = 4
        #expect(try await refusal(footer, name: "x.vhd", folder)?.code == .unsupported)
    }

    @Test(
        "the operator may allow other folders",
        .enabled(if: Tool.hasQEMU, "qemu-img and qemu-nbd are not in /usr/bin; install qemu-utils to run this"))
    func allowed() async throws {
        let outside = try TemporaryFolder()
        let folder = try TemporaryFolder()
        let base = try outside.write([UInt8](repeating: 5, count: 1 << 20), to: "base.raw")
        let top = folder.file("top.qcow2")
        try Tool.image("create", "-q", "-f", "qcow2", "-F", "raw", "-b", base, top)
        #expect(try await Reading.code { _ = try await ImageOpener.open(path: top) } == .referenceRefused)
        for policy in [BackingPolicy.anywhere, .folders([outside.path])] {
            let source = try await ImageOpener.open(path: top, allowBacking: policy)
            #expect(try await Reading.whole(source) == [UInt8](repeating: 5, count: 1 << 20))
        }
    }
}
