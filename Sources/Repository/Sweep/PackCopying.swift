import BackupModel
import ChunkEncryption
import Effects
import ObjectStorage
import RepositoryFormat

/// Copies what is needed of packs into new ones, without a key to what it copies (format page §6).
///
/// Memory: one pack that is read and one that is filled, of each class.
struct PackCopying {
    let access: ObjectAccess
    let keys: RepositoryKeys
    let signer: SigningKey
    let randomness: Randomness
    /// Epoch of the session's slot.
    let generation: UInt32
    /// Bytes at which a new pack is full.
    let packByteCount: Int

    /// The packs that were put.
    private(set) var packs: [Inventory.Pack] = []
    /// Packs all of whose needed blobs stand in the new ones.
    private(set) var rewritten: [ObjectKey] = []
    /// Packs that do not have the bytes that they are named after.
    private(set) var damaged: [ObjectKey] = []
    private var entries: [(key: ObjectKey, entries: [PackEntry])] = []
    private var copiers: [ObjectClass: PackCopier] = [:]

    init(
        access: ObjectAccess, keys: RepositoryKeys, signer: SigningKey, randomness: Randomness, generation: UInt32,
        packByteCount: Int
    ) {
        self.access = access
        self.keys = keys
        self.signer = signer
        self.randomness = randomness
        self.generation = generation
        self.packByteCount = min(packByteCount, 32 << 20)
    }

    /// Copies the needed blobs of some packs. What is damaged is passed over.
    ///
    /// - Throws: ``RepositoryError``, `storage`.
    mutating func copy(
        _ sources: [ObjectKey], needed: NeededBlobs, shelf: PackShelf, progress: (UInt64, UInt64) -> Void
    ) async throws {
        var total: UInt64 = 0
        for source in sources { total += UInt64(try await byteCount(of: source, shelf: shelf) ?? 0) }
        var passed: UInt64 = 0
        for source in sources {
            try Task.checkCancellation()
            guard let count = try await byteCount(of: source, shelf: shelf) else {
                damaged.append(source)
                continue
            }
            try await copy(source, contents: shelf.contents(of: source), needed: needed)
            passed += UInt64(count)
            progress(passed, total)
        }
        for objectClass in [ObjectClass.structure, .content] where copiers[objectClass]?.isEmpty == false {
            try await put(objectClass)
        }
    }

    /// Size of a pack whose directory opens.
    private func byteCount(of source: ObjectKey, shelf: PackShelf) async throws -> Int? {
        do { return try await shelf.contents(of: source).footer.packByteCount } catch let error as RepositoryError
            where error.isAboutBytes
        { return nil }
    }

    private mutating func copy(_ source: ObjectKey, contents: PackContents, needed: NeededBlobs) async throws {
        // Nothing of a pack that is not what it is named after is carried on, and what another domain's keys seal is
        // not this one's to sign.
        guard contents.header.domain == keys.domain.id, case .bytes(let bytes) = try await access.look(source.packName),
            SecureHash.sha256(bytes) == source.hash
        else {
            damaged.append(source)
            return
        }
        let objectClass = contents.header.objectClass
        for (ordinal, entry) in contents.entries.enumerated()
        where entry.kind != .padding && needed.contains(BlobPlace(pack: source, ordinal: ordinal)) {
            let copier = try copiers[objectClass] ?? copier(for: objectClass)
            let key = contents.keys[Int(entry.keyNumber)]
            if !copier.takes(entry, under: key) { try await put(objectClass) }
            copier.append(
                bytes[Int(entry.offset)..<Int(entry.offset) + Int(entry.storedByteCount)], as: entry, under: key)
        }
        rewritten.append(source)
    }

    private mutating func copier(for objectClass: ObjectClass) throws -> PackCopier {
        let copier = PackCopier(
            PackBuilder.Settings(
                recipient: try keys.recipient(objectClass), indexKey: try keys.indexKey(), signer: signer,
                randomness: randomness, targetByteCount: packByteCount))
        copiers[objectClass] = copier
        return copier
    }

    private mutating func put(_ objectClass: ObjectClass) async throws {
        guard let pack = copiers[objectClass]?.finish() else { return }
        let key = ObjectKey(hash: pack.hash, generation: generation)
        guard case .mine = try await access.put(key.packName, pack.bytes) else {
            throw RepositoryError(
                .damaged, "\(key.packName) holds other bytes than those it is named after; run `dozo verify`", .repair)
        }
        packs.append(
            Inventory.Pack(
                key: key, byteCount: UInt64(pack.bytes.count), objectClass: objectClass, domain: keys.domain.id))
        entries.append((key, pack.entries))
    }

    /// What index runs say of the new packs, in pieces that one run holds.
    func listed() -> [(entries: [IndexEntry], packs: [ObjectKey])] {
        var pieces: [(entries: [IndexEntry], packs: [ObjectKey])] = []
        for (key, entries) in entries {
            if pieces.last.map({ $0.entries.count + entries.count > SessionChain.entriesPerRun }) ?? true {
                pieces.append(([], []))
            }
            let last = pieces.count - 1
            let number = UInt32(pieces[last].packs.count)
            pieces[last].packs.append(key)
            for (ordinal, entry) in entries.enumerated() {
                pieces[last].entries.append(
                    IndexEntry(identifier: entry.identifier, pack: number, ordinal: UInt32(ordinal)))
            }
        }
        return pieces
    }
}
