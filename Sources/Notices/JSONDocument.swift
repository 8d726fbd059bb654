/// A value of JSON (RFC 8259), read within bounds and written one way. Whole numbers only: nothing that is told has
/// fractions.
package enum JSONDocument: Hashable, Sendable {
    case null
    case truth(Bool)
    case number(Int64)
    case text(String)
    case list([JSONDocument])
    /// Members in their order; no name stands twice.
    case object([Member])

    /// A member of an object.
    package struct Member: Hashable, Sendable {
        /// Its name.
        package let name: String
        /// Its value.
        package let value: JSONDocument

        /// - Parameters: see the properties.
        package init(_ name: String, _ value: JSONDocument) {
            self.name = name
            self.value = value
        }
    }

    /// Most bytes of a text that is read.
    package static let longestText = 8 << 20
    /// How deep lists and objects may lie in each other.
    package static let deepest = 16
    /// Most values of a text.
    package static let mostValues = 1 << 20

    /// A member; `nil` when there is none, or this is no object.
    package subscript(name: String) -> JSONDocument? {
        guard case .object(let members) = self else { return nil }
        return members.first { $0.name == name }?.value
    }

    /// The text; `nil` when it is none.
    package var text: String? { if case .text(let text) = self { text } else { nil } }
    /// The number; `nil` when it is none.
    package var number: Int64? { if case .number(let number) = self { number } else { nil } }
    /// The truth value; `nil` when it is none.
    package var truth: Bool? { if case .truth(let value) = self { value } else { nil } }
    /// The elements; `nil` when it is no list.
    package var elements: [JSONDocument]? { if case .list(let list) = self { list } else { nil } }

    /// An object of the members whose values are given.
    package static func members(_ list: (String, JSONDocument?)...) -> JSONDocument {
        .object(list.compactMap { name, value in value.map { Member(name, $0) } })
    }

    /// An instant or another count that has no sign.
    package static func count(_ number: UInt64) -> JSONDocument { .number(Int64(clamping: number)) }

    /// The number, when it is not below zero.
    package var count: UInt64? { number.flatMap { UInt64(exactly: $0) } }

    // MARK: Writing

    /// On one line, in ASCII but for text; nothing in it breaks a line.
    package var encoded: [UInt8] {
        var bytes: [UInt8] = []
        encode(into: &bytes)
        return bytes
    }

    private func encode(into bytes: inout [UInt8]) {
        switch self {
        case .null: bytes += Array("null".utf8)
        case .truth(let value): bytes += Array((value ? "true" : "false").utf8)
        case .number(let number): bytes += Array("\(number)".utf8)
        case .text(let text): JSONDocument.encode(text, into: &bytes)
        case .list(let list):
            bytes.append(UInt8(ascii: "["))
            for (index, value) in list.enumerated() {
                if index > 0 { bytes.append(UInt8(ascii: ",")) }
                value.encode(into: &bytes)
            }
            bytes.append(UInt8(ascii: "]"))
        case .object(let members):
            bytes.append(UInt8(ascii: "{"))
            for (index, member) in members.enumerated() {
                if index > 0 { bytes.append(UInt8(ascii: ",")) }
                JSONDocument.encode(member.name, into: &bytes)
                bytes.append(UInt8(ascii: ":"))
                member.value.encode(into: &bytes)
            }
            bytes.append(UInt8(ascii: "}"))
        }
    }

    private static func encode(_ text: String, into bytes: inout [UInt8]) {
        bytes.append(UInt8(ascii: "\""))
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\u{20}", "\u{21}", "\u{23}"..."\u{5B}", "\u{5D}"..."\u{7E}":
                bytes.append(UInt8(truncatingIfNeeded: scalar.value))
            case "\"", "\\":
                bytes += [UInt8(ascii: "\\"), UInt8(truncatingIfNeeded: scalar.value)]
            // Line and paragraph separators break lines for some readers.
            case "\u{0}"..."\u{1F}", "\u{7F}"..."\u{9F}", "\u{2028}", "\u{2029}":
                let digits = String(scalar.value + 0x10000, radix: 16).dropFirst()
                bytes += Array("\\u\(digits)".utf8)
            default: bytes += Array(String(scalar).utf8)
            }
        }
        bytes.append(UInt8(ascii: "\""))
    }
}

