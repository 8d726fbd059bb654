/// A value of a record: deterministic CBOR (RFC 8949 §4.2.1), restricted as the top of the format page says.
///
/// One value has one encoding. The decoder refuses every other spelling of it, so that a hash over stored bytes is a
/// hash over the meaning, and two programs never sign different bytes for the same record.
package enum RecordValue: Hashable, Sendable {
    /// 0 … 2^64 − 1.
    case unsigned(UInt64)
    /// −1 − n for 0 ≤ n < 2^64.
    case negative(minusOneMinus: UInt64)
    /// Any bytes.
    case bytes([UInt8])
    /// UTF-8 text of at most ``FormatLimits/textByteCount`` bytes.
    case text(String)
    /// Values in order.
    case array([RecordValue])
    /// Values by name; the order in bytes is not the order here.
    case map([String: RecordValue])
    /// True or false.
    case bool(Bool)
    /// Nothing.
    case null
}

/// The major types of RFC 8949 §3.1 that records use; the type is the upper three bits of an item's first byte.
enum MajorType: UInt8 {
    case unsigned = 0
    case negative = 1
    case bytes = 2
    case text = 3
    case array = 4
    case map = 5
    case simple = 7
}

// MARK: - Encoding

extension RecordValue {
    /// The one encoding of the value.
    ///
    /// - Precondition: texts, depth and the whole stay within ``FormatLimits``; a writer knows what it writes.
    package var encoded: [UInt8] {
        var bytes: [UInt8] = []
        append(to: &bytes, depth: 0)
        precondition(bytes.count <= FormatLimits.recordByteCount, "a record stays within the record limit")
        return bytes
    }

    private func append(to bytes: inout [UInt8], depth: Int) {
        precondition(depth <= FormatLimits.recordDepth, "a record is nested at most \(FormatLimits.recordDepth) deep")
        switch self {
        case .unsigned(let value): RecordValue.appendHead(.unsigned, value, to: &bytes)
        case .negative(let value): RecordValue.appendHead(.negative, value, to: &bytes)
        case .bytes(let value):
            RecordValue.appendHead(.bytes, UInt64(value.count), to: &bytes)
            bytes.append(contentsOf: value)
        case .text(let value): RecordValue.appendText(value, to: &bytes)
        case .array(let values):
            RecordValue.appendHead(.array, UInt64(values.count), to: &bytes)
            for value in values { value.append(to: &bytes, depth: depth + 1) }
        case .map(let values):
            RecordValue.appendHead(.map, UInt64(values.count), to: &bytes)
            let members = values.map { name, value in (name: RecordValue.encodedText(name), value: value) }
            for member in members.sorted(by: { $0.name.lexicographicallyPrecedes($1.name) }) {
                bytes.append(contentsOf: member.name)
                member.value.append(to: &bytes, depth: depth + 1)
            }
        case .bool(let value): bytes.append(value ? 0xF5 : 0xF4)
        case .null: bytes.append(0xF6)
        }
    }

    private static func encodedText(_ text: String) -> [UInt8] {
        var bytes: [UInt8] = []
        appendText(text, to: &bytes)
        return bytes
    }

    private static func appendText(_ text: String, to bytes: inout [UInt8]) {
        let characters = Array(text.utf8)
        precondition(characters.count <= FormatLimits.textByteCount, "a text stays within the text limit")
        appendHead(.text, UInt64(characters.count), to: &bytes)
        bytes.append(contentsOf: characters)
    }

    /// The shortest form, as RFC 8949 §4.2.1 asks.
    private static func appendHead(_ major: MajorType, _ value: UInt64, to bytes: inout [UInt8]) {
        let type = major.rawValue << 5
        let width: Int
        switch value {
        case 0..<24:
            bytes.append(type | UInt8(value))
            return
        case 24...0xFF: (width, _) = (1, bytes.append(type | 24))
        case 0x100...0xFFFF: (width, _) = (2, bytes.append(type | 25))
        case 0x1_0000...0xFFFF_FFFF: (width, _) = (4, bytes.append(type | 26))
        default: (width, _) = (8, bytes.append(type | 27))
        }
        for index in (0..<width).reversed() { bytes.append(UInt8(truncatingIfNeeded: value >> (UInt64(index) * 8))) }
    }
}

// MARK: - Decoding

