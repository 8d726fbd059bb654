import BackupModel
import ChunkEncryption
import RepositoryFormat

/// A pack put together by hand from the layout on the format page (§§2, 6), so that tests have a second opinion and can
/// write what the builder never would.
struct PlainPack {
    var magic: [UInt8] = [0x44, 0x4F, 0x5A, 0x4F, 0x0D, 0x0A, 0x1A, 0x0A]
    var kind: UInt64 = 7
    var objectClass: UInt8 = 2
    var repository = Sample.repository
    var domain: UInt64 = 6
    var keyEpoch: UInt64 = 7
    var blobs: [UInt8] = []
    var keyTable: [UInt8] = []
    var directory: [UInt8] = []
    var salt = [UInt8](repeating: 0x55, count: 32)

    /// One directory entry of 56 bytes.
    struct Entry {
        var identifier = Sample.hash(0xA0)
        var kind: UInt8 = 1
        var codec: UInt8 = 0
        var key: UInt64 = 0
        var counter: UInt64 = 0
        var offset: UInt64 = 96
        var stored: UInt64 = 16
        var plain: UInt64 = 0
        var dictionary: UInt64 = 0

        var bytes: [UInt8] {
            joined(
                identifier.bytes, [kind, codec], .little(key, 2), .little(counter, 4), .little(offset, 4),
                .little(stored, 4), .little(plain, 4), .little(dictionary, 4))
        }
    }

    static func directory(_ entries: [Entry]) -> [UInt8] {
        joined(.little(UInt64(entries.count), 8), entries.flatMap(\.bytes))
    }

    /// One key of a key table; its contents are not a real message.
    static func key(suite: UInt64 = 1, encapsulated: Int = 32, sealed: Int = 48, zero: UInt64 = 0) -> [UInt8] {
        joined(
            .little(suite, 2), .little(UInt64(encapsulated), 2), .little(UInt64(sealed), 2), .little(zero, 2),
            .little(7, 4), [UInt8](repeating: 0xE1, count: encapsulated + sealed))
    }

    static func keyTable(_ keys: [[UInt8]]) -> [UInt8] {
        joined(.little(UInt64(keys.count), 4), keys.flatMap { $0 })
    }

    var bytes: [UInt8] {
        let sealedCount = 32 + directory.count + 16
        let covered = 96 + blobs.count + keyTable.count + sealedCount
        let checksumCount = (covered + 65_535) / 65_536 * 4
        let body = covered - 96 + checksumCount + 64 + 64
        var bytes = joined(
            magic, .little(1, 2), .little(1, 2), .little(kind, 2), [objectClass, 1], repository.bytes,
            .little(domain, 4), .little(keyEpoch, 4), Sample.signer.publicKey.fingerprint.bytes)
        let bound = bytes
        bytes += joined(.little(UInt64(body), 8), .little(0, 16))
        bytes += blobs
        let keyTableOffset = bytes.count
        bytes += keyTable
        let directoryOffset = bytes.count
        let key = KeyDerivation.derive(key: Sample.indexKey, label: "dozo/1 directory", context: salt, byteCount: 32)
        bytes += salt + AuthenticatedCipher().seal(key: key, nonce: 0, associatedData: bound, plaintext: directory)
        let checksumOffset = bytes.count
        for start in stride(from: 0, to: checksumOffset, by: 65_536) {
            bytes += .little(UInt64(bitwiseCRC32C(bytes[start..<min(start + 65_536, checksumOffset)])), 4)
        }
        bytes += Sample.signer.sign(Array("dozo/1 pack".utf8) + [0] + SecureHash.sha256(bytes).bytes)
        let places = [
            keyTableOffset, keyTable.count, directoryOffset, sealedCount, checksumOffset, checksumCount,
        ]
        for place in places { bytes += [UInt8].little(UInt64(place), 8) }
        bytes += joined(.little(65_536, 8), magic)
        return bytes
    }
}

