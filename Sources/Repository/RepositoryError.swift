import ObjectStorage
package import RepositoryFormat

/// What went wrong with a repository as a whole.
package struct RepositoryError: Error, Sendable, CustomStringConvertible {
    /// Published numbers: never reused, never renumbered.
    package enum Code: Int, Sendable {
        /// There is no repository here, or it cannot be read.
        case notFound = 1
        /// There is one already.
        case exists = 2
        /// No key slot opens, or the credential is another repository's.
        case wrongKey = 3
        /// Bytes are damaged or gone.
        case damaged = 4
        /// Doing it would not be safe.
        case refused = 5
        /// The credential's role does not hold the key for this.
        case roleLacksKey = 6
        /// The store failed.
        case storage = 7
        /// A newer program wrote it.
        case unsupported = 8
        /// No such point or image, or several.
        case noSuchPoint = 9
        /// This host lacks the memory for it.
        case exhausted = 10
    }

    /// What the caller can do; callers branch on this, never on text.
    package enum Remedy: Hashable, Sendable {
        case retry
        case repair
        case askOperator
        case useOtherVersion
    }

    /// See ``Code``.
    package let code: Code
    /// Names the object and says what to do.
    package let sentence: String
    /// See ``Remedy``.
    package let remedy: Remedy

    /// An error with its code and a sentence that names the object and what to do.
    package init(_ code: Code, _ sentence: String, _ remedy: Remedy = .askOperator) {
        self.code = code
        self.sentence = sentence
        self.remedy = remedy
    }

    package var description: String { sentence }

    /// Whether the bytes of an object are to blame: another copy may be whole. A flipped bit can also make an object
    /// say that it is of a newer version.
    package var isAboutBytes: Bool { code == .damaged || code == .unsupported || isUnreadable }

    /// Whether the store failed at an object, as a disk does at a bad sector: others may still be read. A missing right
    /// or a full disk is no such failure.
    package var isUnreadable: Bool { code == .storage && remedy == .retry }

    /// The process exit status that fits when this error ends a command (design §7).
    package var exitStatus: Int32 {
        switch code {
        case .notFound: 4
        case .exists, .refused, .unsupported: 7
        case .wrongKey, .roleLacksKey: 5
        case .damaged: 6
        case .storage: 1
        case .noSuchPoint, .exhausted: 1
        }
    }

    /// The store could not do what it was asked.
    static func storage(_ error: StorageError) -> RepositoryError {
        let advice: String =
            switch error.code {
            case .full: "; make room and start again, nothing that was committed is lost"
            case .refused: "; give this user the right to it and start again"
            case .readOnly: "; it is mounted read-only: mount it for writing and start again"
            case .failed, .interrupted: ""
            }
        return RepositoryError(.storage, error.sentence + advice, error.code == .failed ? .retry : .askOperator)
    }

    /// Bytes of the repository are not what they must be.
    package static func format(_ error: FormatError) -> RepositoryError {
        switch error.code {
        case .damaged, .malformed, .misplaced: RepositoryError(.damaged, error.sentence, .repair)
        case .unsupported: RepositoryError(.unsupported, error.sentence, .useOtherVersion)
        case .void, .refused: RepositoryError(.refused, error.sentence)
        case .wrongSecret: RepositoryError(.wrongKey, error.sentence)
        case .exhausted: RepositoryError(.exhausted, error.sentence)
        }
    }

    /// Translates what the layers below throw; passes everything else on. An interruption says nothing about the store.
    static func translating<Result>(_ body: () async throws -> Result) async throws -> Result {
        do { return try await body() } catch let error as StorageError {
            if error.code == .interrupted { throw CancellationError() }
            throw RepositoryError.storage(error)
        } catch let error as FormatError {
            throw RepositoryError.format(error)
        }
    }
}
