package import BackupModel
package import ChunkEncryption

/// One entry of an index run: an id, and a place where its blob stands.
package struct IndexEntry: Hashable, Comparable, Sendable {
    /// Bytes of an encoded entry.
    package static let byteCount = 40

    /// Id of the blob.
    package let identifier: Hash256
    /// Which of the run's packs.
    package let pack: UInt32
    /// Which entry of that pack's directory.
    package let ordinal: UInt32

    /// An entry from its fields.
    package init(identifier: Hash256, pack: UInt32, ordinal: UInt32) {
        self.identifier = identifier
        self.pack = pack
        self.ordinal = ordinal
    }

    package static func < (left: IndexEntry, right: IndexEntry) -> Bool {
        if left.identifier != right.identifier { return left.identifier < right.identifier }
        return left.pack == right.pack ? left.ordinal < right.ordinal : left.pack < right.pack
    }
}

/// The layout of index runs (format page §9).
package enum IndexRunLayout {
    /// Entries of a full block.
    package static let blockEntryCount = 400
    /// Bytes of a full block in the object, tag included.
    package static let blockByteCount = blockEntryCount * IndexEntry.byteCount + AuthenticatedCipher.tagByteCount
    /// Bytes of a footer.
    package static let footerByteCount = 64
    /// Most entries that leave room for the fence within the object limit.
    package static let entryLimit = 1 << 20
    static let label = "dozo/1 run"
}

