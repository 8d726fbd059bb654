/// Changes to a document of which everything else stays, byte for byte: comments, order, white space, and whatever a
/// newer libvirt wrote that nobody here knows.
package struct XMLEdits {
    /// The document as it was read; places of its elements are where changes go.
    package let root: XMLElement
    private let bytes: [UInt8]
    private var changes: [(range: Range<Int>, text: [UInt8])] = []

    /// Reads a document. - Throws: ``XMLElement/Problem``.
    package init(_ document: String) throws(XMLElement.Problem) {
        bytes = Array(document.utf8)
        root = try XMLElement(parsing: bytes)
    }

    /// Gives an attribute that an element has another value.
    ///
    /// - Parameter element: read by this value, as for all changes.
    /// - Returns: false when the element has no such attribute.
    @discardableResult
    package mutating func set(_ attribute: String, of element: XMLElement, to value: String) -> Bool {
        guard let range = element.place.values[attribute] else { return false }
        changes.append((range, Array(XMLElement.escaped(value).utf8)))
        return true
    }

    /// Gives an element another text in place of everything between its tags.
    ///
    /// - Returns: false when it is one tag.
    @discardableResult
    package mutating func setText(of element: XMLElement, to text: String) -> Bool {
        guard let range = element.place.content else { return false }
        changes.append((range, Array(XMLElement.escaped(text).utf8)))
        return true
    }

    /// Puts markup behind everything that is in an element.
    ///
    /// - Returns: false when it is one tag.
    @discardableResult
    package mutating func append(_ markup: String, to element: XMLElement) -> Bool {
        guard let range = element.place.content else { return false }
        changes.append((range.upperBound..<range.upperBound, Array(markup.utf8)))
        return true
    }

    /// Puts markup in an element's place.
    package mutating func replace(_ element: XMLElement, by markup: String) {
        guard let range = element.place.whole else { return }
        changes.append((range, Array(markup.utf8)))
    }

    /// Takes an element away, with the white space before it.
    package mutating func remove(_ element: XMLElement) {
        guard let whole = element.place.whole else { return }
        var start = whole.lowerBound
        while start > 0, [0x20, 9, 10, 13].contains(bytes[start - 1]) { start -= 1 }
        changes.append((start..<whole.upperBound, []))
    }

    /// The document with all changes. A change inside of what another one takes away has no effect.
    package var document: String {
        var out: [UInt8] = []
        var position = 0
        // What begins first and is longest comes first.
        for change in changes.sorted(by: {
            ($0.range.lowerBound, $1.range.upperBound) < ($1.range.lowerBound, $0.range.upperBound)
        }) where change.range.lowerBound >= position {
            out += bytes[position..<change.range.lowerBound]
            out += change.text
            position = change.range.upperBound
        }
        out += bytes[position...]
        return String(decoding: out, as: UTF8.self)
    }
}
