import BackupModel
import ChunkEncryption
import Effects

/// A small file in the state folder that is replaced whole or not at all, whenever the power goes.
///
/// Version *n* is the file `<name>.<n>`; a new one is written, made durable and linked to its name before the one
/// before it is removed. A version whose checksum is wrong was never named and is not believed.
struct StateFile {
    let files: any DurableFiles
    let folder: String
    let name: String
    let randomness: Randomness

    private func versions() throws(FileError) -> [Int] {
        try files.names(in: folder).compactMap { file in
            guard file.hasPrefix(name + ".") else { return nil }
            // A number that has no next one was never written here.
            return Int(file.dropFirst(name.count + 1)).flatMap { $0 < Int.max ? $0 : nil }
        }.sorted()
    }

    private func path(_ version: Int) -> String { "\(folder)/\(name).\(version)" }

    /// The content of the newest version, or `nil` when there is none.
    ///
    /// - Throws: ``FileError``; number `EBADMSG` when there are versions and the newest is damaged: what it said is
    ///   lost, which is something else than that it never said anything.
    func read() throws(FileError) -> [UInt8]? {
        guard let newest = try versions().last else { return nil }
        let bytes = try files.read(path(newest), offset: 0, count: Int.max) ?? []
        let content = Array(bytes.dropFirst(Hash256.byteCount))
        guard bytes.count >= Hash256.byteCount,
            SecureHash.sha256(content).bytes == Array(bytes.prefix(Hash256.byteCount))
        else {
            throw FileError(
                number: 74,
                sentence: "\(path(newest)) in this host's state folder is damaged; put the state folder back from a "
                    + "copy, or move that file away to go on without what it said", remedy: .inspect)
        }
        return content
    }

    /// Replaces the content, durably.
    func write(_ content: [UInt8]) throws(FileError) {
        let old = try versions()
        let version = (old.last ?? 0) + 1
        let temporary = "\(folder)/tmp-\(randomness.bytes(8).hexadecimal)"
        try files.writeNew(temporary, SecureHash.sha256(content).bytes + content)
        do {
            try files.syncFile(temporary)
            _ = try files.link(temporary, to: path(version))
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
