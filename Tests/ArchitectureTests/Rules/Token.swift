/// A piece of Swift text that is neither space nor comment. Operators come one character at a time.
struct Token: Hashable, Sendable {
    enum Kind: Hashable, Sendable {
        /// An identifier or a keyword, without backticks.
        case word
        case number
        /// A piece of a string literal, without quotes; an interpolation comes as ordinary tokens in `(` and `)`.
        case string
        case symbol
    }

    let kind: Kind
    let text: String
    /// From 1.
    let line: Int
    /// Whether only space and comments stand before it on its line.
    let startsLine: Bool
    /// Whether space or a comment stands right before it.
    let spaceBefore: Bool

    func isWord(_ word: String) -> Bool { kind == .word && text == word }
    func isSymbol(_ symbol: String) -> Bool { kind == .symbol && text == symbol }
}

/// A comment with its slashes, or one line of a run of them.
struct Comment: Hashable, Sendable {
    let text: String
    let firstLine: Int
    let lastLine: Int
    /// Whether no token stands before it on its line.
    let startsLine: Bool

    /// Whether it is a documentation comment that says something.
    var isDocumentation: Bool {
        (text.hasPrefix("///") || text.hasPrefix("/**")) && text.unicodeScalars.contains { $0.properties.isAlphabetic }
    }

    /// Whether it argues why unsafe code is sound: its text begins with `Safety:`.
    var isSafety: Bool {
        text.drop { $0 == "/" || $0 == "*" || $0 == " " }.hasPrefix("Safety: ")
    }
}
