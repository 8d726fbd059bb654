package import BackupModel
import ChunkCompression
package import ChunkEncryption
import ObjectStorage
package import RepositoryFormat

/// Reads blobs by id and believes none of them: tag, length and id are checked on every read (design §4.2). Belongs to
/// one worker at a time.
package final class BlobReader {
    private let access: ObjectAccess
    private let keys: RepositoryKeys
    private var index: ChunkIndex
    /// Where a copy may be found that a sweep has kept since; `nil` for who must not look at more than he was given.
    private let newer: NewerLook?
    private let shelf: PackShelf
    private let cipher: BlobCipher
    private let decompressor = ChunkDecompressor()
    private var hashers: [BlobKind: KeyedHasher] = [:]
    /// Where blobs are opened, and where they are decompressed.
    private let packedRoom = GrowingRoom()
    private let plainRoom = GrowingRoom()
    private var keyInUse: (pack: ObjectKey, number: UInt16)?
    /// Where the last blob stood: the next one of an image mostly stands behind it, and no index need be asked.
    private var last: LastPack?

    /// A reader of its own contexts over a shared index and shelf.
    init(
        _ access: ObjectAccess, keys: RepositoryKeys, index: ChunkIndex, shelf: PackShelf, newer: NewerLook? = nil
    ) {
        self.newer = newer
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
    package func bytes(
        of identifier: Hash256, kind: BlobKind, name: @autoclosure () -> String
    ) async throws -> [UInt8] {
        // Safety: what was opened is copied before this reader is used again.
        try unsafe Array(await content(of: identifier, kind: kind, name: name()))
    }

    /// As ``bytes(of:kind:name:)``, where they were opened: valid until this reader is used again.
    package func content(
        of identifier: Hash256, kind: BlobKind, name: @autoclosure () -> String
    ) async throws -> UnsafeRawBufferPointer {
        var reasons: [String] = []
        if let next = last?.next(identifier) {
            // Safety: valid until this reader is used again.
            // Whatever is wrong with it: all places are tried, this one again, and they say so.
            if let content = try? unsafe await read(next, identifier: identifier, kind: kind) {
                return unsafe content
            }
            try Task.checkCancellation()
        }
        repeat {
            reasons = []
            for place in try await index.places(of: identifier) {
                do { return try unsafe await read(place, identifier: identifier, kind: kind) } catch let error
                    as RepositoryError
                    where error.isAboutBytes
                {
                    reasons.append(error.sentence)
                }
            }
        } while try await looksAgain()
        let why = reasons.isEmpty ? "no pack of this repository holds it" : reasons.joined(separator: "; ")
        throw RepositoryError(.damaged, "\(name()) (\(identifier.abbreviated)) cannot be read: \(why)", .repair)
    }

    /// The plain bytes of a structure blob of any kind, from the first copy that is whole.
    ///
    /// - Throws: ``RepositoryError``: `damaged` when no copy is whole; `roleLacksKey`.
    package func structureBytes(of identifier: Hash256, name: @autoclosure () -> String) async throws -> [UInt8] {
        var failure: RepositoryError?
        repeat {
            failure = nil
            for place in try await index.places(of: identifier) {
                do {
                    let entries = try await shelf.contents(of: place.pack).entries
                    guard place.ordinal < entries.count, entries[place.ordinal].kind.objectClass == .structure else {
                        continue
                    }
                    // Safety: what was opened is copied before this reader is used again.
                    return try unsafe Array(
                        await read(place, identifier: identifier, kind: entries[place.ordinal].kind))
                } catch let error as RepositoryError where error.isAboutBytes {
                    // A store that fails for a moment has not lost it.
                    if error.isUnreadable || failure == nil { failure = error }
                }
            }
        } while try await looksAgain()
        if let failure, failure.isUnreadable { throw failure }
        let why = failure.map { ": \($0.sentence)" } ?? ""
        throw RepositoryError(
            .damaged,
            "\(name()) (\(identifier.abbreviated)) cannot be read from any pack\(why); run `dozo verify`", .repair)
    }

    /// Whether the bytes are the whole content of a data chunk, by its id.
    ///
    /// - Throws: ``RepositoryError``, `roleLacksKey`.
    package func isContent(_ bytes: UnsafeRawBufferPointer, of identifier: Hash256) throws -> Bool {
        // Safety: the bytes are read during the call only.
        try unsafe hasher(for: .data).authenticate(bytes) == identifier
    }

    /// After a miss. - Returns: whether there is a newer index to look in.
    private func looksAgain() async throws -> Bool {
        guard let found = try await newer?.index(newerThan: index) else { return false }
        index = found
        return true
    }

    private func read(
        _ place: BlobPlace, identifier: Hash256, kind: BlobKind
    ) async throws -> UnsafeRawBufferPointer {
        let pack = try await taken(place.pack)
        guard place.ordinal < pack.entries.count else {
            throw RepositoryError(
                .damaged, "the index names entry \(place.ordinal) of \(pack.object), which has fewer", .repair)
        }
        let entry = pack.entries[place.ordinal]
        guard entry.identifier == identifier, entry.kind == kind else {
            throw RepositoryError(
                .damaged, "the index names entry \(place.ordinal) of \(pack.object), which holds something else",
                .repair)
        }
        let range = Int(entry.offset)..<(Int(entry.offset) + Int(entry.storedByteCount))
        let sealed = try await access.bytes(pack.object, range: range)
        pack.ordinal = place.ordinal
        // Safety: the array lives through the call; what is opened lies in this reader's own room.
        return try unsafe sealed.withUnsafeBytes {
            try unsafe open($0, as: entry, pack: place.pack, packKeys: pack.keys)
        }
    }

    private func taken(_ key: ObjectKey) async throws -> LastPack {
        if let last, last.key == key { return last }
        let pack = try await shelf.pack(key)
        let taken = LastPack(pack, keys: try shelf.packKeys(of: key, contents: pack.contents))
        last = taken
        return taken
    }

    /// Opens the bytes of one entry of a pack: decrypts, decompresses, and compares the id. Allocates nothing but once
    /// for the largest blob.
    ///
    /// - Parameter packKeys: of that pack, by number.
    /// - Returns: the plain bytes, valid until this reader is used again.
    /// - Throws: ``RepositoryError``, `damaged`, naming pack and blob; `roleLacksKey`.
    package func open(
        _ sealed: UnsafeRawBufferPointer, as entry: PackEntry, pack: ObjectKey, packKeys: [SecretBytes]
    ) throws -> UnsafeRawBufferPointer {
        // Safety: both buffers are this reader's own and live on; they are distinct from each other and from `sealed`.
        let packed = try unsafe unseal(sealed, as: entry, pack: pack, packKeys: packKeys)
        let plain = try unsafe unpack(packed, as: entry, pack: pack)
        guard try unsafe hasher(for: entry.kind).authenticate(plain) == entry.identifier else {
            throw RepositoryError(
                .damaged,
                "blob \(entry.identifier.abbreviated) in \(pack.packName) does not have the content it is named after",
                .repair)
        }
        return unsafe plain
    }

    /// Checks the tag of one entry and gives its bytes as the codec packed them, valid until this reader is used again.
    ///
    /// - Throws: ``RepositoryError``, `damaged`, naming pack and blob.
    package func unseal(
        _ sealed: UnsafeRawBufferPointer, as entry: PackEntry, pack: ObjectKey, packKeys: [SecretBytes]
    ) throws -> UnsafeRawBufferPointer {
        // One key serves all blobs of a pack; setting it anew for each costs more than a small blob.
        if keyInUse?.pack != pack || keyInUse?.number != entry.keyNumber {
            cipher.use(packKey: packKeys[Int(entry.keyNumber)])
            keyInUse = (pack, entry.keyNumber)
        }
        // Safety: the room is as long as asked for and this reader's own.
        let output = unsafe packedRoom.first(sealed.count - AuthenticatedCipher.tagByteCount)
        do { try unsafe cipher.open(sealed, as: entry, into: output) } catch is EncryptionError {
            throw RepositoryError(
                .damaged, "blob \(entry.identifier.abbreviated) in \(pack.packName) was damaged or exchanged", .repair)
        }
        return UnsafeRawBufferPointer(output)
    }

    private func unpack(
        _ packed: UnsafeRawBufferPointer, as entry: PackEntry, pack: ObjectKey
    ) throws -> UnsafeRawBufferPointer {
        guard entry.codec == .zstd else { return unsafe packed }
        // Safety: as in unseal.
        let output = unsafe plainRoom.first(Int(entry.plainByteCount))
        do { try unsafe decompressor.decompress(packed, into: output) } catch {
            throw RepositoryError(
                .damaged, "blob \(entry.identifier.abbreviated) in \(pack.packName): \(error.sentence)", .repair)
        }
        return UnsafeRawBufferPointer(output)
    }

    private func hasher(for kind: BlobKind) throws -> KeyedHasher {
        if let hasher = hashers[kind] { return hasher }
        let hasher = KeyedHasher(key: try keys.identityKey(kind))
        hashers[kind] = hasher
        return hasher
    }
}

/// The pack that a reader read last.
private final class LastPack {
    let key: ObjectKey
    let object: ObjectName
    let entries: [PackEntry]
    let keys: [SecretBytes]
    /// Number of the entry that was read last.
    var ordinal = 0

    init(_ pack: ShelvedPack, keys: [SecretBytes]) {
        key = pack.key
        object = pack.object
        entries = pack.contents.entries
        self.keys = keys
    }

    /// Where an id stands, if that is behind the last entry.
    func next(_ identifier: Hash256) -> BlobPlace? {
        guard ordinal + 1 < entries.count, entries[ordinal + 1].identifier == identifier else { return nil }
        return BlobPlace(pack: key, ordinal: ordinal + 1)
    }
}

/// Memory that is as large as the largest piece so far, and is not cleared in between.
// Safety: the memory is this object's own, allocated and freed by it.
@safe private final class GrowingRoom {
    private var room = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 18, alignment: 64)

    deinit { unsafe room.deallocate() }

    /// The first `count` bytes; what they held is undefined. Earlier pieces are not valid any more.
    func first(_ count: Int) -> UnsafeMutableRawBufferPointer {
        if unsafe room.count < count {
            unsafe room.deallocate()
            unsafe room = .allocate(byteCount: count, alignment: 64)
        }
        // Safety: there are at least `count` bytes now.
        return unsafe UnsafeMutableRawBufferPointer(rebasing: room[..<count])
    }
}
