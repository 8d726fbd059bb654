package import Repository
package import RepositoryFormat

/// The files that describe a guest, out of a restore point (format page §11).
///
/// Their names come from whoever wrote the point: they are looked at before any of them becomes a path.
package struct StoredDefinition: Sendable {
    /// Name of the domain's XML among the files of a guest of libvirt.
    package static let domainName = "domain.xml"
    /// Name of the firmware's variables.
    package static let variablesName = "nvram"
    /// What the names of a TPM's state begin with.
    package static let tpmPrefix = "tpm/"
    /// Name of a bare QEMU's command line: words, each ended by a zero byte.
    package static let commandLineName = "command-line"

    /// Most parts of a name, between slashes.
    package static let mostParts = 16
    /// Most bytes of one part; what file systems take.
    package static let mostPartBytes = 255

    /// Contents by name.
    package let files: [String: [UInt8]]

    /// The domain's XML, when it is there and text.
    package var domain: String? { files[StoredDefinition.domainName].flatMap { String(validating: $0, as: UTF8.self) } }

    /// Whether the firmware's variables are among them.
    package var hasVariables: Bool { files[StoredDefinition.variablesName] != nil }
    /// Whether a state of the TPM is.
    package var hasTPM: Bool { files.keys.contains { $0.hasPrefix(StoredDefinition.tpmPrefix) } }

    /// Files from their contents by name.
    package init(files: [String: [UInt8]]) { self.files = files }

    /// Reads the files of a point; `nil` when it has none.
    ///
    /// Memory: the files, at most ``FormatLimits/recordByteCount``.
    /// - Throws: ``RepositoryError``, ``FormatError``: damaged, or not as the format says.
    package init?(_ point: RestorePointRecord, reader: RepositoryReader) async throws {
        guard let image = point.images.first(where: { $0.kind == RestorePointRecord.Image.definitionKind }) else {
            return nil
        }
        let what = "the definition in point \(point.identifier)"
        guard image.byteCount <= UInt64(FormatLimits.recordByteCount) else {
            throw RepositoryError(
                .damaged, "\(what) has \(image.byteCount) bytes; the most is \(FormatLimits.recordByteCount)", .repair)
        }
        let stored = try await StoredImage(image, reader: reader)
        let count = Int(image.byteCount)
        let room = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 16)
        // Safety: allocated here; what is read is copied out before it is freed.
        defer { unsafe room.deallocate() }
        try await unsafe stored.read(at: 0, into: room)
        let bytes = unsafe Array(room)
        guard case .map(let members) = try RecordValue(decoding: bytes[...], of: what) else {
            throw RepositoryError(.damaged, "\(what) is no list of files", .repair)
        }
        var files: [String: [UInt8]] = [:]
        for (name, value) in members {
            guard case .bytes(let content) = value else {
                throw RepositoryError(.damaged, "\(what) names something that is no file", .repair)
            }
            files[name] = content
        }
        self.files = files
    }

    /// Whether a name may become a path below a folder: no absolute path, no step upwards or to nowhere.
    package static func isPath(_ name: String) -> Bool {
        let parts = name.split(separator: "/", omittingEmptySubsequences: false)
        return (1...mostParts).contains(parts.count)
            && parts.allSatisfy { part in
                (1...mostPartBytes).contains(part.utf8.count) && part != "." && part != ".."
                    && part.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F }
            }
    }

    /// The first name that cannot become a path, or that would have to be a file and a folder at once; `nil` when all
    /// can be written below one folder.
    package var unfitName: String? {
        let names = files.keys.sorted()
        if let unfit = names.first(where: { !StoredDefinition.isPath($0) }) { return unfit }
        return names.first { name in
            let parts = name.split(separator: "/")
            return (1..<max(1, parts.count)).contains { files[parts[..<$0].joined(separator: "/")] != nil }
        }
    }
}
