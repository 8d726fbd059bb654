package import BackupModel
package import ChunkEncryption

/// How packs and runs end: a signature over the hash of everything before it, then a footer; and how they are named: by
/// the hash of all their bytes.
package enum ObjectSeal {
    /// What comes first under the signature of a pack.
    package static let packLabel = Array("dozo/1 pack\0".utf8)
    /// What comes first under the signature of an index run.
    package static let runLabel = Array("dozo/1 run\0".utf8)

    /// Appends signature and footer; hashes every byte once.
    static func signed(
        _ bytes: consuming [UInt8], label: [UInt8], footer: [UInt8], by signer: SigningKey
    ) -> (hash: Hash256, bytes: [UInt8]) {
        let hasher = StreamingSHA256()
        hasher.update(bytes)
        let signature = signer.sign(label + hasher.snapshot().bytes)
        hasher.update(signature)
        hasher.update(footer)
        bytes += signature
        bytes += footer
        return (hasher.finish(), bytes)
    }

    /// Checks name and signature of a whole pack or run; hashes every byte once.
    ///
    /// - Parameters:
    ///   - footerByteCount: bytes behind the signature.
    ///   - key: the signer's, which the owner chain enrolled; `nil` checks the name alone.
    /// - Throws: ``FormatError``, `damaged`, naming the object.
    package static func check(
        _ bytes: [UInt8], hash: Hash256, label: [UInt8], footerByteCount: Int, signedBy key: VerifyingKey?, name: String
    ) throws(FormatError) {
        do {
            // Safety: the array lives through the call.
            try unsafe bytes.withUnsafeBytes { buffer in
                try unsafe check(
                    buffer, hash: hash, label: label, footerByteCount: footerByteCount, signedBy: key, name: name)
            }
        } catch let error as FormatError { throw error } catch { preconditionFailure("only a format error is thrown") }
    }

    /// As for an array, of bytes where they lie.
    package static func check(
        _ bytes: UnsafeRawBufferPointer, hash: Hash256, label: [UInt8], footerByteCount: Int,
        signedBy key: VerifyingKey?, name: String
    ) throws(FormatError) {
        let signatureStart = bytes.count - footerByteCount - VerifyingKey.signatureByteCount
        guard signatureStart >= ObjectHeader.byteCount else {
            throw .truncated(
                name, needed: ObjectHeader.byteCount + footerByteCount + VerifyingKey.signatureByteCount,
                available: bytes.count)
        }
        let hasher = StreamingSHA256()
        // Safety: the start lies inside the bytes, as was just checked; here and below.
        unsafe hasher.update(UnsafeRawBufferPointer(rebasing: bytes[..<signatureStart]))
        let signedHash = hasher.snapshot()
        unsafe hasher.update(UnsafeRawBufferPointer(rebasing: bytes[signatureStart...]))
        guard hasher.finish() == hash else {
            throw .damaged("the bytes of \(name) are not those it is named after: it was damaged or exchanged")
        }
        guard let key else { return }
        let signature = unsafe Array(bytes[signatureStart..<(signatureStart + VerifyingKey.signatureByteCount)])
        guard key.isValid(signature: signature, for: label + signedHash.bytes) else {
            throw .damaged("\(name) does not carry a valid signature of the writer it names")
        }
    }
}
