import Foundation
import GuestMemory
import TestKit
import Testing

/// What a real Xen 4.17 wrote of a PV and a PVH guest, cut to a few pages by `Tests/Support/cut-xen-save.py`; Xen's own
/// `verify-stream-v2` takes both.
@Suite("streams that Xen wrote")
struct XenFixtureTests {
    private static func stream(_ name: String) throws -> [UInt8] {
        let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        return [UInt8](try Data(contentsOf: folder.appendingPathComponent("Streams/xen-\(name).save")))
    }

    @Test("are known, have their pages, and come back byte for byte", arguments: ["pv", "pvh"])
    func comesBack(name: String) async throws {
        let bytes = try Self.stream(name)
        let stream = try MemoryStream(parsing: BytesOfTest(bytes))
        #expect(stream.format == .xenSave)
        #expect(stream.notes.isEmpty, "\(stream.notes)")
        #expect((1...9).contains(stream.pageCount))
        #expect(stream.literalByteCount < UInt64(bytes.count) - stream.pageCount * 4096)
        #expect(try await fault(of: bytes) == nil)
        let inner = try #require(
            bytes.indices.first { bytes[$0...].starts(with: [UInt8](repeating: 0xFF, count: 8) + Array("XENF".utf8)) })
        #expect(try MemoryStream(parsing: BytesOfTest(Array(bytes[inner...]))).format == .xenLibxc)
        #expect(try await fault(of: Array(bytes[inner...])) == nil)
    }

    @Test("come back wherever they are cut", arguments: ["pv", "pvh"])
    func cut(name: String) async throws {
        let bytes = try Self.stream(name)
        for count in stride(from: 0, to: bytes.count, by: 41) {
            let found = try await fault(of: Array(bytes[..<count]))
            #expect(found == nil, "cut at \(count)")
        }
    }

    @Test("come back whatever is changed in them", arguments: ["pv", "pvh"])
    func changed(name: String) async throws {
        let bytes = try Self.stream(name)
        for seed in 1...300 {
            var mutator = Mutator(seed: UInt64(seed))
            let found = try await fault(of: mutator.mutated(bytes))
            #expect(found == nil, "seed \(seed)")
        }
    }
}
