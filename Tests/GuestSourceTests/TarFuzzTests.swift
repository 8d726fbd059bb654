import GuestSource
import TestKit
import Testing

/// Whatever an archive says, its members lie inside it, or it is refused; nothing traps.
@Suite("seeded mutations of archives")
struct TarFuzzTests {
    private static func fault(_ bytes: [UInt8]) throws -> String? {
        let archive = try TarArchive(parsing: HeaderBytes(bytes, path: "mutated"))
        var last: UInt64 = 0
        for member in archive.members {
            guard member.offset >= last, member.byteCount <= UInt64(bytes.count),
                member.offset <= UInt64(bytes.count) - member.byteCount
            else { return "\(member) lies where nothing can be" }
            guard member.name.utf8.count <= 3 * TarArchive.longestName else { return "a name too long" }
            last = member.offset + member.byteCount
        }
        let files = archive.members.filter { $0.kind != .folder }.map(\.name)
        return Set(files).count == files.count ? nil : "two members of one name"
    }

    @Test("as they come")
    func plain() {
        let samples = [TarSample.rich().closed, Array(TarSample.rich().bytes.prefix(1536)) + [0, 0]]
        Mutator.run("tar archives", samples, refusedBy: SourceError.self) { try Self.fault($0) }
    }

    @Test("behind right checksums")
    func sealed() {
        Mutator.run("sealed tar archives", [TarSample.rich().closed], refusedBy: SourceError.self) { mutated in
            var bytes = mutated
            for start in stride(from: 0, to: bytes.count - 511, by: 512)
            where Array(bytes[(start + 257)..<(start + 262)]) == Array("ustar".utf8) {
                bytes.replaceSubrange(
                    start..<(start + 512), with: TarSample.sealed(Array(bytes[start..<(start + 512)])))
            }
            return try Self.fault(bytes)
        }
    }
}
