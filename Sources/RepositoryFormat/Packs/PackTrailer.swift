import BackupModel
package import ChunkEncryption

/// A pack key as it stands in a key table: 32 random bytes sealed to a public key of the pack's class.
package struct SealedPackKey: Hashable, Sendable {
    /// Epoch of the public key it was sealed to.
    package let keyEpoch: UInt32
    /// HPKE message.
    package let message: SealedMessage
}

/// Where the parts behind the blobs of a pack lie, from its footer (format page §6).
package struct PackFooter: Hashable, Sendable {
    /// Bytes of a footer.
    package static let byteCount = 64
    /// Bytes that one checksum covers.
    package static let checksumBlock = 64 << 10

    /// Byte range of the key table in the pack.
    package let keyTable: Range<Int>
    /// Byte range of salt, sealed directory and tag.
    package let directory: Range<Int>
    /// Byte range of the checksums.
    package let checksums: Range<Int>

    /// Bytes of a pack with such a footer: the checksums are followed by the signature and the footer itself.
    package var packByteCount: Int { checksums.upperBound + VerifyingKey.signatureByteCount + PackFooter.byteCount }
    /// Where the blobs lie.
    package var blobs: Range<Int> { ObjectHeader.byteCount..<keyTable.lowerBound }

    init(keyTable: Range<Int>, directory: Range<Int>, checksums: Range<Int>) {
        self.keyTable = keyTable
        self.directory = directory
        self.checksums = checksums
    }

    var encoded: [UInt8] {
        var bytes: [UInt8] = []
        for range in [keyTable, directory, checksums] {
            bytes.append(littleEndian: UInt64(range.lowerBound))
            bytes.append(littleEndian: UInt64(range.count))
        }
        bytes.append(littleEndian: UInt32(PackFooter.checksumBlock))
        bytes.append(littleEndian: UInt32(0))
        bytes += ObjectHeader.magic
        return bytes
    }

    /// Parses the last 64 bytes of a pack.
    ///
    /// - Parameter packByteCount: size of the whole pack; every byte of it must be accounted for.
    /// - Throws: ``FormatError``, `damaged` or `malformed`.
    package init(parsing bytes: ArraySlice<UInt8>, packByteCount: Int, name: String) throws(FormatError) {
        var fields = FieldReader(bytes, of: "the footer of \(name)")
        var position = -1
        func range(_ fields: inout FieldReader) throws(FormatError) -> Range<Int> {
            let offset = try fields.integer(UInt64.self)
            let count = try fields.integer(UInt64.self)
            let limit = UInt64(FormatLimits.objectByteCount)
            guard offset <= limit, count <= limit, position < 0 || Int(offset) == position else {
                throw .damaged("the footer of \(name) does not fit the pack")
            }
            position = Int(offset) + Int(count)
            return Int(offset)..<position
        }
        keyTable = try range(&fields)
        directory = try range(&fields)
        checksums = try range(&fields)
        guard try fields.integer(UInt32.self) == UInt32(PackFooter.checksumBlock) else {
            throw .notCanonical("\(name): the checksum block is not \(PackFooter.checksumBlock) bytes")
        }
        try fields.zeros(4)
        guard try fields.take(8).elementsEqual(ObjectHeader.magic) else {
            throw .damaged("\(name) does not end like a pack")
        }
        try fields.finish()
        let blocks = (checksums.lowerBound + PackFooter.checksumBlock - 1) / PackFooter.checksumBlock
        guard keyTable.lowerBound >= ObjectHeader.byteCount, self.packByteCount == packByteCount,
            checksums.count == blocks * 4, directory.count >= PackDirectory.smallestByteCount
        else { throw .damaged("the footer of \(name) does not fit the pack of \(packByteCount) bytes") }
    }
}

/// The list of a pack's keys.
package enum PackKeyTable {
    static let suite: UInt16 = 1

    static func encoded(_ keys: [SealedPackKey]) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.append(littleEndian: UInt32(keys.count))
        for key in keys {
            bytes.append(littleEndian: suite)
            bytes.append(littleEndian: UInt16(key.message.encapsulatedKey.count))
            bytes.append(littleEndian: UInt16(key.message.ciphertext.count))
            bytes.append(littleEndian: UInt16(0))
            bytes.append(littleEndian: key.keyEpoch)
            bytes += key.message.encapsulatedKey
            bytes += key.message.ciphertext
        }
        return bytes
    }

    /// Parses a key table.
    ///
    /// - Throws: ``FormatError``: `unsupported` for another suite, `damaged` or `malformed` otherwise.
    package static func parse(_ bytes: ArraySlice<UInt8>, name: String) throws(FormatError) -> [SealedPackKey] {
        var fields = FieldReader(bytes, of: "the key table of \(name)")
        let count = try fields.integer(UInt32.self)
        guard count <= FormatLimits.packKeyCount else {
            throw .overLimit("keys of \(name)", value: UInt64(count), limit: UInt64(FormatLimits.packKeyCount))
        }
        var keys: [SealedPackKey] = []
        for _ in 0..<count {
            let suite = try fields.integer(UInt16.self)
            guard suite == PackKeyTable.suite else {
                throw .unsupported("\(name) has a key sealed by suite \(suite), which this program does not know")
            }
            let encapsulated = Int(try fields.integer(UInt16.self))
            let sealed = Int(try fields.integer(UInt16.self))
            try fields.zeros(2)
            let epoch = try fields.integer(UInt32.self)
            guard encapsulated == SealedMessage.encapsulatedKeyByteCount, sealed == 48 else {
                throw .damaged("\(name) has a sealed key of \(encapsulated) and \(sealed) bytes instead of 32 and 48")
            }
            keys.append(
                SealedPackKey(
                    keyEpoch: epoch,
                    message: SealedMessage(
                        encapsulatedKey: Array(try fields.take(encapsulated)),
                        ciphertext: Array(try fields.take(sealed)))))
        }
        try fields.finish()
        return keys
    }
}

