import GuestSource
import Testing

@Suite("the format of an image")
struct FormatDecisionTests {
    private static let qcow2: [UInt8] = [0x51, 0x46, 0x49, 0xfb, 0, 0, 0, 3] + [UInt8](repeating: 0, count: 1016)
    private static let fixedVHD =
        [UInt8](repeating: 0, count: 512) + Array("conectix".utf8) + [UInt8](repeating: 0, count: 504)

    @Test("a raw disk with a forged header is refused until the operator states a format, and then read as raw")
    func forged() async throws {
        let folder = try TemporaryFolder()
        for content in [FormatDecisionTests.qcow2, FormatDecisionTests.fixedVHD] {
            for name in ["disk.img", "disk.raw", "disk", "disk.001"] {
                let path = try folder.write(content, to: name)
                #expect(try await Reading.code { _ = try await ImageOpener.open(path: path) } == .ambiguousFormat)
                let stated = try await ImageOpener.open(path: path, format: .raw)
                #expect(try await Reading.whole(stated) == content)
                let recorded = try await ImageOpener.open(path: path, recordedFormat: .raw)
                #expect(try await Reading.whole(recorded) == content)
                #expect(stated.summary.formatOrigin == .stated && recorded.summary.formatOrigin == .recorded)
            }
        }
    }

    @Test(
        "a container's name with other content is refused",
        arguments: ["a.qcow2", "a.vmdk", "a.vhd", "a.vhdx", "a.VDI"])
    func otherContent(name: String) async throws {
        let folder = try TemporaryFolder()
        let path = try folder.write([UInt8](repeating: 1, count: 2048), to: name)
        #expect(try await Reading.code { _ = try await ImageOpener.open(path: path) } == .wrongFormat)
        let format = try #require(ImageFormat(name: String(name.lowercased().dropFirst(2))))
        #expect(try await Reading.code { _ = try await ImageOpener.open(path: path, format: format) } == .wrongFormat)
    }

    @Test("a name that contradicts the recorded format is refused until the operator states one")
    func contradiction() async throws {
        let folder = try TemporaryFolder()
        let path = try folder.write(FormatDecisionTests.qcow2, to: "disk.qcow2")
        #expect(
            try await Reading.code { _ = try await ImageOpener.open(path: path, recordedFormat: .raw) }
                == .ambiguousFormat)
        let stated = try await ImageOpener.open(path: path, format: .raw, recordedFormat: .raw)
        #expect(try await Reading.whole(stated) == FormatDecisionTests.qcow2)
    }

    @Test("only the six words name a format")
    func words() {
        #expect(ImageFormat.allCases.map(\.name) == ["raw", "qcow2", "vmdk", "vhd", "vhdx", "vdi"])
        for word in ["", "RAW", "luks", "qcow", "vpc"] { #expect(ImageFormat(name: word) == nil) }
    }
}