/// CRC32C as RFC 3720 describes it, one bit a step.
func bitwiseCRC32C(_ bytes: some Sequence<UInt8>) -> UInt32 {
    var value = UInt32.max
    for byte in bytes {
        value ^= UInt32(byte)
        for _ in 0..<8 { value = value >> 1 ^ (value & 1 == 1 ? 0x82F6_3B78 : 0) }
    }
    return ~value
}

/// What the builder made, with the plain blobs that went in.
struct BuiltPack {
    struct Blob {
        var kind: BlobKind
        var codec: BlobCodec
        var identifier: Hash256
        var packed: [UInt8]
        var plainByteCount: Int
    }

    let blobs: [Blob]
    let finished: FinishedPack
    var bytes: [UInt8] { finished.bytes }

    /// About two and a half KiB with both codecs, padding and an empty blob.
    static func small(_ objectClass: ObjectClass = .content) throws -> BuiltPack {
        let kinds: [BlobKind] =
            objectClass == .content ? [.data, .data, .padding, .data, .data] : [.mapLeaf, .mapNode, .imageRoot]
        let sizes = [(1, 1), (700, 1_000), (100, 100), (0, 0), (900, 900)]
        let blobs = kinds.indices.map { index in
            Blob(
                kind: kinds[index], codec: sizes[index].0 == sizes[index].1 ? .stored : .zstd,
                identifier: Sample.hash(UInt8(0xA0 + index)),
                packed: (0..<sizes[index].0).map { UInt8(truncatingIfNeeded: $0 * 7 + index) },
                plainByteCount: sizes[index].1)
        }
        return try BuiltPack(blobs, objectClass)
    }

    init(_ blobs: [Blob], _ objectClass: ObjectClass = .content) throws {
        self.blobs = blobs
        let builder = PackBuilder(
            PackBuilder.Settings(
                recipient: Sample.recipient(objectClass), indexKey: Sample.indexKey, signer: Sample.signer,
                randomness: Sample.counting(), targetByteCount: 1 << 20))
        for blob in blobs {
            try unsafe blob.packed.withUnsafeBytes { bytes in
                try unsafe builder.append(
                    bytes, kind: blob.kind, codec: blob.codec, identifier: blob.identifier,
                    plainByteCount: blob.plainByteCount)
            }
        }
        finished = builder.finish()
    }
}

/// Parses a pack from its bytes as they are.
func parsePack(_ bytes: [UInt8], repository: RepositoryID = Sample.repository) throws -> PackContents {
    try PackContents(
        front: bytes[...], tail: bytes[...], packByteCount: bytes.count, repository: repository,
        indexKey: Sample.indexKey, name: "packs/x")
}

/// Opens the pack's key of that number.
func openKey(_ contents: PackContents, _ number: Int, repository: RepositoryID = Sample.repository) throws
    -> SecretBytes
{
    let header = contents.header
    let key = contents.keys[number]
    return try Sample.recipient(
        header.objectClass, repository: repository, domain: header.domain, epoch: key.keyEpoch
    ).open(key.message, with: Sample.privateKey(header.objectClass), associatedData: [])
}

/// Opens the blob that an entry describes.
func openBlob(
    _ bytes: [UInt8], _ entry: PackEntry, key: SecretBytes, repository: RepositoryID = Sample.repository,
    domain: UInt32 = 6
) throws -> [UInt8] {
    let cipher = BlobCipher(repository: repository, domain: domain)
    cipher.use(packKey: key)
    let start = Int(entry.offset)
    let sealed = Array(bytes[start..<(start + Int(entry.storedByteCount))])
    var plain = [UInt8](repeating: 0, count: sealed.count - 16)
    try unsafe sealed.withUnsafeBytes { input in
        try unsafe plain.withUnsafeMutableBytes { output in try unsafe cipher.open(input, as: entry, into: output) }
    }
    return plain
}