/// Where the blocks of a run are and what they lean on.
package struct IndexRunFence: Sendable {
    /// Packs by the number that entries use.
    package let packs: [ObjectKey]
    /// Runs whose entries this one holds too.
    package let merged: [Hash256]
    /// The first id of each block.
    package let firstIdentifiers: [Hash256]
    /// Entries of all blocks.
    package let entryCount: Int
    private let header: ObjectHeader
    private let key: SecretBytes
    private let name: String

    /// Bytes of a block in the object.
    package func byteRange(ofBlock block: Int) -> Range<Int> {
        precondition(firstIdentifiers.indices.contains(block), "the run has that block")
        let start = ObjectHeader.byteCount + block * IndexRunLayout.blockByteCount
        return start..<(start + entryCount(ofBlock: block) * IndexEntry.byteCount + AuthenticatedCipher.tagByteCount)
    }

    private func entryCount(ofBlock block: Int) -> Int {
        Swift.min(IndexRunLayout.blockEntryCount, entryCount - block * IndexRunLayout.blockEntryCount)
    }

    /// Opens one block and checks that it is sorted.
    ///
    /// - Parameter sealed: the bytes at ``byteRange(ofBlock:)``.
    /// - Throws: ``FormatError``, `damaged`.
    package func open(block: Int, _ sealed: [UInt8]) throws(FormatError) -> [IndexEntry] {
        let what = "block \(block) of \(name)"
        let plain: [UInt8]
        do {
            plain = try AuthenticatedCipher().open(
                key: key, nonce: UInt64(block),
                associatedData: IndexRunBuilder.associatedData(header, section: block), sealed: sealed)
        } catch { throw .damaged("\(what) does not open: it was damaged or exchanged") }
        var fields = FieldReader(plain[...], of: what)
        var entries: [IndexEntry] = []
        entries.reserveCapacity(entryCount(ofBlock: block))
        for _ in 0..<entryCount(ofBlock: block) {
            let entry = IndexEntry(
                identifier: try fields.hash(), pack: try fields.integer(UInt32.self),
                ordinal: try fields.integer(UInt32.self))
            if let last = entries.last, !(last < entry) { throw .notCanonical("\(what) is not sorted") }
            guard Int(entry.pack) < packs.count else { throw .damaged("\(what) names a pack that the run does not") }
            entries.append(entry)
        }
        try fields.finish()
        guard entries.first?.identifier == firstIdentifiers[block] else {
            throw .damaged("\(what) does not begin as the fence says")
        }
        return entries
    }

    /// Bytes from the end of the object that hold footer, signature and fence, from its footer.
    ///
    /// - Parameter footer: the run's last 64 bytes.
    /// - Throws: ``FormatError``.
    package static func tailByteCount(footer: ArraySlice<UInt8>, name: String) throws(FormatError) -> Int {
        let parsed = try IndexRunFooter(parsing: footer, name: name)
        return parsed.fenceByteCount + VerifyingKey.signatureByteCount + IndexRunLayout.footerByteCount
    }

    /// Parses the fence of a run with the index key.
    ///
    /// - Parameters:
    ///   - front: the run's first 96 bytes, or more.
    ///   - tail: the run's last bytes, at least ``tailByteCount(footer:name:)``.
    /// - Throws: ``FormatError``.
    package init(
        front: ArraySlice<UInt8>, tail: ArraySlice<UInt8>, runByteCount: Int, repository: RepositoryID,
        indexKey: SecretBytes, name: String
    ) throws(FormatError) {
        let header = try ObjectHeader(parsing: front, name: name)
        guard header.kind == .indexRun, header.repository == repository else {
            throw .misplaced("\(name) holds no index run of this repository")
        }
        guard header.objectClass == .structure, Int(header.bodyByteCount) == runByteCount - ObjectHeader.byteCount
        else {
            throw .damaged("\(name) has \(runByteCount) bytes, which is not what its header says")
        }
        guard tail.count >= IndexRunLayout.footerByteCount else {
            throw .truncated(name, needed: IndexRunLayout.footerByteCount, available: tail.count)
        }
        let footer = try IndexRunFooter(parsing: tail.suffix(IndexRunLayout.footerByteCount), name: name)
        let behind = footer.fenceByteCount + VerifyingKey.signatureByteCount + IndexRunLayout.footerByteCount
        guard footer.blocksByteCount + ObjectHeader.byteCount + behind == runByteCount, tail.count >= behind else {
            throw .damaged("the footer of \(name) does not fit the run of \(runByteCount) bytes")
        }
        let key = SealedSection.key(indexKey: indexKey, label: IndexRunLayout.label, salt: footer.salt)
        let start = tail.endIndex - behind
        let plain: [UInt8]
        do {
            plain = try AuthenticatedCipher().open(
                key: key, nonce: UInt64(footer.blockCount),
                associatedData: IndexRunBuilder.associatedData(header, section: footer.blockCount),
                sealed: Array(tail[start..<(start + footer.fenceByteCount)]))
        } catch { throw .damaged("the fence of \(name) does not open: it was damaged or exchanged") }
        var fields = FieldReader(plain[...], of: "the fence of \(name)")
        let packCount = Int(try fields.integer(UInt32.self))
        let mergedCount = Int(try fields.integer(UInt32.self))
        let blockCount = Int(try fields.integer(UInt32.self))
        try fields.zeros(4)
        guard blockCount == footer.blockCount,
            packCount * 36 + mergedCount * 32 + blockCount * 32 == fields.remaining
        else { throw .damaged("the fence of \(name) has counts that do not fit it") }
        var packs: [ObjectKey] = []
        for _ in 0..<packCount {
            packs.append(ObjectKey(hash: try fields.hash(), generation: try fields.integer(UInt32.self)))
        }
        var merged: [Hash256] = []
        for _ in 0..<mergedCount { merged.append(try fields.hash()) }
        var first: [Hash256] = []
        for _ in 0..<blockCount {
            let identifier = try fields.hash()
            if let last = first.last, identifier < last { throw .notCanonical("the fence of \(name) is not sorted") }
            first.append(identifier)
        }
        try fields.finish()
        self.packs = packs
        self.merged = merged
        firstIdentifiers = first
        entryCount = footer.entryCount
        self.header = header
        self.key = key
        self.name = name
    }
}

private struct IndexRunFooter {
    let salt: [UInt8]
    let blockCount: Int
    let entryCount: Int
    let fenceByteCount: Int

    var blocksByteCount: Int {
        entryCount * IndexEntry.byteCount + blockCount * AuthenticatedCipher.tagByteCount
    }

    init(parsing bytes: ArraySlice<UInt8>, name: String) throws(FormatError) {
        var fields = FieldReader(bytes, of: "the footer of \(name)")
        salt = Array(try fields.take(SealedSection.saltByteCount))
        blockCount = Int(try fields.integer(UInt32.self))
        entryCount = Int(try fields.integer(UInt32.self))
        let fence = try fields.integer(UInt64.self)
        try fields.zeros(8)
        guard try fields.take(8).elementsEqual(ObjectHeader.magic) else {
            throw .damaged("\(name) does not end like an index run")
        }
        try fields.finish()
        guard fence <= UInt64(FormatLimits.objectByteCount), entryCount <= IndexRunLayout.entryLimit,
            blockCount == (entryCount + IndexRunLayout.blockEntryCount - 1) / IndexRunLayout.blockEntryCount
        else { throw .damaged("the footer of \(name) has counts that do not fit each other") }
        fenceByteCount = Int(fence)
    }
}

