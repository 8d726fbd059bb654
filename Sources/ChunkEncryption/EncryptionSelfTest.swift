import BackupModel

/// Finds out at start-up whether the installed cryptographic library does what this module takes for granted.
package enum EncryptionSelfTest {
    /// Checks that every algorithm is there and gives a known answer; takes about a millisecond.
    ///
    /// - Throws: ``EncryptionError/Code/cryptographyFailure``; the installation has to be repaired. Without this call
    ///   the first use traps instead.
    package static func run() throws(EncryptionError) {
        let missing = CryptographicLibrary.missingAlgorithms
        guard missing.isEmpty else { throw .cryptographyFailure("provide \(missing.joined(separator: ", "))") }
        guard SecureHash.sha256([]).hexadecimal == emptyDigest else { throw .cryptographyFailure("compute SHA-256") }
        let key = SecretBytes(copying: [UInt8](repeating: 0, count: 32))
        let sealed = AuthenticatedCipher().seal(key: key, nonce: 0, associatedData: [], plaintext: [])
        guard sealed.hexadecimal == emptyTag else { throw .cryptographyFailure("compute AES-256-GCM") }
    }

    /// Empties this thread's error queue and returns its lines; always `nil`, since no call of this module leaves any.
    /// For tests of that promise.
    package static func takePendingErrors() -> String? { CryptographicLibrary.takeErrors() }

    /// SHA-256 of nothing (FIPS 180-4).
    private static let emptyDigest = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    /// AES-256-GCM of nothing under the zero key and nonce (test case 13 of the GCM submission).
    private static let emptyTag = "530f8afbc74536b9a963b4f1c4cb738b"
}
