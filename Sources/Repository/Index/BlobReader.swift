package import BackupModel
import ChunkCompression
import ChunkEncryption
package import RepositoryFormat

/// Reads blobs by id and believes none of them: tag, length and id are checked on every read (design §4.2). Belongs to
/// one worker at a time.
package final class BlobReader {
    private let access: ObjectAccess
    private let keys: RepositoryKeys
    private let index: ChunkIndex
    private let shelf: PackShelf
    private let cipher: BlobCipher
    private let decompressor = ChunkDecompressor()
    private var hashers: [BlobKind: KeyedHasher] = [:]

    /// A reader of its own contexts over a shared index and shelf.
    package init(_ access: ObjectAccess, keys: RepositoryKeys, index: ChunkIndex, shelf: PackShelf) {
        self.access = access
        self.keys = keys
        self.index = index
        self.shelf = shelf
        cipher = BlobCipher(repository: keys.repository, domain: keys.domain.id)
    }

    /// The plain bytes of a blob, from the first copy that is whole.
    ///
    /// - Parameter name: names the blob in errors.
    /// - Throws: ``RepositoryError``: `damaged` when no copy is whole, saying why for each; `roleLacksKey`.
    package func bytes(of identifier: Hash256, kind: BlobKind, name: String) async throws -> [UInt8] {
        var reasons: [String] = []
        for place in try await index.places(of: identifier) {
            do { return try await read(place, identifier: identifier, kind: kind) } catch let error as RepositoryError
                where error.isAboutBytes
            {
                reasons.append(error.sentence)
            }
        }
        let why = reasons.isEmpty ? "no pack of this repository holds it" : reasons.joined(separator: "; ")
        throw RepositoryError(.damaged, "\(name) (\(identifier.abbreviated)) cannot be read: \(why)", .repair)
    }

    /// Whether the bytes are the whole content of a data chunk, by its id.
    ///
    /// - Throws: ``RepositoryError``, `roleLacksKey`.
    package func isContent(_ bytes: UnsafeRawBufferPointer, of identifier: Hash256) throws -> Bool {
        // Safety: the bytes are read during the call only.
        try unsafe hasher(for: .data).authenticate(bytes) == identifier
    }

    private func read(_ place: BlobPlace, identifier: Hash256, kind: BlobKind) async throws -> [UInt8] {
        let contents = try await shelf.contents(of: place.pack)
        let name = place.pack.packName
        guard place.ordinal < contents.entries.count else {
            throw RepositoryError(
                .damaged, "the index names entry \(place.ordinal) of \(name), which has fewer", .repair)
        }
        let entry = contents.entries[place.ordinal]
        guard entry.identifier == identifier, entry.kind == kind else {
            throw RepositoryError(
                .damaged, "the index names entry \(place.ordinal) of \(name), which holds something else", .repair)
        }
        let range = Int(entry.offset)..<(Int(entry.offset) + Int(entry.storedByteCount))
        let sealed = try await access.bytes(name, range: range)
        return try open(sealed, as: entry, pack: place.pack, contents: contents)
    }

    /// Opens the bytes of one entry of a pack: decrypts, decompresses, and compares the id.
    ///
    /// - Throws: ``RepositoryError``: `damaged`, naming pack and blob; `roleLacksKey`.
    package func open(
        _ sealed: [UInt8], as entry: PackEntry, pack: ObjectKey, contents: PackContents
    ) throws -> [UInt8] {
        let packed = try unseal(sealed, as: entry, pack: pack, contents: contents)
        let plain = try unpack(packed, as: entry, pack: pack)
        guard try hash(plain, kind: entry.kind) == entry.identifier else {
            throw RepositoryError(
                .damaged,
                "blob \(entry.identifier.abbreviated) in \(pack.packName) does not have the content it is named after",
                .repair)
        }
        return plain
    }

    /// Checks the tag of one entry and gives its bytes as the codec packed them.
    package func unseal(
        _ sealed: [UInt8], as entry: PackEntry, pack: ObjectKey, contents: PackContents
    ) throws -> [UInt8] {
        let packKeys = try shelf.packKeys(of: pack, contents: contents)
        cipher.use(packKey: packKeys[Int(entry.keyNumber)])
        var packed = [UInt8](repeating: 0, count: sealed.count - AuthenticatedCipher.tagByteCount)
        do {
            try unsafe sealed.withUnsafeBytes { source in
                // Safety: both buffers live for the call and are distinct.
                try unsafe packed.withUnsafeMutableBytes { try unsafe cipher.open(source, as: entry, into: $0) }
            }
        } catch is EncryptionError {
            throw RepositoryError(
                .damaged, "blob \(entry.identifier.abbreviated) in \(pack.packName) was damaged or exchanged", .repair)
        }
        return packed
    }

    private func unpack(_ packed: [UInt8], as entry: PackEntry, pack: ObjectKey) throws -> [UInt8] {
        guard entry.codec == .zstd else { return packed }
        var plain = [UInt8](repeating: 0, count: Int(entry.plainByteCount))
        do {
            // Safety: both arrays live through the call, which is told their counts.
            try unsafe packed.withUnsafeBytes { source in
                try unsafe plain.withUnsafeMutableBytes { try unsafe decompressor.decompress(source, into: $0) }
            }
        } catch let error as CompressionError {
            throw RepositoryError(
                .damaged, "blob \(entry.identifier.abbreviated) in \(pack.packName): \(error.sentence)", .repair)
        }
        return plain
    }

    private func hash(_ plain: [UInt8], kind: BlobKind) throws -> Hash256 {
        try hasher(for: kind).authenticate(plain)
    }

    private func hasher(for kind: BlobKind) throws -> KeyedHasher {
        if let hasher = hashers[kind] { return hasher }
        let hasher = KeyedHasher(key: try keys.identityKey(kind))
        hashers[kind] = hasher
        return hasher
    }
}
