package import BackupModel
package import ChunkEncryption
package import Effects

/// A pack that is ready to be put: its bytes, their hash, and what it holds.
package struct FinishedPack: Sendable {
    /// All bytes of the object.
    package let bytes: [UInt8]
    /// SHA-256 of ``bytes``, the name of the pack.
    package let hash: Hash256
    /// Its directory, in the order of the blobs.
    package let entries: [PackEntry]

    /// A pack by its parts; nothing is checked here.
    package init(bytes: [UInt8], hash: Hash256, entries: [PackEntry]) {
        self.bytes = bytes
        self.hash = hash
        self.entries = entries
    }
}

/// Fills one pack after the other. Belongs to one worker at a time.
///
/// Memory: one buffer of the target size plus the largest blob and trailer, handed over with each finished pack.
package final class PackBuilder {
    /// What goes around the blobs for one pack after the other.
    package struct Settings: Sendable {
        /// Whom the pack keys are sealed to; decides class and domain.
        package let recipient: DomainRecipient
        /// Derives the key of the directory.
        package let indexKey: SecretBytes
        /// Signs the pack.
        package let signer: SigningKey
        /// Where pack keys come from.
        package let randomness: Randomness
        /// A pack is full once it has this many bytes; at most 56 MiB, so that a last chunk and the trailer still fit
        /// the object limit.
        package let targetByteCount: Int

        /// Checks the target size.
        package init(
            recipient: DomainRecipient, indexKey: SecretBytes, signer: SigningKey, randomness: Randomness,
            targetByteCount: Int
        ) {
            precondition(
                (1...(56 << 20)).contains(targetByteCount), "a pack of up to 56 MiB leaves room for its trailer")
            self.recipient = recipient
            self.indexKey = indexKey
            self.signer = signer
            self.randomness = randomness
            self.targetByteCount = targetByteCount
        }
    }

    /// Blobs beyond which a pack is full, whatever its size: its directory stays small.
    package static let fullEntryCount = FormatLimits.directoryEntryCount / 2

    private let settings: Settings
    private let cipher: BlobCipher
    private var bytes: [UInt8] = []
    private var entries: [PackEntry] = []
    private var sealedKey: SealedPackKey?

    /// An empty builder; nothing is allocated before the first blob.
    package init(_ settings: Settings) {
        self.settings = settings
        cipher = BlobCipher(repository: settings.recipient.repository, domain: settings.recipient.domain)
    }

    /// Whether nothing was appended since the last pack was finished.
    package var isEmpty: Bool { entries.isEmpty }
    /// Whether the pack should be finished before more is appended.
    package var isFull: Bool {
        bytes.count >= settings.targetByteCount || entries.count >= PackBuilder.fullEntryCount
    }
    /// Bytes so far, without the trailer.
    package var byteCount: Int { bytes.count }

    /// Seals a blob to the end of the pack.
    ///
    /// - Parameters:
    ///   - packed: the blob as `codec` says, not larger than `plainByteCount`, smaller when compressed.
    ///   - plainByteCount: at most the chunk limit of the format.
    /// - Precondition: the pack is not full, and the kind belongs into packs of this class.
    /// - Throws: ``EncryptionError`` when the public key that the pack key is sealed to is a weak one.
    package func append(
        _ packed: UnsafeRawBufferPointer, kind: BlobKind, codec: BlobCodec, identifier: Hash256, plainByteCount: Int
    ) throws(EncryptionError) {
        precondition(!isFull, "a full pack is finished before more is appended")
        precondition(kind.objectClass == settings.recipient.objectClass, "a pack holds one class")
        precondition(plainByteCount <= FormatLimits.chunkByteCount, "a chunk stays within the chunk limit")
        precondition(
            codec == .stored ? packed.count == plainByteCount : packed.count < plainByteCount,
            "a compressed blob is smaller than its chunk")
        if entries.isEmpty { try begin() }
        let entry = PackEntry(
            identifier: identifier, kind: kind, codec: codec, keyNumber: 0, counter: UInt32(entries.count),
            offset: UInt32(bytes.count), storedByteCount: UInt32(packed.count + AuthenticatedCipher.tagByteCount),
            plainByteCount: UInt32(plainByteCount))
        let start = bytes.count
        bytes.append(contentsOf: repeatElement(0, count: Int(entry.storedByteCount)))
        unsafe bytes.withUnsafeMutableBytes { buffer in
            // Safety: the place was just appended.
            unsafe cipher.seal(packed, as: entry, into: UnsafeMutableRawBufferPointer(rebasing: buffer[start...]))
        }
        entries.append(entry)
    }

    private func begin() throws(EncryptionError) {
        let fresh = settings.randomness.bytes(BlobKeyDeriver.keyByteCount)
        let packKey = SecretBytes(copying: fresh)
        let message = try settings.recipient.seal(
            packKey, associatedData: [],
            randomness: settings.randomness.bytes(HybridEncryption.randomnessByteCount))
        sealedKey = SealedPackKey(keyEpoch: settings.recipient.keyEpoch, message: message)
        cipher.use(packKey: packKey)
        bytes.reserveCapacity(settings.targetByteCount + (1 << 20))
        bytes.append(contentsOf: repeatElement(0, count: ObjectHeader.byteCount))
    }

    /// Completes the pack and begins anew.
    ///
    /// - Precondition: it is not empty.
    package func finish() -> FinishedPack {
        guard let sealedKey else { preconditionFailure("a pack is finished with at least one blob") }
        // Handed over, not shared: signing appends, and a second reference would copy the whole pack.
        let finished = PackBuilder.completed(
            exchange(&bytes, with: []), entries: entries, keys: [sealedKey], settings: settings)
        entries = []
        self.sealedKey = nil
        return finished
    }

    /// Puts around blobs what makes a pack of them.
    ///
    /// - Parameters:
    ///   - blobs: room for the header, and the blobs behind it.
    ///   - entries: the blobs, in order.
    ///   - keys: the keys that they are sealed under, by number.
    static func completed(
        _ blobs: consuming [UInt8], entries: [PackEntry], keys: [SealedPackKey], settings: Settings
    ) -> FinishedPack {
        var bytes = blobs
        let keyTable = PackKeyTable.encoded(keys)
        let directoryByteCount =
            PackDirectory.smallestByteCount + entries.count * PackEntry.byteCount
        let keyTableRange = bytes.count..<(bytes.count + keyTable.count)
        let directoryRange = keyTableRange.upperBound..<(keyTableRange.upperBound + directoryByteCount)
        let blocks = (directoryRange.upperBound + PackFooter.checksumBlock - 1) / PackFooter.checksumBlock
        let footer = PackFooter(
            keyTable: keyTableRange, directory: directoryRange,
            checksums: directoryRange.upperBound..<(directoryRange.upperBound + blocks * 4))
        let recipient = settings.recipient
        let header = ObjectHeader(
            kind: .pack, objectClass: recipient.objectClass, repository: recipient.repository,
            domain: recipient.domain, keyEpoch: recipient.keyEpoch, signer: settings.signer.publicKey.fingerprint,
            bodyByteCount: UInt64(footer.packByteCount - ObjectHeader.byteCount))
        bytes.replaceSubrange(0..<ObjectHeader.byteCount, with: header.encoded)
        bytes += keyTable
        bytes += SealedSection.seal(
            PackDirectory.encoded(entries), label: PackDirectory.label, header: header, indexKey: settings.indexKey,
            randomness: settings.randomness.bytes(SealedSection.saltByteCount))
        // Safety: the array lives through the call.
        let sums = unsafe bytes.withUnsafeBytes { buffer in
            unsafe Checksum.ofBlocks(buffer, blockByteCount: PackFooter.checksumBlock)
        }
        for sum in sums { bytes.append(littleEndian: sum) }
        let covered = exchange(&bytes, with: [])
        let (hash, complete) = ObjectSeal.signed(
            covered, label: ObjectSeal.packLabel, footer: footer.encoded, by: settings.signer)
        precondition(complete.count == footer.packByteCount, "a pack has the size its footer says")
        return FinishedPack(bytes: complete, hash: hash, entries: entries)
    }
}
