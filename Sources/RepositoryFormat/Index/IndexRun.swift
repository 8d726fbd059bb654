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

    /// Writes its bytes as a run has them.
    func store(into bytes: UnsafeMutableRawBufferPointer) {
        precondition(bytes.count == IndexEntry.byteCount, "an entry fills its place")
        // Safety: the offsets end exactly at the place's end.
        unsafe identifier.withUnsafeBytes { unsafe bytes.copyMemory(from: $0) }
        unsafe bytes.storeBytes(of: pack.littleEndian, toByteOffset: 32, as: UInt32.self)
        unsafe bytes.storeBytes(of: ordinal.littleEndian, toByteOffset: 36, as: UInt32.self)
    }

    package static func < (left: IndexEntry, right: IndexEntry) -> Bool {
        if left.identifier != right.identifier { return left.identifier < right.identifier }
        return left.pack == right.pack ? left.ordinal < right.ordinal : left.pack < right.pack
    }
}

/// The layout of index runs (format page §9).
package enum IndexRunLayout {
    /// Entries of a full block.
    package static let blockEntryCount = 50
    /// Bytes of a full block in the object, tag included.
    package static let blockByteCount = blockEntryCount * IndexEntry.byteCount + AuthenticatedCipher.tagByteCount
    /// Bytes of a footer.
    package static let footerByteCount = 64
    /// Most entries that leave room for the fence within the object limit.
    package static let entryLimit = 1 << 20
    /// Bytes of a block's first id that the fence repeats.
    package static let prefixByteCount = 8
    static let label = "dozo/1 run"
}

/// What the end of a run says of it.
package struct IndexRunFence: Sendable {
    /// Packs by the number that entries use; empty in a part that is not the head.
    package let packs: [ObjectKey]
    /// Runs whose entries this one and its parts hold too.
    package let merged: [Hash256]
    /// The other parts of this run, in ascending order of their ids.
    package let parts: [Hash256]
    /// The blocks, which open singly.
    package let blocks: IndexRunBlocks

    /// Whether entries count in the pack list of another run, its head.
    package var isPart: Bool { packs.isEmpty }

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
        let partCount = Int(try fields.integer(UInt32.self))
        guard blockCount == footer.blockCount,
            packCount * 36 + (mergedCount + partCount) * Hash256.byteCount
                + blockCount * IndexRunLayout.prefixByteCount == fields.remaining
        else { throw .damaged("the fence of \(name) has counts that do not fit it") }
        guard packCount > 0 || (mergedCount == 0 && partCount == 0) else {
            throw .damaged("\(name) is a part of another run and lists runs of its own")
        }
        var packs: [ObjectKey] = []
        packs.reserveCapacity(packCount)
        for _ in 0..<packCount {
            packs.append(ObjectKey(hash: try fields.hash(), generation: try fields.integer(UInt32.self)))
        }
        var merged: [Hash256] = []
        for _ in 0..<mergedCount { merged.append(try fields.hash()) }
        var parts: [Hash256] = []
        for _ in 0..<partCount { parts.append(try fields.hash()) }
        let words = try fields.take(blockCount * IndexRunLayout.prefixByteCount)
        let prefixes = unsafe words.withUnsafeBytes { bytes in
            // Safety: eight bytes a block were taken.
            (0..<blockCount).map {
                unsafe UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: $0 * 8, as: UInt64.self))
            }
        }
        guard zip(prefixes, prefixes.dropFirst()).allSatisfy({ $0 <= $1 }) else {
            throw .notCanonical("the fence of \(name) is not sorted")
        }
        try fields.finish()
        self.packs = packs
        self.merged = merged
        self.parts = parts
        blocks = IndexRunBlocks(
            prefixes: prefixes, entryCount: footer.entryCount, header: header, key: key, name: name)
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
    ///   - packs: what entries name by number; every number is one of these. Empty in a part, whose entries name
    ///     those of its head.
    ///   - merged: runs whose entries are all in this one and its parts.
    ///   - parts: the other parts of this run; empty for a run of one.
    ///   - randomness: 32 bytes from the kernel.
    /// - Returns: the object's bytes and their hash.
    package static func run(
        entries: [IndexEntry], packs: [ObjectKey], merged: [Hash256] = [], parts: [Hash256] = [],
        repository: RepositoryID, domain: UInt32, keyEpoch: UInt32, indexKey: SecretBytes, signer: SigningKey,
        randomness: [UInt8]
    ) -> (bytes: [UInt8], hash: Hash256) {
        precondition((1...IndexRunLayout.entryLimit).contains(entries.count), "a run has 1 to 2^20 entries")
        precondition(
            packs.isEmpty ? merged.isEmpty && parts.isEmpty : entries.allSatisfy { Int($0.pack) < packs.count },
            "an entry's pack is one of the run's, or of the head's")
        let sorted = ascending(entries)
        var sections: [[UInt8]] = []
        var firsts: [Hash256] = []
        var position = 0
        while position < sorted.count {
            let block = sorted[position..<Swift.min(position + IndexRunLayout.blockEntryCount, sorted.count)]
            firsts.append(sorted[position].identifier)
            let plain = unsafe [UInt8](unsafeUninitializedCapacity: block.count * IndexEntry.byteCount) {
                buffer, count in
                for entry in block {
                    // Safety: an entry's bytes for each entry, as the capacity says.
                    let place = unsafe UnsafeMutableRawBufferPointer(
                        rebasing: UnsafeMutableRawBufferPointer(buffer)[count..<count + IndexEntry.byteCount])
                    unsafe entry.store(into: place)
                    count += IndexEntry.byteCount
                }
            }
            sections.append(plain)
            position += block.count
        }
        let blockCount = sections.count
        sections.append(fence(packs: packs, merged: merged, parts: parts, firsts: firsts))
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

    /// Sorted, each entry once.
    private static func ascending(_ entries: [IndexEntry]) -> [IndexEntry] {
        // What a merge composes is in order already.
        if zip(entries, entries.dropFirst()).allSatisfy({ $0 < $1 }) { return entries }
        var sorted: [IndexEntry] = []
        sorted.reserveCapacity(entries.count)
        for entry in entries.sorted() where sorted.last != entry { sorted.append(entry) }
        return sorted
    }

    private static func fence(
        packs: [ObjectKey], merged: [Hash256], parts: [Hash256], firsts: [Hash256]
    ) -> [UInt8] {
        var fence: [UInt8] = []
        fence.append(littleEndian: UInt32(packs.count))
        fence.append(littleEndian: UInt32(merged.count))
        fence.append(littleEndian: UInt32(firsts.count))
        fence.append(littleEndian: UInt32(parts.count))
        for pack in packs {
            fence.append(pack.hash)
            fence.append(littleEndian: pack.generation)
        }
        for hash in merged + parts { fence.append(hash) }
        for first in firsts { fence.append(littleEndian: first.leadingWord.byteSwapped) }
        return fence
    }
}
