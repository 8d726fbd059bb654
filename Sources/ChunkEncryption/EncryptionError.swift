/// Why something was not sealed, opened, derived or believed.
package struct EncryptionError: Error, Equatable, Sendable, CustomStringConvertible {
    /// What kind of failure it is; callers branch on this.
    package enum Code: String, Sendable {
        /// A tag did not match: damaged bytes, another key, or other associated data.
        case notAuthentic
        /// Sealed bytes are shorter than their tag.
        case truncated
        /// A public or private key is not one: wrong length, or a point that gives no secrecy.
        case unusableKey
        /// Passphrase parameters outside the limits this version accepts.
        case refusedParameters
        /// The cryptographic library failed or lacks an algorithm.
        case cryptographyFailure
    }

    /// What can be done about it.
    package enum Remedy: String, Sendable {
        /// Try another copy of the same bytes, then repair.
        case repair
        /// A person has to give another key, passphrase or installation.
        case askOperator
        /// Nothing.
        case none
    }

    /// Which kind of failure; callers branch on it, never on text.
    package let code: Code
    /// One sentence for a person; names sizes and limits, never a secret.
    package let sentence: String
    /// What can be done; the same for every failure of one code.
    package let remedy: Remedy
    /// What the cryptographic library said, when it said something.
    package let cause: String?

    init(code: Code, sentence: String, remedy: Remedy, cause: String? = nil) {
        self.code = code
        self.sentence = sentence
        self.remedy = remedy
        self.cause = cause
    }

    package var description: String {
        cause.map { "\(sentence) (\($0))" } ?? sentence
    }
}

extension EncryptionError {
    static func notAuthentic(byteCount: Int) -> EncryptionError {
        EncryptionError(
            code: .notAuthentic,
            sentence: "\(byteCount) sealed bytes do not open: they are damaged, or the key or their context is wrong",
            remedy: .repair,
            cause: CryptographicLibrary.takeErrors())
    }

    static func truncated(byteCount: Int, needed: Int) -> EncryptionError {
        EncryptionError(
            code: .truncated,
            sentence: "\(byteCount) sealed bytes are too few; the tag alone has \(needed)",
            remedy: .repair)
    }

    static func wrongKeySize(_ what: StaticString, byteCount: Int, needed: Int) -> EncryptionError {
        EncryptionError(
            code: .unusableKey,
            sentence: "the \(what) has \(byteCount) bytes instead of \(needed)",
            remedy: .askOperator)
    }

    static func weakKey(_ what: StaticString) -> EncryptionError {
        EncryptionError(
            code: .unusableKey,
            sentence: "the \(what) is a point of low order, which would give no secrecy and prove nothing",
            remedy: .askOperator,
            cause: CryptographicLibrary.takeErrors())
    }

    static func refusedParameters(_ sentence: String) -> EncryptionError {
        EncryptionError(code: .refusedParameters, sentence: sentence, remedy: .askOperator)
    }

    static func cryptographyFailure(_ what: String) -> EncryptionError {
        EncryptionError(
            code: .cryptographyFailure,
            sentence: "the cryptographic library could not \(what)",
            remedy: .askOperator,
            cause: CryptographicLibrary.takeErrors())
    }
}
