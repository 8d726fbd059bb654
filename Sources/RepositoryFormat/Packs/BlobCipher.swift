import BackupModel
package import ChunkEncryption

/// Seals and opens the blobs of packs with reused contexts and nothing allocated. Belongs to one worker at a time.
///
/// Associated data binds a blob to the repository, domain, kind, id, lengths and codec, and not to the pack or the
/// place: a pack that is only partly live can be rewritten by copying, without a key to its content (format page §6).
// Safety: the buffer is private, sized at creation, and freed once.
@safe package final class BlobCipher {
    private static let label = Array("dozo/1 blob".utf8)
    private static let associatedByteCount = label.count + RepositoryID.byteCount + 4 + 1 + 1 + 2 + 4 + 4 + 4 + 32

    private let cipher = AuthenticatedCipher()
    private let deriver = BlobKeyDeriver()
    private var hasKey = false
    private let associated: UnsafeMutableRawBufferPointer

    /// - Parameter domain: the dedup domain whose packs are read or written.
    package init(repository: RepositoryID, domain: UInt32) {
        // Safety: ours alone until the deinitialiser; `fixed` is padded to exactly its size.
        unsafe associated = .allocate(byteCount: BlobCipher.associatedByteCount, alignment: 8)
        var fixed = BlobCipher.label
        fixed += repository.bytes
        fixed.append(littleEndian: domain)
        fixed += [UInt8](repeating: 0, count: BlobCipher.associatedByteCount - fixed.count)
        unsafe associated.copyBytes(from: fixed)
    }

    deinit { unsafe associated.deallocate() }

    /// Goes on to blobs under another pack key, 32 bytes.
    package func use(packKey: SecretBytes) {
        deriver.rekey(packKey: packKey)
        hasKey = true
    }

    private func bind(_ entry: PackEntry) -> UnsafeRawBufferPointer {
        let start = BlobCipher.label.count + RepositoryID.byteCount + 4
        // Safety: the offsets below end exactly at the buffer's end.
        unsafe associated[start] = entry.kind.rawValue
        unsafe associated[start + 1] = entry.codec.rawValue
        unsafe associated.storeBytes(of: entry.dictionary.littleEndian, toByteOffset: start + 4, as: UInt32.self)
        unsafe associated.storeBytes(of: entry.plainByteCount.littleEndian, toByteOffset: start + 8, as: UInt32.self)
        unsafe associated.storeBytes(of: entry.storedByteCount.littleEndian, toByteOffset: start + 12, as: UInt32.self)
        unsafe entry.identifier.withUnsafeBytes { bytes in
            unsafe UnsafeMutableRawBufferPointer(rebasing: associated[(start + 16)...]).copyMemory(from: bytes)
        }
        return unsafe UnsafeRawBufferPointer(associated)
    }

    /// Seals `packed` (compressed, or as it is) into `output`, which has the entry's stored size.
    ///
    /// - Precondition: ``use(packKey:)`` was called; the entry's counter was not used under that key for another blob.
    package func seal(_ packed: UnsafeRawBufferPointer, as entry: PackEntry, into output: UnsafeMutableRawBufferPointer)
    {
        precondition(hasKey, "a pack key is chosen before a blob is sealed")
        precondition(output.count == Int(entry.storedByteCount), "a sealed blob fills its place")
        // Safety: our buffer outlives the call, and the caller's buffers and the key live through it.
        let associated = unsafe bind(entry)
        unsafe deriver.withKey(kind: entry.kind.rawValue, codec: entry.codec.rawValue, identifier: entry.identifier) {
            key in
            unsafe cipher.seal(
                key: key, nonce: UInt64(entry.counter), associatedData: associated, plaintext: packed, into: output)
        }
    }

    /// Opens `sealed`, the entry's bytes in the pack, into `output`, which is 16 bytes shorter; still packed by the
    /// codec.
    ///
    /// - Throws: ``EncryptionError`` when the bytes are not what was sealed under this key as this entry.
    package func open(
        _ sealed: UnsafeRawBufferPointer, as entry: PackEntry, into output: UnsafeMutableRawBufferPointer
    ) throws {
        precondition(hasKey, "a pack key is chosen before a blob is opened")
        precondition(sealed.count == Int(entry.storedByteCount), "a sealed blob has the size its entry says")
        // Safety: as in seal.
        let associated = unsafe bind(entry)
        try unsafe deriver.withKey(
            kind: entry.kind.rawValue, codec: entry.codec.rawValue, identifier: entry.identifier
        ) { key in
            try unsafe cipher.open(
                key: key, nonce: UInt64(entry.counter), associatedData: associated, sealed: sealed, into: output)
        }
    }
}
