/// An element of a small XML document, read whole.
///
/// Reads what libvirt writes and nothing more: elements, attributes, text, comments, the five entities and characters
/// by number. Document types, and with them entities of anybody's making, are refused, so that nothing can be included
/// or expanded. Sizes are bounded, and so is the depth.
package struct XMLElement: Hashable, Sendable {
    /// With its prefix, if it has one.
    package let name: String
    /// Values by name.
    package let attributes: [String: String]
    /// Elements directly in it, in their order.
    package var children: [XMLElement] = []
    /// All text directly in it, without white space around it.
    package var text = ""
    /// Where it stood in the document that it was read from.
    package internal(set) var place = XMLPlace()

    /// Largest document that is read, in bytes; libvirt's own protocol ends at 4 MiB for a text.
    package static let mostBytes = 8 << 20
    /// Deepest nesting that is read; a chain of backing images nests one level for each image.
    package static let deepest = 256
    /// Most elements of a document.
    package static let mostElements = 200_000
    /// Most attributes of one element.
    package static let mostAttributes = 64

    /// Why a document is refused.
    package struct Problem: Error, Hashable, Sendable, CustomStringConvertible {
        /// In words.
        package let reason: String
        /// Offset in bytes.
        package let position: Int
        package var description: String { "\(reason) (byte \(position))" }
    }

    /// An element without content.
    package init(name: String, attributes: [String: String]) {
        self.name = name
        self.attributes = attributes
    }

    /// Reads a document. - Throws: ``Problem``.
    package init(parsing document: String) throws(Problem) { try self.init(parsing: Array(document.utf8)) }

    /// Reads a document. - Throws: ``Problem``.
    package init(parsing bytes: [UInt8]) throws(Problem) {
        var reader = XMLReader(bytes)
        self = try reader.document()
    }

    /// The first child of that name.
    package func child(_ name: String) -> XMLElement? { children.first { $0.name == name } }
    /// All children of that name.
    package func children(_ name: String) -> [XMLElement] { children.filter { $0.name == name } }
    /// The element at the end of a path of first children.
    package func at(_ path: String...) -> XMLElement? {
        var element: XMLElement? = self
        for name in path { element = element?.child(name) }
        return element
    }
    /// An attribute's value.
    package subscript(attribute: String) -> String? { attributes[attribute] }

    /// A text as it stands inside of an attribute or an element.
    package static func escaped(_ text: String) -> String {
        var out = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": out += "&amp;"
            case "<": out += "&lt;"
            case ">": out += "&gt;"
            case "'": out += "&apos;"
            case "\"": out += "&quot;"
            case "\t", "\n", "\r": out += "&#\(scalar.value);"
            default: out.unicodeScalars.append(scalar)
            }
        }
        return out
    }
}

/// Where an element stands in its document: ranges of bytes.
///
/// Says nothing about what the element means: all places are equal, so that two elements are when they say the same.
package struct XMLPlace: Hashable, Sendable {
    /// From its `<` to behind its last `>`; `nil` for an element that was made here.
    package var whole: Range<Int>?
    /// Between its tags; `nil` when it is one tag.
    package var content: Range<Int>?
    /// Values between their quotes, by attribute.
    package var values: [String: Range<Int>] = [:]

    package static func == (_: XMLPlace, _: XMLPlace) -> Bool { true }
    package func hash(into _: inout Hasher) {}
}

/// Goes through a document once.
private struct XMLReader {
    private let bytes: [UInt8]
    private var position = 0
    private var elementCount = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    private func problem(_ reason: String) -> XMLElement.Problem {
        XMLElement.Problem(reason: reason, position: position)
    }

    private var current: UInt8? { position < bytes.count ? bytes[position] : nil }

    private func looking(at text: StaticString) -> Bool {
        let count = text.utf8CodeUnitCount
        guard bytes.count - position >= count else { return false }
        // Safety: the literal is ASCII and has `count` bytes.
        return unsafe bytes[position..<(position + count)]
            .elementsEqual(UnsafeBufferPointer(start: text.utf8Start, count: count))
    }

    private mutating func skip(past end: StaticString, of what: String) throws(XMLElement.Problem) {
        while !looking(at: end) {
            guard position < bytes.count else { throw problem("\(what) does not end") }
            position += 1
        }
        position += end.utf8CodeUnitCount
    }