/// Composes index runs.
package enum IndexRunBuilder {
    static func associatedData(_ header: ObjectHeader, section: Int) -> [UInt8] {
        var data = SealedSection.associatedData(header)
        data.append(littleEndian: UInt64(section))
        return data
    }

    /// Sorts, seals and signs a run.
    ///
    /// - Parameters:
    ///   - entries: 1 … ``IndexRunLayout/entryLimit``, in any order; repeated ones count once.
    ///   - packs: what entries name by number; every number is one of these.
    ///   - merged: runs whose entries are all in this one.
    ///   - randomness: 32 bytes from the kernel.
    /// - Returns: the object's bytes and their hash.
    package static func run(
        entries: [IndexEntry], packs: [ObjectKey], merged: [Hash256], repository: RepositoryID, domain: UInt32,
        keyEpoch: UInt32, indexKey: SecretBytes, signer: SigningKey, randomness: [UInt8]
    ) -> (bytes: [UInt8], hash: Hash256) {
        precondition((1...IndexRunLayout.entryLimit).contains(entries.count), "a run has 1 to 2^20 entries")
        precondition(entries.allSatisfy { Int($0.pack) < packs.count }, "an entry's pack is one of the run's")
        var sorted = entries.sorted()
        sorted = sorted.enumerated().filter { $0.offset == 0 || sorted[$0.offset - 1] != $0.element }.map(\.element)
        var sections: [[UInt8]] = []
        var firsts: [Hash256] = []
        var position = 0
        while position < sorted.count {
            let block = sorted[position..<Swift.min(position + IndexRunLayout.blockEntryCount, sorted.count)]
            firsts.append(sorted[position].identifier)
            var plain: [UInt8] = []
            plain.reserveCapacity(block.count * IndexEntry.byteCount)
            for entry in block {
                plain.append(entry.identifier)
                plain.append(littleEndian: entry.pack)
                plain.append(littleEndian: entry.ordinal)
            }
            sections.append(plain)
            position += block.count
        }
        let blockCount = sections.count
        sections.append(fence(packs: packs, merged: merged, firsts: firsts))
        let digest = StreamingSHA256()
        for section in sections { digest.update(section) }
        let salt = SealedSection.salt(indexKey: indexKey, randomness: randomness, contentHash: digest.finish())
        let key = SealedSection.key(indexKey: indexKey, label: IndexRunLayout.label, salt: salt)
        let sealedByteCount = sections.reduce(0) { $0 + $1.count + AuthenticatedCipher.tagByteCount }
        let header = ObjectHeader(
            kind: .indexRun, objectClass: .structure, repository: repository, domain: domain, keyEpoch: keyEpoch,
            signer: signer.publicKey.fingerprint,
            bodyByteCount: UInt64(
                sealedByteCount + VerifyingKey.signatureByteCount + IndexRunLayout.footerByteCount))
        var bytes = header.encoded
        let cipher = AuthenticatedCipher()
        for (number, section) in sections.enumerated() {
            bytes += cipher.seal(
                key: key, nonce: UInt64(number), associatedData: associatedData(header, section: number),
                plaintext: section)
        }
        var footer = salt
        footer.append(littleEndian: UInt32(blockCount))
        footer.append(littleEndian: UInt32(sorted.count))
        footer.append(littleEndian: UInt64(sections[blockCount].count + AuthenticatedCipher.tagByteCount))
        footer.append(littleEndian: UInt64(0))
        footer += ObjectHeader.magic
        let sealed = ObjectSeal.signed(bytes, label: ObjectSeal.runLabel, footer: footer, by: signer)
        return (sealed.bytes, sealed.hash)
    }

    private static func fence(packs: [ObjectKey], merged: [Hash256], firsts: [Hash256]) -> [UInt8] {
        var fence: [UInt8] = []
        fence.append(littleEndian: UInt32(packs.count))
        fence.append(littleEndian: UInt32(merged.count))
        fence.append(littleEndian: UInt32(firsts.count))
        fence.append(littleEndian: UInt32(0))
        for pack in packs {
            fence.append(pack.hash)
            fence.append(littleEndian: pack.generation)
        }
        for hash in merged { fence.append(hash) }
        for first in firsts { fence.append(first) }
        return fence
    }
}
