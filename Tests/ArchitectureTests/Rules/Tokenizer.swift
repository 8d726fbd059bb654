/// Cuts Swift text into tokens and comments: nested comments, raw and multi-line strings, code in interpolations,
/// regular expressions between slashes. Text that does not compile gives tokens too, and never traps.
struct Tokenizer {
    private(set) var tokens: [Token] = []
    private(set) var comments: [Comment] = []
    private let bytes: [UInt8]
    private var position = 0
    private var line = 1
    private var lineIsEmpty = true
    private var spaceBefore = true

    /// Cuts `text` whole.
    init(_ text: String) {
        bytes = Array(text.utf8)
        // A script's first line.
        if text.hasPrefix("#!") { while let byte = peek(), byte != UInt8(ascii: "\n") { advance() } }
        code(untilClosed: false)
    }

    private func peek(_ ahead: Int = 0) -> UInt8? {
        position + ahead < bytes.count ? bytes[position + ahead] : nil
    }

    private func isNext(_ text: StaticString) -> Bool {
        let wanted = Array(text.description.utf8)
        return position + wanted.count <= bytes.count && bytes[position..<position + wanted.count].elementsEqual(wanted)
    }

    private mutating func advance(_ count: Int = 1) {
        for _ in 0..<count where position < bytes.count {
            if bytes[position] == UInt8(ascii: "\n") {
                line += 1
                lineIsEmpty = true
            }
            position += 1
        }
    }

    private mutating func append(_ kind: Token.Kind, _ text: String, line: Int) {
        tokens.append(Token(kind: kind, text: text, line: line, startsLine: lineIsEmpty, spaceBefore: spaceBefore))
        lineIsEmpty = false
        spaceBefore = false
    }

    /// Reads code to the end, or up to and with the `)` that closes an interpolation.
    private mutating func code(untilClosed: Bool) {
        var depth = 0
        while let byte = peek() {
            switch byte {
            case UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: "\r"), UInt8(ascii: "\n"):
                advance()
                spaceBefore = true
            case UInt8(ascii: "/") where isNext("//") || isNext("/*"): comment()
            case UInt8(ascii: "\""): string(hashes: 0)
            case UInt8(ascii: "#") where rawStringHashes() > 0: string(hashes: rawStringHashes())
            case UInt8(ascii: "/") where regularExpressionLength() > 0:
                literal(.string, count: regularExpressionLength())
            case UInt8(ascii: "`"): backticks()
            case UInt8(ascii: "0")...UInt8(ascii: "9"): number()
            case _ where Tokenizer.isWordByte(byte): word()
            default:
                symbol(byte)
                if byte == UInt8(ascii: "(") { depth += 1 }
                if byte == UInt8(ascii: ")") { depth -= 1 }
                if untilClosed && depth == 0 { return }
            }
        }
    }

    private static func isWordByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"): true
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "$"), 0x80...: true
        default: false
        }
    }

    private func text(from start: Int) -> String { String(decoding: bytes[start..<position], as: UTF8.self) }

    private mutating func word() {
        let start = position
        while let byte = peek(), Tokenizer.isWordByte(byte) { advance() }
        append(.word, text(from: start), line: line)
    }

    private mutating func backticks() {
        advance()
        let start = position
        while let byte = peek(), byte != UInt8(ascii: "`"), byte != UInt8(ascii: "\n") { advance() }
        append(.word, text(from: start), line: line)
        advance()
    }

    private mutating func number() {
        let start = position
        while let byte = peek() {
            let next = peek(1) ?? 0
            let isFraction = byte == UInt8(ascii: ".") && (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(next)
            guard Tokenizer.isWordByte(byte) || isFraction else { break }
            advance()
        }
        append(.number, text(from: start), line: line)
    }

    private mutating func symbol(_ byte: UInt8) {
        append(.symbol, String(UnicodeScalar(byte)), line: line)
        advance()
    }

    private mutating func literal(_ kind: Token.Kind, count: Int) {
        let start = position
        let first = line
        advance(count)
        append(kind, text(from: start), line: first)
    }

    private mutating func comment() {
        let start = position
        let first = line
        let startsLine = lineIsEmpty
        if isNext("//") {
            while let byte = peek(), byte != UInt8(ascii: "\n") { advance() }
        } else {
            var depth = 0
            repeat {
                if isNext("/*") {
                    depth += 1
                    advance(2)
                } else if isNext("*/") {
                    depth -= 1
                    advance(2)
                } else {
                    advance()
                }
            } while depth > 0 && position < bytes.count
        }
        comments.append(Comment(text: text(from: start), firstLine: first, lastLine: line, startsLine: startsLine))
        spaceBefore = true
    }

    /// How many `#` introduce a raw string here; 0 when none begins.
    private func rawStringHashes() -> Int {
        var count = 0
        while peek(count) == UInt8(ascii: "#") { count += 1 }
        return peek(count) == UInt8(ascii: "\"") ? count : 0
    }

    /// Reads a string literal; `hashes` marks stand before its quote.
    private mutating func string(hashes: Int) {
        advance(hashes)
        let isMultiLine = isNext("\"\"\"")
        let quotes = isMultiLine ? 3 : 1
        advance(quotes)
        var piece = position
        var first = line
        while let byte = peek() {
            if byte == UInt8(ascii: "\"") && closes(quotes: quotes, hashes: hashes) {
                append(.string, text(from: piece), line: first)
                advance(quotes + hashes)
                return
            }
            if byte == UInt8(ascii: "\\") && hasHashes(hashes, ahead: 1) {
                if peek(1 + hashes) == UInt8(ascii: "(") {
                    append(.string, text(from: piece), line: first)
                    advance(1 + hashes)
                    code(untilClosed: true)
                    piece = position
                    first = line
                } else {
                    advance(2 + hashes)
                }
                continue
            }
            // A literal of one line that is not closed ends with its line.
            if byte == UInt8(ascii: "\n") && !isMultiLine { break }
            advance()
        }
        append(.string, text(from: piece), line: first)
    }

    private func hasHashes(_ count: Int, ahead: Int) -> Bool {
        (0..<count).allSatisfy { peek(ahead + $0) == UInt8(ascii: "#") }
    }

    private func closes(quotes: Int, hashes: Int) -> Bool {
        (0..<quotes).allSatisfy { peek($0) == UInt8(ascii: "\"") } && hasHashes(hashes, ahead: quotes)
    }

    /// Bytes of the regular expression literal that begins here; 0 when the slash divides.
    private func regularExpressionLength() -> Int {
        if let last = tokens.last {
            let opening: Set<String> = ["(", "[", "{", ",", "=", ":", "!", "&", "|", "?"]
            let words: Set<String> = ["return", "in", "case", "try", "await"]
            guard opening.contains(last.text) && last.kind == .symbol || words.contains(last.text) else { return 0 }
        }
        guard let next = peek(1), next != UInt8(ascii: " "), next != UInt8(ascii: "\n") else { return 0 }
        var length = 1
        while let byte = peek(length), byte != UInt8(ascii: "\n") {
            if byte == UInt8(ascii: "/") { return length + 1 }
            length += byte == UInt8(ascii: "\\") ? 2 : 1
        }
        return 0
    }
}
