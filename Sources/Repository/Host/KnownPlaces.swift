package import Effects
package import RepositoryFormat

/// Which repositories this host has seen at which path: another one with the same passphrase at a path that is known is
/// a disk that was exchanged, or somebody's work.
package struct KnownPlaces: Sendable {
    /// Repositories kept for one path: disks that take turns.
    package static let repositoryLimit = 64

    private static let folder = "places"
    private let files: any DurableFiles
    private let file: StateFile

    /// - Parameter files: Dozo's state folder, private to its user.
    package init(files: any DurableFiles, randomness: Randomness) {
        self.files = files
        file = StateFile(files: files, folder: KnownPlaces.folder, name: "known", randomness: randomness)
    }

    /// Repositories that were seen at a path, oldest first.
    ///
    /// - Throws: ``RepositoryError``: `storage`; `damaged` when the list cannot be read.
    package func repositories(at path: String) throws -> [RepositoryID] { try all()[path] ?? [] }

    /// Adds a repository to those of a path.
    package func add(_ repository: RepositoryID, at path: String) throws {
        guard try all()[path]?.contains(repository) != true else { return }
        let lock = try HostState.translating { try files.waitForLock("\(KnownPlaces.folder)/change.lock") }
        defer { withExtendedLifetime(lock) {} }
        var places = try all()
        guard places[path]?.contains(repository) != true else { return }
        places[path] = ((places[path] ?? []) + [repository]).suffix(KnownPlaces.repositoryLimit)
        let value: RecordValue = .map(places.mapValues { .array($0.map { .bytes($0.bytes) }) })
        try HostState.translating { try file.write(value.encoded) }
    }

    private func all() throws -> [String: [RepositoryID]] {
        try HostState.translating {
            if try files.makeFolder(KnownPlaces.folder) { try files.syncFolder("") }
        }
        guard let bytes = try HostState.translating({ try file.read() }) else { return [:] }
        let what = "the list of known paths in the state folder"
        do throws(FormatError) {
            guard case .map(let members) = try RecordValue(decoding: bytes[...], of: what) else {
                throw .notCanonical(what)
            }
            return members.mapValues { value in
                guard case .array(let items) = value else { return [] }
                return items.compactMap { item in
                    guard case .bytes(let bytes) = item else { return nil }
                    return RepositoryID(bytes: bytes)
                }
            }
        } catch { throw RepositoryError.format(error) }
    }
}
