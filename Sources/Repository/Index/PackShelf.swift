import BackupModel
package import ChunkEncryption
import ObjectStorage
package import RepositoryFormat
import Synchronization

/// A pack whose directory was read.
struct ShelvedPack: Sendable {
    let key: ObjectKey
    /// Its name as the store takes it.
    let object: ObjectName
    let contents: PackContents
}

/// Directories and keys of packs, read when they are needed and kept for a while. May be used from several tasks at
/// once.
package final class PackShelf: Sendable {
    /// Packs whose directories are kept: at 500 blobs a pack about 3 MiB in all.
    package static let cachedPackLimit = 128

    private struct Cache {
        var packs: [ObjectKey: ShelvedPack] = [:]
        var order: [ObjectKey] = []
        var keys: [ObjectKey: [SecretBytes]] = [:]
    }

    private let access: ObjectAccess
    private let keys: RepositoryKeys
    private let cache = Mutex(Cache())

    /// A shelf for one repository and one credential.
    package init(_ access: ObjectAccess, keys: RepositoryKeys) {
        self.access = access
        self.keys = keys
    }

    /// What a pack says of itself.
    ///
    /// - Throws: ``RepositoryError``: `damaged` when it is missing or its trailer does not open.
    package func contents(of key: ObjectKey) async throws -> PackContents { try await pack(key).contents }

    /// As ``contents(of:)``, with the name of the object.
    func pack(_ key: ObjectKey) async throws -> ShelvedPack {
        if let pack = cache.withLock({ $0.packs[key] }) { return pack }
        let name = key.packName
        let size = try await access.byteCount(name)
        guard let size else { throw RepositoryError(.damaged, "the pack \(name) is missing", .repair) }
        guard size <= UInt64(FormatLimits.objectByteCount), size > UInt64(ObjectHeader.byteCount + PackFooter.byteCount)
        else { throw RepositoryError(.damaged, "the pack \(name) has \(size) bytes, which no pack has", .repair) }
        let count = Int(size)
        let front = try await access.bytes(name, range: 0..<ObjectHeader.byteCount)
        let footer = try await access.bytes(name, range: (count - PackFooter.byteCount)..<count)
        let indexKey = try keys.indexKey()
        let contents = try await RepositoryError.translating {
            let parsed = try PackFooter(parsing: footer[...], packByteCount: count, name: name)
            let tail = try await access.bytes(name, range: parsed.keyTable.lowerBound..<count)
            return try PackContents(
                front: front[...], tail: tail[...], packByteCount: count, repository: keys.repository,
                indexKey: indexKey, name: name)
        }
        let pack = ShelvedPack(key: key, object: ObjectAccess.name(name), contents: contents)
        cache.withLock { cache in
            guard cache.packs[key] == nil else { return }
            if cache.order.count >= PackShelf.cachedPackLimit {
                for old in cache.order.prefix(PackShelf.cachedPackLimit / 2) {
                    cache.packs[old] = nil
                    cache.keys[old] = nil
                }
                cache.order.removeFirst(PackShelf.cachedPackLimit / 2)
            }
            cache.packs[key] = pack
            cache.order.append(key)
        }
        return pack
    }

    /// The opened pack keys, by number.
    ///
    /// - Throws: ``RepositoryError``: `roleLacksKey` when the credential does not open packs of this class; `damaged`.
    package func packKeys(of key: ObjectKey, contents: PackContents) throws -> [SecretBytes] {
        if let opened = cache.withLock({ $0.keys[key] }) { return opened }
        let objectClass = contents.header.objectClass
        let privateKey =
            objectClass == .content ? try keys.contentPrivateKey() : try keys.structurePrivateKey()
        let recipient = try keys.recipient(objectClass)
        var opened: [SecretBytes] = []
        for sealed in contents.keys {
            guard sealed.keyEpoch <= recipient.keyEpoch else {
                throw RepositoryError(
                    .damaged,
                    "a key of the pack \(key.packName) names key epoch \(sealed.keyEpoch), which the owner never "
                        + "began: the pack was damaged or exchanged", .repair)
            }
            guard sealed.keyEpoch == recipient.keyEpoch, contents.header.domain == recipient.domain else {
                throw RepositoryError(
                    .wrongKey,
                    "the pack \(key.packName) is sealed to key epoch \(sealed.keyEpoch) of domain "
                        + "\(contents.header.domain), which is not at hand"
                )
            }
            do { opened.append(try recipient.open(sealed.message, with: privateKey, associatedData: [])) } catch {
                throw RepositoryError(
                    .damaged, "a key of the pack \(key.packName) does not open: the pack was damaged or exchanged",
                    .repair)
            }
        }
        cache.withLock { if $0.packs[key] != nil { $0.keys[key] = opened } }
        return opened
    }
}