extension RecordValue {
    /// Decodes bytes that must hold exactly one value in its one encoding.
    ///
    /// Work and memory are bounded by the count of bytes, whatever the lengths inside them claim.
    /// - Parameter what: names the record in errors.
    /// - Throws: ``FormatError``: `damaged` when cut short, `malformed` for anything a writer of this format cannot
    ///   write.
    package init(decoding bytes: ArraySlice<UInt8>, of what: String) throws(FormatError) {
        guard bytes.count <= FormatLimits.recordByteCount else {
            throw .overLimit(what, value: UInt64(bytes.count), limit: UInt64(FormatLimits.recordByteCount))
        }
        var decoder = RecordDecoder(fields: FieldReader(bytes, of: what), what: what)
        self = try decoder.value(depth: 0)
        try decoder.fields.finish()
    }
}

private struct RecordDecoder {
    var fields: FieldReader
    let what: String

    mutating func value(depth: Int) throws(FormatError) -> RecordValue {
        guard depth <= FormatLimits.recordDepth else {
            throw .overLimit("the nesting of \(what)", value: UInt64(depth), limit: UInt64(FormatLimits.recordDepth))
        }
        let first = try fields.integer(UInt8.self)
        guard let major = MajorType(rawValue: first >> 5) else { throw .notCanonical("\(what): a tag") }
        if major == .simple { return try simple(first) }
        let argument = try argument(first & 31)
        switch major {
        case .unsigned: return .unsigned(argument)
        case .negative: return .negative(minusOneMinus: argument)
        case .bytes: return .bytes(Array(try fields.take(try count(argument))))
        case .text: return .text(try text(argument))
        case .array:
            var values: [RecordValue] = []
            // Every item takes a byte at least: a count beyond the bytes left is refused before anything is reserved.
            for _ in 0..<(try count(argument)) { values.append(try value(depth: depth + 1)) }
            return .array(values)
        case .map: return .map(try members(try count(argument), depth: depth))
        case .simple: preconditionFailure("simple values were handled above")
        }
    }

    private func simple(_ first: UInt8) throws(FormatError) -> RecordValue {
        switch first {
        case 0xF4: return .bool(false)
        case 0xF5: return .bool(true)
        case 0xF6: return .null
        default: throw .notCanonical("\(what): byte \(first), a float or a simple value that records do not use")
        }
    }

    private mutating func argument(_ code: UInt8) throws(FormatError) -> UInt64 {
        let width: Int
        switch code {
        case 0..<24: return UInt64(code)
        case 24: width = 1
        case 25: width = 2
        case 26: width = 4
        case 27: width = 8
        default: throw .notCanonical("\(what): an indefinite or reserved length")
        }
        var value: UInt64 = 0
        for byte in try fields.take(width) { value = value << 8 | UInt64(byte) }
        let shorter: UInt64 = width == 1 ? 24 : 1 << UInt64(width * 4)
        guard value >= shorter else { throw .notCanonical("\(what): the number \(value) in \(width) bytes") }
        return value
    }

    private func count(_ argument: UInt64) throws(FormatError) -> Int {
        guard argument <= UInt64(fields.remaining) else {
            throw .truncated(what, needed: Int(clamping: argument), available: fields.remaining)
        }
        return Int(argument)
    }

    private mutating func text(_ argument: UInt64) throws(FormatError) -> String {
        guard argument <= UInt64(FormatLimits.textByteCount) else {
            throw .overLimit("a text of \(what)", value: argument, limit: UInt64(FormatLimits.textByteCount))
        }
        guard let text = String(validating: try fields.take(try count(argument)), as: UTF8.self) else {
            throw .notCanonical("\(what): a text that is not UTF-8")
        }
        return text
    }

    private mutating func members(_ count: Int, depth: Int) throws(FormatError) -> [String: RecordValue] {
        var members: [String: RecordValue] = [:]
        var last: [UInt8] = []
        for index in 0..<count {
            let first = try fields.integer(UInt8.self)
            guard MajorType(rawValue: first >> 5) == .text else {
                throw .notCanonical("\(what): a name that is no text")
            }
            let name = try text(try argument(first & 31))
            // Same-length-first is what the bytewise order of the encoded names comes to: the length leads the
            // encoding.
            let spelled = RecordValue.text(name).encoded
            guard index == 0 || last.lexicographicallyPrecedes(spelled) else {
                throw .notCanonical("\(what): the name \(name) is repeated or out of order")
            }
            last = spelled
            members[name] = try value(depth: depth + 1)
        }
        guard members.count == count else { throw .notCanonical("\(what): two spellings of one name") }
        return members
    }
}