/// The list of a pack's blobs, sealed under the index key: writers, maintainers and readers can rebuild an index from
/// it, a store cannot.
package enum PackDirectory {
    static let saltByteCount = 32
    static let smallestByteCount = saltByteCount + 8 + AuthenticatedCipher.tagByteCount
    static let label = "dozo/1 directory"

    static func encoded(_ entries: [PackEntry]) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(8 + entries.count * PackEntry.byteCount)
        bytes.append(littleEndian: UInt32(entries.count))
        bytes.append(littleEndian: UInt32(0))
        for entry in entries { entry.append(to: &bytes) }
        return bytes
    }

    /// Opens and checks a directory.
    ///
    /// - Parameters:
    ///   - sealed: salt, ciphertext and tag.
    ///   - keyCount: keys in the pack's key table; each must be used.
    /// - Throws: ``FormatError``: `damaged` when it does not open or the entries do not tile the blobs exactly.
    package static func open(
        _ sealed: ArraySlice<UInt8>, header: ObjectHeader, footer: PackFooter, keyCount: Int, indexKey: SecretBytes,
        name: String
    ) throws(FormatError) -> [PackEntry] {
        let plain = try SealedSection.open(
            Array(sealed), label: label, number: 0, header: header, indexKey: indexKey,
            what: "the directory of \(name)")
        var fields = FieldReader(plain[...], of: "the directory of \(name)")
        let count = try fields.integer(UInt32.self)
        try fields.zeros(4)
        guard count <= FormatLimits.directoryEntryCount else {
            throw .overLimit(
                "entries of \(name)", value: UInt64(count), limit: UInt64(FormatLimits.directoryEntryCount))
        }
        var entries: [PackEntry] = []
        entries.reserveCapacity(Int(count))
        var usedKeys = Set<UInt16>()
        // A nonce stands once under a key. Blob keys differ by content anyway; a writer that forgot is found here.
        var usedCounters = Set<UInt64>()
        var position = footer.blobs.lowerBound
        for _ in 0..<count {
            let entry = try PackEntry(parsing: &fields, of: name)
            try check(entry, at: position, header: header, keyCount: keyCount, name: name)
            position += Int(entry.storedByteCount)
            usedKeys.insert(entry.keyNumber)
            guard usedCounters.insert(UInt64(entry.keyNumber) << 32 | UInt64(entry.counter)).inserted else {
                throw .damaged("the directory of \(name) uses the counter \(entry.counter) twice under one key")
            }
            entries.append(entry)
        }
        try fields.finish()
        guard position == footer.blobs.upperBound, usedKeys.count == keyCount else {
            throw .damaged("the directory of \(name) leaves bytes or keys of the pack unaccounted for")
        }
        return entries
    }

    private static func check(
        _ entry: PackEntry, at position: Int, header: ObjectHeader, keyCount: Int, name: String
    ) throws(FormatError) {
        guard Int(entry.offset) == position, Int(entry.keyNumber) < keyCount,
            Int(entry.storedByteCount) >= AuthenticatedCipher.tagByteCount,
            Int(entry.storedByteCount) <= FormatLimits.objectByteCount,
            entry.kind.objectClass == header.objectClass
        else { throw .damaged("the directory of \(name) has an entry that does not fit the pack") }
        guard Int(entry.plainByteCount) <= FormatLimits.chunkByteCount else {
            throw .overLimit(
                "a chunk of \(name)", value: UInt64(entry.plainByteCount), limit: UInt64(FormatLimits.chunkByteCount))
        }
        let packed = Int(entry.storedByteCount) - AuthenticatedCipher.tagByteCount
        guard entry.codec != .stored || packed == Int(entry.plainByteCount),
            entry.codec == .stored || packed < Int(entry.plainByteCount)
        else { throw .damaged("the directory of \(name) has an entry whose lengths cannot both be true") }
    }
}
