/// A small file that is replaced whole or not at all, whenever the power goes.
///
/// Version *n* is the file `<name>.<n>`; a new one is written, made durable and linked to its name before the one
/// before it is removed. Whoever reads holds the newest version against a checksum of its own. Any number of processes
/// may read; of several that write at once none loses the file, but the last one wins: whoever changes what is there
/// holds a lock from before it reads until it has written.
package struct VersionedFile: Sendable {
    /// The folders' files.
    package let files: any DurableFiles
    /// Folder that it lies in, which must exist; "" for the outermost.
    package let folder: String
    /// Its name without the version.
    package let name: String
    /// For names of what is not finished yet.
    package let randomness: Randomness

    /// - Parameters: see the properties.
    package init(files: any DurableFiles, folder: String, name: String, randomness: Randomness) {
        self.files = files
        self.folder = folder
        self.name = name
        self.randomness = randomness
    }

    private func versions() throws(FileError) -> [Int] {
        try files.names(in: folder).compactMap { file in
            guard file.hasPrefix(name + ".") else { return nil }
            // A number that has no next one was never written here.
            return Int(file.dropFirst(name.count + 1)).flatMap { $0 < Int.max ? $0 : nil }
        }.sorted()
    }

    private func path(_ version: Int) -> String { below("\(name).\(version)") }

    private func below(_ file: String) -> String { folder.isEmpty ? file : "\(folder)/\(file)" }

    /// The newest version and its path; `nil` when there is none.
    ///
    /// - Parameter limit: no more bytes than these are read.
    /// - Throws: ``FileError``.
    package func newest(limit: Int = .max) throws(FileError) -> (path: String, bytes: [UInt8])? {
        for _ in 0..<VersionedFile.attemptLimit {
            guard let newest = try versions().last else { return nil }
            // One that is gone since it was listed was replaced by another process: the newer one is listed now.
            if let bytes = try files.read(path(newest), offset: 0, count: limit) { return (path(newest), bytes) }
        }
        throw FileError(
            number: 11, sentence: "\(below(name)) is replaced again and again while it is read", remedy: .inspect)
    }

    /// Replacements that a look at the file outlasts.
    private static let attemptLimit = 1_000

    /// Replaces the content, durably.
    ///
    /// - Throws: ``FileError``; what was there before is then still there.
    package func write(_ content: [UInt8]) throws(FileError) {
        let unique = randomness.bytes(8).map { String(UInt16($0) + 256, radix: 16).dropFirst() }.joined()
        let temporary = below("tmp-\(unique)")
        try files.writeNew(temporary, content)
        var old: [Int] = []
        do {
            try files.syncFile(temporary)
            repeat { old = try versions() } while try !files.link(temporary, to: path((old.last ?? 0) + 1))
            try files.syncFolder(folder)
        } catch {
            // What cannot be tidied now is a leftover; the first error is the one that matters.
            _ = try? files.remove(temporary)
            throw error
        }
        try files.remove(temporary)
        for number in old { try files.remove(path(number)) }
    }
}
