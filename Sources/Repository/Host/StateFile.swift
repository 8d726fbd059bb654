import BackupModel
import ChunkEncryption
import Effects

/// A small file in the state folder that is replaced whole or not at all, whenever the power goes (``VersionedFile``),
/// behind a checksum. A version whose checksum is wrong was never named and is not believed.
struct StateFile {
    private let file: VersionedFile

    init(files: any DurableFiles, folder: String, name: String, randomness: Randomness) {
        file = VersionedFile(files: files, folder: folder, name: name, randomness: randomness)
    }

    /// The content of the newest version, or `nil` when there is none.
    ///
    /// - Throws: ``FileError``; number `EBADMSG` when there are versions and the newest is damaged: what it said is
    ///   lost, which is something else than that it never said anything.
    func read() throws(FileError) -> [UInt8]? {
        guard let newest = try file.newest() else { return nil }
        let content = Array(newest.bytes.dropFirst(Hash256.byteCount))
        guard newest.bytes.count >= Hash256.byteCount,
            SecureHash.sha256(content).bytes == Array(newest.bytes.prefix(Hash256.byteCount))
        else {
            throw FileError(
                number: 74,
                sentence: "\(newest.path) in this host's state folder is damaged; put the state folder back from a "
                    + "copy, or move that file away to go on without what it said", remedy: .inspect)
        }
        return content
    }

    /// Replaces the content, durably.
    func write(_ content: [UInt8]) throws(FileError) {
        try file.write(SecureHash.sha256(content).bytes + content)
    }
}