    private static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 9 || byte == 10 || byte == 13 }

    private mutating func skipSpace() {
        while let byte = current, XMLReader.isSpace(byte) { position += 1 }
    }

    /// White space, comments and instructions around the root.
    private mutating func skipAround() throws(XMLElement.Problem) {
        while true {
            skipSpace()
            if looking(at: "<!--") {
                try skip(past: "-->", of: "a comment")
            } else if looking(at: "<?") {
                try skip(past: "?>", of: "an instruction")
            } else {
                return
            }
        }
    }

    mutating func document() throws(XMLElement.Problem) -> XMLElement {
        guard bytes.count <= XMLElement.mostBytes else {
            throw problem("it has more than \(XMLElement.mostBytes) bytes")
        }
        try skipAround()
        guard !looking(at: "<!") else { throw problem("it declares a document type, which is never needed") }
        let root = try element(depth: 1)
        try skipAround()
        guard position == bytes.count else { throw problem("something follows its end") }
        return root
    }

    private mutating func element(depth: Int) throws(XMLElement.Problem) -> XMLElement {
        guard depth <= XMLElement.deepest else { throw problem("it nests deeper than \(XMLElement.deepest)") }
        elementCount += 1
        guard elementCount <= XMLElement.mostElements else {
            throw problem("it has more than \(XMLElement.mostElements) elements")
        }
        let start = position
        try expect(UInt8(ascii: "<"))
        let name = try name()
        let (attributes, values) = try self.attributes()
        var element = XMLElement(name: name, attributes: attributes)
        if looking(at: "/>") {
            position += 2
            element.place = XMLPlace(whole: start..<position, content: nil, values: values)
            return element
        }
        try expect(UInt8(ascii: ">"))
        let inside = position
        try content(of: &element, depth: depth)
        let outside = position - 2
        guard try self.name() == name else { throw problem("\(name) is closed by another name") }
        skipSpace()
        try expect(UInt8(ascii: ">"))
        element.place = XMLPlace(whole: start..<position, content: inside..<outside, values: values)
        return element
    }

    private mutating func attributes() throws(XMLElement.Problem) -> ([String: String], [String: Range<Int>]) {
        var found: [String: String] = [:]
        var places: [String: Range<Int>] = [:]
        while true {
            skipSpace()
            guard let byte = current, byte != UInt8(ascii: ">"), byte != UInt8(ascii: "/") else {
                return (found, places)
            }
            let name = try name()
            skipSpace()
            try expect(UInt8(ascii: "="))
            skipSpace()
            guard let quote = current, quote == UInt8(ascii: "'") || quote == UInt8(ascii: "\"") else {
                throw problem("the attribute \(name) has no quote")
            }
            position += 1
            let start = position
            let value = try string(upTo: quote)
            places[name] = start..<position
            try expect(quote)
            guard found.updateValue(value, forKey: name) == nil else { throw problem("\(name) is there twice") }
            guard found.count <= XMLElement.mostAttributes else {
                throw problem("an element has more than \(XMLElement.mostAttributes) attributes")
            }
        }
    }

    /// What stands between the tags; ends behind `</`.
    private mutating func content(of element: inout XMLElement, depth: Int) throws(XMLElement.Problem) {
        var text = ""
        while true {
            if looking(at: "</") {
                position += 2
                break
            } else if looking(at: "<!--") {
                try skip(past: "-->", of: "a comment")
            } else if looking(at: "<![CDATA[") {
                position += 9
                let start = position
                try skip(past: "]]>", of: "CDATA")
                text += try decoded(start..<(position - 3))
            } else if looking(at: "<?") {
                try skip(past: "?>", of: "an instruction")
            } else if current == UInt8(ascii: "<") {
                element.children.append(try self.element(depth: depth + 1))
            } else if current == nil {
                throw problem("\(element.name) does not end")
            } else {
                text += try string(upTo: UInt8(ascii: "<"))
            }
        }
        element.text = XMLReader.trimmed(text)
    }

    private static func trimmed(_ text: String) -> String {
        let isSpace: (Character) -> Bool = { $0.isWhitespace }
        guard let first = text.firstIndex(where: { !isSpace($0) }), let last = text.lastIndex(where: { !isSpace($0) })
        else { return "" }
        return String(text[first...last])
    }

    /// Text with its entities put in, up to a byte that stays.
    private mutating func string(upTo end: UInt8) throws(XMLElement.Problem) -> String {
        var out = ""
        var start = position
        while let byte = current, byte != end {
            if byte == UInt8(ascii: "&") {
                out += try decoded(start..<position)
                out.unicodeScalars.append(try entity())
                start = position
            } else if byte == UInt8(ascii: "<") {
                throw problem("an attribute holds <")
            } else {
                position += 1
            }
        }
        guard current == end else { throw problem("a text does not end") }
        return out + (try decoded(start..<position))
    }

    private mutating func entity() throws(XMLElement.Problem) -> Unicode.Scalar {
        position += 1
        let start = position
        // The longest that means anything is &#x10FFFF;.
        while let byte = current, byte != UInt8(ascii: ";"), position - start < 9 { position += 1 }
        let name = try decoded(start..<position)
        try expect(UInt8(ascii: ";"))
        switch name {
        case "amp": return "&"
        case "lt": return "<"
        case "gt": return ">"
        case "apos": return "'"
        case "quot": return "\""
        default: break
        }
        let number: UInt32? =
            if name.hasPrefix("#x") {
                UInt32(name.dropFirst(2), radix: 16)
            } else if name.hasPrefix("#") {
                UInt32(name.dropFirst())
            } else {
                nil
            }
        guard let number, number != 0, let scalar = Unicode.Scalar(number) else {
            throw problem("it has an entity of its own, \(name)")
        }
        return scalar
    }

    private mutating func name() throws(XMLElement.Problem) -> String {
        let start = position
        while let byte = current, !XMLReader.isSpace(byte), !"=/<>\"'&!?".utf8.contains(byte) { position += 1 }
        guard position > start else { throw problem("a name is missing") }
        return try decoded(start..<position)
    }

    private func decoded(_ range: Range<Int>) throws(XMLElement.Problem) -> String {
        guard let text = String(validating: bytes[range], as: UTF8.self), !text.utf8.contains(0) else {
            throw problem("it is no UTF-8 text")
        }
        return text
    }

    private mutating func expect(_ byte: UInt8) throws(XMLElement.Problem) {
        guard current == byte else { throw problem("a \(Character(Unicode.Scalar(byte))) is missing") }
        position += 1
    }
}
