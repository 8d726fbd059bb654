package import ChunkEncryption

/// How the bytes of a passphrase file become a secret.
package enum Passphrase {
    /// The bytes without one trailing newline (LF); nothing else is taken away, no text encoding is assumed.
    ///
    /// - Throws: ``FormatError``, `refused` when nothing is left.
    package static func secretBytes(_ fileBytes: [UInt8]) throws(FormatError) -> SecretBytes {
        let content = fileBytes.last == UInt8(ascii: "\n") ? fileBytes.dropLast() : fileBytes[...]
        guard !content.isEmpty else { throw .refused("the passphrase is empty, and an empty one protects nothing") }
        return SecretBytes(copying: Array(content))
    }
}