/// A text that is no JSON of this kind, or beyond a bound.
package struct JSONRefusal: Error, Hashable, Sendable, CustomStringConvertible {
    /// What is wrong, with the byte where it was found.
    package let sentence: String
    package var description: String { sentence }
}

extension JSONDocument {
    /// Reads a text: UTF-8, one value, whole numbers of 64 bits, no name twice in an object.
    ///
    /// - Throws: ``JSONRefusal``, also beyond ``longestText``, ``deepest`` and ``mostValues``.
    package init(decoding bytes: [UInt8]) throws(JSONRefusal) {
        guard bytes.count <= JSONDocument.longestText else {
            throw JSONRefusal(sentence: "\(bytes.count) bytes of JSON are more than \(JSONDocument.longestText)")
        }
        var reader = JSONReader(bytes: bytes)
        let value = try reader.value(depth: 0)
        reader.skipSpace()
        guard reader.isAtEnd else { throw reader.refusal("something stands behind the value") }
        self = value
    }
}

private struct JSONReader {
    let bytes: [UInt8]
    var position = 0
    var valueCount = 0

    init(bytes: [UInt8]) { self.bytes = bytes }

    var isAtEnd: Bool { position >= bytes.count }

    func refusal(_ what: String) -> JSONRefusal { JSONRefusal(sentence: "at byte \(position): \(what)") }

    mutating func skipSpace() {
        while position < bytes.count {
            switch bytes[position] {
            case 0x20, 0x09, 0x0A, 0x0D: position += 1
            default: return
            }
        }
    }

    /// The next byte that is no space, which stays where it is.
    private mutating func next() throws(JSONRefusal) -> UInt8 {
        skipSpace()
        guard position < bytes.count else { throw refusal("the text ends too early") }
        return bytes[position]
    }

    private mutating func take(_ byte: UInt8) throws(JSONRefusal) -> Bool {
        guard try next() == byte else { return false }
        position += 1
        return true
    }

    private mutating func word(_ word: String, _ value: JSONDocument) throws(JSONRefusal) -> JSONDocument {
        let expected = Array(word.utf8)
        guard bytes[position...].starts(with: expected) else { throw refusal("no value of JSON") }
        position += expected.count
        return value
    }

    mutating func value(depth: Int) throws(JSONRefusal) -> JSONDocument {
        valueCount += 1
        guard valueCount <= JSONDocument.mostValues else { throw refusal("too many values") }
        switch try next() {
        case UInt8(ascii: "n"): return try word("null", .null)
        case UInt8(ascii: "t"): return try word("true", .truth(true))
        case UInt8(ascii: "f"): return try word("false", .truth(false))
        case UInt8(ascii: "\""): return .text(try text())
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return try number()
        case UInt8(ascii: "["):
            guard depth < JSONDocument.deepest else { throw refusal("lists and objects lie too deep in each other") }
            return try list(depth: depth + 1)
        case UInt8(ascii: "{"):
            guard depth < JSONDocument.deepest else { throw refusal("lists and objects lie too deep in each other") }
            return try object(depth: depth + 1)
        default: throw refusal("no value of JSON")
        }
    }

    private mutating func list(depth: Int) throws(JSONRefusal) -> JSONDocument {
        position += 1
        var list: [JSONDocument] = []
        if try take(UInt8(ascii: "]")) { return .list(list) }
        while true {
            list.append(try value(depth: depth))
            if try take(UInt8(ascii: "]")) { return .list(list) }
            guard try take(UInt8(ascii: ",")) else { throw refusal("a comma is missing") }
        }
    }

