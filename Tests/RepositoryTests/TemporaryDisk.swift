import Foundation

/// A file that is not there yet in a folder of its own, which goes with this object.
final class TemporaryDisk: Sendable {
    let folder: String
    /// Where the file is to be.
    var file: String { "\(folder)/disk" }

    init() throws {
        folder = FileManager.default.temporaryDirectory.path + "/dozo-disk-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    /// What is in the file; `nil` when there is none.
    func bytes(_ name: String = "disk") -> [UInt8]? {
        (try? Data(contentsOf: URL(fileURLWithPath: "\(folder)/\(name)"))).map { [UInt8]($0) }
    }

    /// Puts a file there, private as a restore leaves it.
    func put(_ bytes: [UInt8], name: String = "disk") throws {
        let path = "\(folder)/\(name)"
        try Data(bytes).write(to: URL(fileURLWithPath: path))
        try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: path)
    }

    /// Names of all that is there.
    func names() -> [String] { ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []).sorted() }
}
