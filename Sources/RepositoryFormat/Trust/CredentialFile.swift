import BackupModel
import ChunkEncryption

/// A credential as a text file that survives being printed, mailed and pasted, and says so when it did not (§4).
package enum CredentialFile {
    /// Most bytes of a file; read no more than one byte beyond before asking.
    package static let largestByteCount = 2 << 20

    private static let title = "dozo credential "
    private static let version = "1"
    private static let lineLength = 64
    private static let checkDigitCount = 16
    private static let newline = UInt8(ascii: "\n")

    /// The bytes of the file, secrets in clear: for a file that only its user can read.
    package static func encoded(_ credential: Credential) -> [UInt8] {
        let bytes = credential.encoded
        let text = Base64.encoded(bytes)
        var file = Array((title + version).utf8) + [newline]
        for start in stride(from: 0, to: text.count, by: lineLength) {
            file += text[start..<min(start + lineLength, text.count)]
            file.append(newline)
        }
        file += check(of: bytes)
        file.append(newline)
        return file
    }

    /// Parses a file; the newline at its very end may be missing.
    ///
    /// - Parameter what: names the file in errors.
    /// - Throws: ``FormatError``: `wrongSecret` when it is no credential file, `unsupported` for another version,
    ///   `damaged` when the check does not fit or the line ends were changed, and what
    ///   ``Credential/init(decoding:of:)`` throws.
    package static func credential(parsing file: [UInt8], of what: String) throws(FormatError) -> Credential {
        guard file.count <= largestByteCount else {
            throw .overLimit("the size of \(what)", value: UInt64(file.count), limit: UInt64(largestByteCount))
        }
        let body = file.last == newline ? file.dropLast() : file[...]
        var lines = body.split(separator: newline, omittingEmptySubsequences: false)
        let first = lines.removeFirst()
        guard first.elementsEqual((title + version).utf8) else {
            guard first.starts(with: title.utf8) else {
                throw .wrongSecret(
                    "\(what) is not a credential file: it does not begin with the line `\(title)\(version)`; `dozo key "
                        + "enroll` writes one")
            }
            guard first.last != UInt8(ascii: "\r") else {
                throw .damaged(
                    "\(what) has the line ends of another system (CR LF): copy it again without changing it, or remove "
                        + "the CRs")
            }
            throw .unsupported("\(what) is a credential of another version than \(version)")
        }
        guard let last = lines.popLast(), !lines.isEmpty else {
            throw .damaged("\(what) is cut short: it has no line of content and line of check")
        }
        let isShaped =
            lines.dropLast().allSatisfy { $0.count == lineLength }
            && (1...lineLength).contains(lines.last?.count ?? 0)
        guard isShaped, let bytes = Base64.decoded(Array(lines.joined())) else {
            throw .damaged("\(what) is damaged: its content is not base64 in lines of \(lineLength) characters")
        }
        guard last.elementsEqual(check(of: bytes)) else {
            throw .damaged("\(what) is damaged: its content does not fit the check in its last line")
        }
        return try Credential(decoding: bytes, of: what)
    }

    private static func check(of bytes: [UInt8]) -> [UInt8] {
        Array("check \(SecureHash.sha256(bytes).hexadecimal.prefix(checkDigitCount))".utf8)
    }
}