    private mutating func object(depth: Int) throws(JSONRefusal) -> JSONDocument {
        position += 1
        var members: [JSONDocument.Member] = []
        var names: Set<String> = []
        if try take(UInt8(ascii: "}")) { return .object(members) }
        while true {
            guard try next() == UInt8(ascii: "\"") else { throw refusal("a name is missing") }
            let name = try text()
            guard names.insert(name).inserted else { throw refusal("a name stands twice") }
            guard try take(UInt8(ascii: ":")) else { throw refusal("a colon is missing") }
            members.append(JSONDocument.Member(name, try value(depth: depth)))
            if try take(UInt8(ascii: "}")) { return .object(members) }
            guard try take(UInt8(ascii: ",")) else { throw refusal("a comma is missing") }
        }
    }

    private mutating func number() throws(JSONRefusal) -> JSONDocument {
        let start = position
        if bytes[position] == UInt8(ascii: "-") { position += 1 }
        let digits = position
        while position < bytes.count, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(bytes[position]) {
            position += 1
        }
        let isPadded = position - digits > 1 && bytes[digits] == UInt8(ascii: "0")
        guard let number = Int64(String(decoding: bytes[start..<position], as: UTF8.self)), !isPadded else {
            throw refusal("no whole number of 64 bits")
        }
        if position < bytes.count, [UInt8(ascii: "."), UInt8(ascii: "e"), UInt8(ascii: "E")].contains(bytes[position]) {
            throw refusal("a number with a fraction or an exponent")
        }
        return .number(number)
    }

    private mutating func text() throws(JSONRefusal) -> String {
        position += 1
        var built: [UInt8] = []
        while true {
            guard position < bytes.count else { throw refusal("a text does not end") }
            let byte = bytes[position]
            position += 1
            switch byte {
            case UInt8(ascii: "\""):
                guard let text = String(validating: built, as: UTF8.self) else { throw refusal("a text is no UTF-8") }
                return text
            case UInt8(ascii: "\\"): built += try escape()
            case 0..<0x20: throw refusal("a control character stands in a text")
            default: built.append(byte)
            }
        }
    }

    private static let escapes: [UInt8: UInt8] = [
        UInt8(ascii: "\""): 0x22, UInt8(ascii: "\\"): 0x5C, UInt8(ascii: "/"): 0x2F, UInt8(ascii: "b"): 0x08,
        UInt8(ascii: "f"): 0x0C, UInt8(ascii: "n"): 0x0A, UInt8(ascii: "r"): 0x0D, UInt8(ascii: "t"): 0x09,
    ]

    private mutating func escape() throws(JSONRefusal) -> [UInt8] {
        guard position < bytes.count else { throw refusal("a text does not end") }
        let letter = bytes[position]
        position += 1
        if let byte = JSONReader.escapes[letter] { return [byte] }
        guard letter == UInt8(ascii: "u") else { throw refusal("no escape of JSON") }
        let first = try unit()
        if let scalar = Unicode.Scalar(first) { return Array(String(scalar).utf8) }
        guard (0xD800..<0xDC00).contains(first), bytes[position...].starts(with: Array("\\u".utf8)) else {
            throw refusal("half a character")
        }
        position += 2
        let second = try unit()
        guard (0xDC00..<0xE000).contains(second),
            let scalar = Unicode.Scalar(0x10000 + (first - 0xD800) << 10 + (second - 0xDC00))
        else { throw refusal("half a character") }
        return Array(String(scalar).utf8)
    }

    private mutating func unit() throws(JSONRefusal) -> UInt32 {
        guard position + 4 <= bytes.count else { throw refusal("a text does not end") }
        let digits = bytes[position..<(position + 4)]
        let isHexadecimal = digits.allSatisfy { byte in
            (48...57).contains(byte) || (65...70).contains(byte) || (97...102).contains(byte)
        }
        guard isHexadecimal, let number = UInt32(String(decoding: digits, as: UTF8.self), radix: 16) else {
            throw refusal("no escape of JSON")
        }
        position += 4
        return number
    }
}
