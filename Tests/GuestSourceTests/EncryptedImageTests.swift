import GuestSource
import Testing

@Suite("encrypted images")
struct EncryptedImageTests {
    /// What a file with a LUKS header begins with; the rest is noise, as it is in such a file.
    private static func luks(version: UInt8) -> [UInt8] {
        var random = Seeded()
        return Array("LUKS".utf8) + [0xba, 0xbe, 0, version] + random.bytes(70_001)
    }

    @Test(
        "a LUKS image is a raw disk, whatever it is called, and every byte of it is read",
        arguments: ["disk.luks", "disk.img", "disk.raw", "disk", "disk.crypt"], [UInt8(1), 2])
    func opaque(name: String, version: UInt8) async throws {
        let folder = try TemporaryFolder()
        let bytes = Self.luks(version: version)
        let source = try await ImageOpener.open(path: try folder.write(bytes, to: name))
        #expect(source.summary.format == .raw && source.summary.formatOrigin == .detected)
        #expect(source.summary.notes.isEmpty)
        #expect(try await Reading.whole(source) == bytes)
        await source.close()
        // Neither does it pass for a container.
        let path = try folder.write(bytes, to: "disk.qcow2")
        #expect(try await Reading.code { _ = try await ImageOpener.open(path: path) } == .wrongFormat)
    }

    @Test("an encrypted qcow2 is refused with the way to back it up, and that way gives its file", arguments: [1, 2])
    func qcow2(method: UInt8) async throws {
        let folder = try TemporaryFolder()
        for (backing, mentionsBase) in [("", false), ("base.raw", true)] {
            var bytes = BackingPolicyTests.forged(backing: backing)
            if backing.isEmpty { bytes.replaceSubrange(8..<16, with: [UInt8](repeating: 0, count: 8)) }
            bytes[35] = method
            let path = try folder.write(bytes, to: "disk.qcow2")
            let error = await #expect(throws: SourceError.self) { _ = try await ImageOpener.open(path: path) }
            #expect(error?.code == .unsupported)
            #expect(error?.sentence.contains("back the file up as it is with --format raw") == true)
            #expect(error?.sentence.contains("what it stands on") == mentionsBase)
            let source = try await ImageOpener.open(path: path, format: .raw)
            #expect(try await Reading.whole(source) == bytes)
            await source.close()
        }
    }
}
