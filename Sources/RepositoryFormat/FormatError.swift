/// What is wrong with bytes that claim to be part of a repository (`docs/format/repository-v1.md`, §14).
///
/// The code is what callers branch on; the sentence is for people and names the object and the numbers.
package struct FormatError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The kinds of refusal, one for each row of §14 that this module can decide.
    package enum Code: Hashable, Sendable {
        /// The bytes were changed, cut or lengthened.
        case damaged
        /// Another version, draft, or a critical bit that this program does not know.
        case unsupported
        /// Well-formed, but it belongs elsewhere: another name, repository or domain.
        case misplaced
        /// A limit is exceeded or the encoding is not the canonical one.
        case malformed
        /// Signed by a key that may not say it.
        case void
        /// Refused for safety: parameters outside their bounds, another owner, a store that went back.
        case refused
        /// A secret that a person gave is mistyped or does not open what it should.
        case wrongSecret
        /// This host lacks the memory for it.
        case exhausted
    }

    /// What a person can do about it.
    package enum Remedy: Hashable, Sendable {
        /// Another copy may be whole: try it, then repair.
        case repair
        /// A newer or older program reads it.
        case useOtherVersion
        /// Nothing: somebody wrote what nobody may write.
        case reject
        /// A person gives another secret, or looks at what happened to the store.
        case askOperator
    }

    /// See ``Code``.
    package let code: Code
    /// One sentence that names the object and the numbers.
    package let sentence: String
    /// See ``Remedy``.
    package let remedy: Remedy

    package var description: String { sentence }

    /// The bytes end before something that must be there; `needed` and `available` are counts of bytes.
    package static func truncated(_ what: String, needed: Int, available: Int) -> FormatError {
        FormatError(
            code: .damaged, sentence: "\(what) is cut short: \(needed) bytes are needed and \(available) are left",
            remedy: .repair)
    }

    /// The bytes go on behind the end of something.
    package static func trailing(_ what: String, surplus: Int) -> FormatError {
        FormatError(code: .malformed, sentence: "\(what) is followed by \(surplus) bytes too many", remedy: .reject)
    }

    /// Counts inside something need another number of bytes than follow.
    static func length(_ what: String, needed: Int, available: Int) -> FormatError {
        available < needed
            ? truncated(what, needed: needed, available: available) : trailing(what, surplus: available - needed)
    }

    /// A field has a value that can only come from damage.
    package static func damaged(_ what: String) -> FormatError {
        FormatError(code: .damaged, sentence: "\(what)", remedy: .repair)
    }

    /// A limit of §1 is exceeded.
    package static func overLimit(_ what: String, value: UInt64, limit: UInt64) -> FormatError {
        FormatError(code: .malformed, sentence: "\(what) is \(value), and \(limit) is the most", remedy: .reject)
    }

    /// The bytes mean something but are not its one permitted spelling.
    package static func notCanonical(_ what: String) -> FormatError {
        FormatError(code: .malformed, sentence: "not in the one permitted encoding: \(what)", remedy: .reject)
    }

    /// Something from another version of the format.
    package static func unsupported(_ what: String) -> FormatError {
        FormatError(code: .unsupported, sentence: "\(what)", remedy: .useOtherVersion)
    }

    /// A well-formed object in the wrong place.
    package static func misplaced(_ what: String) -> FormatError {
        FormatError(code: .misplaced, sentence: "\(what)", remedy: .reject)
    }
}
