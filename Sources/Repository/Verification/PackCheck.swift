import BackupModel
import ChunkEncryption
import Effects
import RepositoryFormat

/// What the check of one pack came to.
struct PackResult: Sendable {
    let pack: Inventory.Pack
    /// What is wrong with it; `nil` when nothing is.
    var sentence: String?
    /// Of a pack with something wrong: the blobs that open all the same, by their number in the directory. Which of
    /// them stood there before is for whoever asks to compare: a sound pack may lie under another one's name.
    var survivors: [Int: Hash256] = [:]
    var tagCount = 0
    var contentCount = 0
}

/// Checks packs one after the other. Memory: one pack.
// Safety: given to a child task with a pack and coming back beside the result; one task at a time holds it.
final class PackChecker: @unchecked Sendable {
    private let access: ObjectAccess
    private let chain: OwnerChain
    private let level: VerificationLevel
    private let room = AlignedRoom()
    private let reader: (shelf: PackShelf, blobs: BlobReader, keys: RepositoryKeys)?

    init(
        _ access: ObjectAccess, chain: OwnerChain, level: VerificationLevel,
        reader: (shelf: PackShelf, blobs: BlobReader, keys: RepositoryKeys)?
    ) {
        self.access = access
        self.chain = chain
        self.level = level
        self.reader = reader
    }

    /// Checks size, name, signature and, with keys, every blob that they open.
    func check(_ pack: Inventory.Pack) async throws -> PackResult {
        var result = PackResult(pack: pack)
        let name = pack.key.packName
        if let why = try await access.look(name, into: room) {
            result.sentence = why
            return result
        }
        // Safety: valid until the room is filled again, by the next pack.
        let bytes = unsafe room.bytes
        do {
            try unsafe whole(bytes, pack: pack, name: name)
        } catch let error as FormatError {
            result.sentence = unsafe sentence(error, bytes: bytes, pack: pack, name: name)
        }
        guard let reader, level != .keyless else { return result }
        do {
            let footer = try unsafe PackFooter(
                parsing: Array(bytes.suffix(PackFooter.byteCount))[...], packByteCount: bytes.count, name: name)
            let contents = try unsafe PackContents(
                front: Array(bytes.prefix(ObjectHeader.byteCount))[...],
                tail: Array(bytes[footer.keyTable.lowerBound...])[...], packByteCount: bytes.count,
                repository: chain.repository, indexKey: try reader.keys.indexKey(), name: name)
            try unsafe openBlobs(of: contents, bytes: bytes, reader: reader, into: &result)
        } catch let error as FormatError {
            if result.sentence == nil { result.sentence = error.sentence }
        }
        return result
    }

    private func whole(_ bytes: UnsafeRawBufferPointer, pack: Inventory.Pack, name: String) throws {
        guard UInt64(bytes.count) == pack.byteCount else {
            throw FormatError.damaged("\(name) has \(bytes.count) bytes and was stored with \(pack.byteCount)")
        }
        // Safety: the room that the bytes lie in is this object's own, and nothing fills it meanwhile; here and below.
        let header = try unsafe PackContents.header(
            Array(bytes.prefix(ObjectHeader.byteCount))[...], packByteCount: bytes.count, repository: chain.repository,
            name: name)
        guard header.objectClass == pack.objectClass, header.domain == pack.domain else {
            throw FormatError.misplaced("\(name) is of another class or domain than its writer stated")
        }
        guard let enrolment = chain.signer(header.signer), enrolment.role.signs else {
            throw FormatError.damaged("\(name) names a signer that the owner never enrolled")
        }
        try unsafe ObjectSeal.check(
            bytes, hash: pack.key.hash, label: ObjectSeal.packLabel, footerByteCount: PackFooter.byteCount,
            signedBy: enrolment.key, name: name)
    }

    /// Adds where the damage is, as far as the checksums tell.
    private func sentence(
        _ error: FormatError, bytes: UnsafeRawBufferPointer, pack: Inventory.Pack, name: String
    ) -> String {
        guard UInt64(bytes.count) == pack.byteCount,
            // Safety: as above.
            let blocks = try? unsafe PackContents.damagedBlocks(of: Array(bytes), name: name), !blocks.isEmpty
        else { return error.sentence }
        let places = blocks.prefix(4).map { block in
            let start = block * PackFooter.checksumBlock
            return "\(start) to \(min(start + PackFooter.checksumBlock, bytes.count) - 1)"
        }
        let more = blocks.count > places.count ? " and \(blocks.count - places.count) more blocks" : ""
        return error.sentence + "; the damage is in bytes \(places.joined(separator: ", "))\(more)"
    }

    private func openBlobs(
        of contents: PackContents, bytes: UnsafeRawBufferPointer,
        reader: (shelf: PackShelf, blobs: BlobReader, keys: RepositoryKeys), into result: inout PackResult
    ) throws {
        let isContent = contents.header.objectClass == .content
        // What no key at hand can try is doubtful in a damaged pack and believed in others.
        guard isContent ? reader.keys.opensContent : reader.keys.opensStructure else { return }
        let packKeys: [SecretBytes]
        do { packKeys = try reader.shelf.packKeys(of: result.pack.key, contents: contents) } catch let error
            as RepositoryError where error.isAboutBytes
        {
            if result.sentence == nil { result.sentence = error.sentence }
            return
        }
        for (ordinal, entry) in contents.entries.enumerated() where entry.kind != .padding {
            try Task.checkCancellation()
            let range = Int(entry.offset)..<(Int(entry.offset) + Int(entry.storedByteCount))
            do {
                // Safety: the directory was checked to lie inside the pack; what is opened is not looked at again.
                let sealed = unsafe UnsafeRawBufferPointer(rebasing: bytes[range])
                if level == .content {
                    _ = try unsafe reader.blobs.open(sealed, as: entry, pack: result.pack.key, packKeys: packKeys)
                } else {
                    _ = try unsafe reader.blobs.unseal(sealed, as: entry, pack: result.pack.key, packKeys: packKeys)
                }
                if level == .content { result.contentCount += 1 }
                result.tagCount += 1
                result.survivors[ordinal] = entry.identifier
            } catch let error as RepositoryError where error.isAboutBytes {
                if result.sentence == nil { result.sentence = error.sentence }
            }
        }
        if result.sentence == nil { result.survivors = [:] }
    }
}
