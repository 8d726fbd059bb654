import BackupModel
import ChunkEncryption
import RepositoryFormat
import TestKit

/// A run that was built, and what went in.
struct IndexRunSample {
    let entries: [IndexEntry]
    let packs: [ObjectKey]
    let merged: [Hash256]
    let bytes: [UInt8]
    let hash: Hash256

    /// Entries in no order, in three packs, about every fourth id in two of them.
    init(count: Int, seed: UInt64 = 1) {
        var dice = Dice(seed: seed)
        var entries: [IndexEntry] = []
        while entries.count < count {
            let twin = entries.count > 0 && dice.roll(below: 4) == 0
            let identifier =
                twin
                ? entries[Int(dice.roll(below: UInt64(entries.count)))].identifier : Hash256(bytes: dice.bytes(32))!
            let entry = IndexEntry(
                identifier: identifier, pack: UInt32(dice.roll(below: 3)), ordinal: UInt32(dice.roll(below: 65_536)))
            if !entries.contains(entry) { entries.append(entry) }
        }
        self.init(entries: entries, randomness: [UInt8](repeating: UInt8(truncatingIfNeeded: seed), count: 32))
    }

    init(entries: [IndexEntry], parts: [Hash256] = [], randomness: [UInt8] = [UInt8](0..<32)) {
        self.entries = entries
        packs = (0..<3).map { ObjectKey(hash: Sample.hash(UInt8(0xC0 + $0)), generation: UInt32($0)) }
        merged = [Sample.hash(0xD0), Sample.hash(0xD1)]
        (bytes, hash) = IndexRunBuilder.run(
            entries: entries, packs: packs, merged: merged, parts: parts, repository: Sample.repository, domain: 6,
            keyEpoch: 7, indexKey: Sample.indexKey, signer: Sample.signer, randomness: randomness)
    }

    static func fence(
        _ bytes: [UInt8], repository: RepositoryID = Sample.repository, indexKey: SecretBytes = Sample.indexKey
    ) throws -> IndexRunFence {
        try IndexRunFence(
            front: bytes[...], tail: bytes[...], runByteCount: bytes.count, repository: repository, indexKey: indexKey,
            name: "runs/x")
    }

    /// Fence and all blocks through the parsers, as a reader would.
    static func read(_ bytes: [UInt8]) throws -> (fence: IndexRunFence, entries: [IndexEntry]) {
        let tail = try IndexRunFence.tailByteCount(footer: bytes.suffix(64), name: "runs/x")
        let fence = try IndexRunFence(
            front: bytes.prefix(96), tail: bytes.suffix(tail), runByteCount: bytes.count,
            repository: Sample.repository, indexKey: Sample.indexKey, name: "runs/x")
        var entries: [IndexEntry] = []
        for block in 0..<fence.blocks.count {
            entries += try fence.blocks.open(
                block: block, Array(bytes[fence.blocks.byteRange(ofBlock: block)]), packCount: fence.packs.count)
        }
        return (fence, entries)
    }
}

/// An index run put together by hand from the layout on the format page (§9).
struct PlainRun {
    var blocks: [[UInt8]]
    var fence: [UInt8]
    var blockCount: UInt64
    var entryCount: UInt64
    var salt = [UInt8](repeating: 0x66, count: 32)

    /// A run of one block.
    init(_ entries: [[UInt8]], packs: Int = 1) {
        blocks = [entries.flatMap { $0 }]
        blockCount = 1
        entryCount = UInt64(entries.count)
        fence = PlainRun.fence(packs: packs, merged: 0, firsts: [Array(entries[0][..<8])])
    }

    static func entry(_ identifier: UInt8, pack: UInt64 = 0, ordinal: UInt64 = 0) -> [UInt8] {
        joined(Sample.hash(identifier).bytes, .little(pack, 4), .little(ordinal, 4))
    }

    static func fence(packs: Int, merged: Int, parts: Int = 0, firsts: [[UInt8]]) -> [UInt8] {
        var fence = joined(
            .little(UInt64(packs), 4), .little(UInt64(merged), 4), .little(UInt64(firsts.count), 4),
            .little(UInt64(parts), 4))
        for pack in 0..<packs { fence += joined(Sample.hash(UInt8(0xC0 + pack)).bytes, .little(UInt64(pack), 4)) }
        for run in 0..<merged { fence += Sample.hash(UInt8(0xD0 + run)).bytes }
        for part in 0..<parts { fence += Sample.hash(UInt8(0xE0 + part)).bytes }
        return fence + firsts.flatMap { $0 }
    }

    var bytes: [UInt8] {
        let sections = blocks + [fence]
        let body = sections.reduce(0) { $0 + $1.count + 16 } + 128
        let magic: [UInt8] = [0x44, 0x4F, 0x5A, 0x4F, 0x0D, 0x0A, 0x1A, 0x0A]
        var bytes = joined(
            magic, .little(1, 2), .little(1, 2), .little(8, 2), [1, 1], Sample.repository.bytes, .little(6, 4),
            .little(7, 4), Sample.signer.publicKey.fingerprint.bytes)
        let bound = bytes
        bytes += joined(.little(UInt64(body), 8), .little(0, 16))
        let key = KeyDerivation.derive(key: Sample.indexKey, label: "dozo/1 run", context: salt, byteCount: 32)
        for (number, section) in sections.enumerated() {
            bytes += AuthenticatedCipher().seal(
                key: key, nonce: UInt64(number), associatedData: joined(bound, .little(UInt64(number), 8)),
                plaintext: section)
        }
        bytes += Sample.signer.sign(Array("dozo/1 run".utf8) + [0] + SecureHash.sha256(bytes).bytes)
        return joined(
            bytes, salt, .little(blockCount, 4), .little(entryCount, 4), .little(UInt64(fence.count + 16), 8),
            .little(0, 8), magic)
    }
}
