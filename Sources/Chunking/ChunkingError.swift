/// What can be wrong with chunking: its parameters. The bytes themselves are never wrong.
package struct ChunkingError: Error, Hashable, Sendable, CustomStringConvertible {
    /// Which rule was broken; callers and tests branch on it.
    package enum Code: Hashable, Sendable {
        /// A size or offset is outside its stated range.
        case parameterOutOfRange
        /// The parameters are well-formed, but this version cannot cut by them.
        case unsupported
        /// The secret key has the wrong length.
        case keyLength
    }

    /// What would help.
    package enum Remedy: Hashable, Sendable {
        /// Somebody has to correct the configuration or install a newer version.
        case askOperator
        /// The calling code is wrong; nothing outside it helps.
        case none
    }

    /// Which rule was broken.
    package let code: Code
    /// The object and the numbers, for people.
    package let sentence: String
    /// Who can help: the operator, or nobody because the calling code is wrong.
    package let remedy: Remedy
    /// The lower-level error, when there is one.
    package let cause: (any Error & Sendable)?

    package var description: String { sentence }

    package static func == (left: ChunkingError, right: ChunkingError) -> Bool {
        left.code == right.code && left.sentence == right.sentence && left.remedy == right.remedy
    }

    package func hash(into hasher: inout Hasher) {
        hasher.combine(code)
        hasher.combine(sentence)
    }
}

extension ChunkingError {
    static func outOfRange(_ name: String, _ value: Int, mustBe rule: String) -> ChunkingError {
        ChunkingError(
            code: .parameterOutOfRange, sentence: "chunker parameter \(name) is \(value); it must be \(rule)",
            remedy: .askOperator, cause: nil)
    }

    static func unsupportedGridOrigin(_ origin: Int) -> ChunkingError {
        ChunkingError(
            code: .unsupported,
            sentence: "images with page grid origin \(origin) can be read, but this version writes origin 0 only",
            remedy: .askOperator, cause: nil)
    }

    static func keyLength(found: Int, expected: Int) -> ChunkingError {
        ChunkingError(
            code: .keyLength, sentence: "the page hash key has \(found) bytes; it must have \(expected)",
            remedy: .none, cause: nil)
    }
}
