import BackupModel
import ChunkEncryption
import Effects
import Foundation
import ObjectStorage
import Recovery
import Repository
import RepositoryFormat
import Testing

/// Repositories that the program stored once, with what opens them and the SHA-256 of every disk. Today's reader must
/// give back the same bytes; the files are never made anew.
@Suite("whole repositories that were stored once")
struct GoldenRepositoryTests {
    private static let golden = URL(fileURLWithPath: #filePath).deletingLastPathComponent().path + "/Golden/first"

    private static func text(_ name: String) throws -> String {
        try String(contentsOfFile: "\(golden)/\(name)", encoding: .utf8)
    }

    private static func key(_ name: String) throws -> RepositoryAccessKey {
        switch name {
        case "passphrase": .secret(.passphrase(try Passphrase.secretBytes(Array(try text(name).utf8))))
        case "recovery-key": .secret(.recovery(try RecoveryKey(parsing: try text(name))))
        default: .credential(try CredentialFile.credential(parsing: Array(try text(name).utf8), of: name))
        }
    }

    @Test(
        "every disk of every point comes back byte for byte",
        arguments: ["passphrase", "recovery-key", "reader-credential"])
    func restored(by name: String) async throws {
        let folder = FileManager.default.temporaryDirectory.path + "/dozo-golden-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let store = DirectoryStore(files: HostFiles(root: "\(Self.golden)/repository"), randomness: .system)
        let repository = try await OpenRepository.open(store: store, key: try Self.key(name))
        let view = try await repository.view()
        #expect(view.notes.isEmpty, "\(view.notes)")
        let reader = try await RepositoryReader(repository, view: view)
        #expect(reader.index.notes.isEmpty, "\(reader.index.notes)")
        var lines: [String] = []
        for point in view.points {
            for image in point.record.images {
                let path = "\(folder)/\(point.record.identifier.hexadecimal)-\(image.name)"
                let plan = RestorePlan(path: path, workers: 2)
                #expect(try await ImageRestore(reader, image: image, plan: plan).run().lost.isEmpty)
                let bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
                #expect(UInt64(bytes.count) == image.byteCount)
                let digest = SecureHash.sha256(bytes).hexadecimal
                lines.append("\(digest)  \(point.record.identifier.hexadecimal)/\(image.name).raw")
            }
        }
        #expect(lines.joined(separator: "\n") + "\n" == (try Self.text("expected")))
        #expect(view.points.map(\.record.label) == ["golden 金", "golden 金", "other"])
        #expect(view.points.flatMap(\.record.images).map(\.format) == ["raw", "raw", "raw", "raw", "qcow2"])
    }
}
