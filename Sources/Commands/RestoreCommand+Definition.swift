import ArgumentParser
import BackupModel
import Effects
import Recovery
import Repository
import RepositoryFormat

extension RestoreCommand {
    private struct DefinitionDocument: Encodable {
        struct File: Encodable {
            let name: String
            let size_bytes: Int
        }
        let point: String
        let guest: String
        let folder: String
        let files: [File]
    }

    /// Options that say nothing about a definition.
    func validateDefinition() throws {
        guard returning.definitionTo != nil else { return }
        let others: [(String, Bool)] = [
            ("--disk", disk != nil), ("--format", format != nil), ("--size", size != nil), ("--in-place", inPlace),
            ("--overwrite", overwrite), ("--salvage", salvage), ("--force", force), ("--jobs", jobs != nil),
        ]
        if let other = others.first(where: { $0.1 }) {
            throw ValidationError(
                "\(other.0) is for disks, and --definition-to writes the files that describe the guest")
        }
    }

    /// Writes the files that describe the guest below a new folder.
    func restoreDefinition(
        of point: RestorePoint, to folder: String, repository: OpenRepository, view: RepositoryView
    ) async throws {
        let folder = HostPaths.absolute(folder)
        guard !HostPaths.exists(folder) else {
            throw CommandFailure(.refused, "\(folder) exists already; a definition is written to a new folder")
        }
        let reader = try await contentReader(repository, view: view)
        guard let definition = try await StoredDefinition(point.record, reader: reader) else {
            throw CommandFailure(
                .failed,
                "point \(point.record.identifier) has no definition: it was made of image files, not of a guest that "
                    + "a hypervisor showed")
        }
        if let name = definition.unfitName {
            throw CommandFailure(
                .refused,
                "the definition has a file \(Console.printable(name)), which is no name below a folder; nothing was "
                    + "written")
        }
        try HostPaths.makeFolders(folder)
        let files = HostFiles(root: folder)
        for (name, content) in definition.files.sorted(by: { $0.key < $1.key }) {
            let parts = name.split(separator: "/")
            for count in 1..<max(1, parts.count) {
                _ = try files.makeFolder(parts[..<count].joined(separator: "/"))
            }
            try files.writeNew(name, content)
            try files.syncFile(name)
        }
        try files.syncFolder("")
        let document = DefinitionDocument(
            point: point.record.identifier.hexadecimal, guest: point.record.label, folder: folder,
            files: definition.files.sorted { $0.key < $1.key }.map {
                DefinitionDocument.File(name: $0.key, size_bytes: $0.value.count)
            })
        if options.json { return try Console.json(document) }
        for file in document.files {
            Console.result("\(Console.printable("\(folder)/\(file.name)")): \(Console.size(UInt64(file.size_bytes)))")
        }
    }
}
