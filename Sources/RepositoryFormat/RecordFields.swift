package import BackupModel

/// Reads the members of a body by name, with errors that name the object and the field.
///
/// Unknown members are kept by whoever stores the bytes and ignored here, unless their name begins with `!`: those are
/// critical, and the body is refused (format page §2).
package struct RecordFields {
    private let members: [String: RecordValue]
    private let what: String

    /// - Parameter value: must be a map.
    /// - Parameter what: names the object in errors.
    /// - Throws: ``FormatError``, `malformed` when it is no map, `unsupported` for a critical member not in `known`.
    package init(_ value: RecordValue, of what: String, knownCritical: Set<String> = []) throws(FormatError) {
        guard case .map(let members) = value else { throw .notCanonical("\(what) is not a map of named fields") }
        for name in members.keys.sorted() where name.hasPrefix("!") && !knownCritical.contains(name) {
            throw .unsupported("\(what) has the critical field \(name), which this program does not know")
        }
        self.members = members
        self.what = what
    }

    private func wrong(_ name: String, _ wanted: String) -> FormatError {
        .notCanonical("\(what): the field \(name) is missing or is not \(wanted)")
    }

    /// The member as it stands; `nil` when there is none.
    package func optional(_ name: String) -> RecordValue? { members[name] }

    /// The member as it stands.
    package func value(_ name: String) throws(FormatError) -> RecordValue {
        guard let value = members[name] else { throw wrong(name, "there") }
        return value
    }

    /// An unsigned integer of at most `limit`.
    package func unsigned(_ name: String, limit: UInt64 = .max) throws(FormatError) -> UInt64 {
        guard case .unsigned(let value)? = members[name] else { throw wrong(name, "an unsigned number") }
        guard value <= limit else { throw .overLimit("\(name) of \(what)", value: value, limit: limit) }
        return value
    }

    /// An unsigned integer of 32 bits.
    package func word(_ name: String) throws(FormatError) -> UInt32 {
        UInt32(try unsigned(name, limit: UInt64(UInt32.max)))
    }

    /// A number that stands in the name of an object, at most ``FormatLimits/number``.
    package func number(_ name: String) throws(FormatError) -> UInt32 {
        UInt32(try unsigned(name, limit: UInt64(FormatLimits.number)))
    }

    /// A text.
    package func text(_ name: String) throws(FormatError) -> String {
        guard case .text(let value)? = members[name] else { throw wrong(name, "a text") }
        return value
    }

    /// A byte string; of exactly `count` bytes when that is given.
    package func bytes(_ name: String, count: Int? = nil) throws(FormatError) -> [UInt8] {
        guard case .bytes(let value)? = members[name], count.map({ $0 == value.count }) ?? true else {
            throw wrong(name, count.map { "a byte string of \($0) bytes" } ?? "a byte string")
        }
        return value
    }

    /// 32 bytes.
    package func hash(_ name: String) throws(FormatError) -> Hash256 {
        guard let hash = Hash256(bytes: try bytes(name, count: Hash256.byteCount)) else {
            preconditionFailure("32 bytes make a 256-bit value")
        }
        return hash
    }

    /// 32 bytes, or `nil` when the member is absent.
    package func optionalHash(_ name: String) throws(FormatError) -> Hash256? {
        members[name] == nil ? nil : try hash(name)
    }

    /// A list; absent counts as empty only with `orEmpty`.
    package func list(_ name: String, orEmpty: Bool = false) throws(FormatError) -> [RecordValue] {
        if orEmpty, members[name] == nil { return [] }
        guard case .array(let values)? = members[name] else { throw wrong(name, "a list") }
        return values
    }

    /// The fields of a nested map.
    package func fields(_ name: String) throws(FormatError) -> RecordFields {
        try RecordFields(try value(name), of: "\(name) of \(what)")
    }
}

/// Reads the items of a fixed-shape list, such as `[session, k, hash]`, in order.
package struct RecordTuple {
    private var rest: ArraySlice<RecordValue>
    private let what: String

    /// - Throws: ``FormatError``, `malformed` unless `value` is a list of exactly `count` items.
    package init(_ value: RecordValue, count: Int, of what: String) throws(FormatError) {
        guard case .array(let values) = value, values.count == count else {
            throw .notCanonical("\(what) is not a list of \(count) items")
        }
        rest = values[...]
        self.what = what
    }

    private mutating func next() throws(FormatError) -> RecordValue {
        guard let value = rest.popFirst() else { throw .notCanonical("\(what) has too few items") }
        return value
    }

    /// The next item, an unsigned integer of at most `limit`.
    package mutating func unsigned(limit: UInt64 = .max) throws(FormatError) -> UInt64 {
        guard case .unsigned(let value) = try next() else { throw .notCanonical("\(what): an item is not a number") }
        guard value <= limit else { throw .overLimit("an item of \(what)", value: value, limit: limit) }
        return value
    }

    /// The next item, an unsigned integer of 32 bits.
    package mutating func word() throws(FormatError) -> UInt32 { UInt32(try unsigned(limit: UInt64(UInt32.max))) }

    /// The next item, a number that stands in the name of an object, at most ``FormatLimits/number``.
    package mutating func number() throws(FormatError) -> UInt32 {
        UInt32(try unsigned(limit: UInt64(FormatLimits.number)))
    }

    /// The next item, exactly `count` bytes.
    package mutating func bytes(count: Int) throws(FormatError) -> [UInt8] {
        guard case .bytes(let value) = try next(), value.count == count else {
            throw .notCanonical("\(what): an item is not a byte string of \(count) bytes")
        }
        return value
    }

    /// The next item, 32 bytes.
    package mutating func hash() throws(FormatError) -> Hash256 {
        guard let hash = Hash256(bytes: try bytes(count: Hash256.byteCount)) else {
            preconditionFailure("32 bytes make a 256-bit value")
        }
        return hash
    }
}
