package import BackupModel
package import ChunkEncryption

/// A key that may sign, and what it may sign for (format page §3).
package struct Enrolment: Hashable, Sendable {
    /// The key.
    package let key: VerifyingKey
    /// `writer` or `maintainer` in a statement; the chain answers `owner` for the owner key.
    package let role: Role
    /// The dedup domain; `nil` for the owner alone, who may write to all.
    package let domain: UInt32?
    /// The guests it may write; `nil` for all.
    package let guests: [GuestID]?
    /// A name for people.
    package let label: String
    /// Whose key it is, as the owner says; `nil` for nobody's.
    package let person: String?
    /// Whether approvals that it signs can count.
    package let approves: Bool
    /// Number of the statement that enrols; 0 for the owner, and until a chain holds the statement.
    package internal(set) var statement: UInt32 = 0

    /// An enrolment to be stated.
    ///
    /// - Precondition: the role can be enrolled; whose key approves is somebody's.
    package init(
        key: VerifyingKey, role: Role, domain: UInt32, guests: [GuestID]? = nil, label: String, person: String? = nil,
        approves: Bool = false
    ) {
        precondition(!approves || person != nil, "a key that approves is somebody's")
        precondition(role.canBeEnrolled, "writers and maintainers are enrolled, nobody else")
        self.key = key
        self.role = role
        self.domain = domain
        self.guests = guests
        self.label = label
        self.person = person
        self.approves = approves
    }

    /// What the chain answers for the owner key.
    init(owner key: VerifyingKey) {
        self.key = key
        role = .owner
        domain = nil
        guests = nil
        label = "owner"
        person = nil
        approves = false
    }

    /// Most bytes of a person's name.
    package static let personByteCount = 64

    /// Whether a text can be a person's name: 1 to 64 bytes without control characters.
    package static func isPerson(_ text: String) -> Bool {
        (1...personByteCount).contains(text.utf8.count)
            && !text.unicodeScalars.contains { $0.properties.generalCategory == .control }
    }

    /// Whether the key may write restore points of this guest.
    package func mayWrite(guest: GuestID) -> Bool { guests?.contains(guest) ?? true }

    var members: [String: RecordValue] {
        var members: [String: RecordValue] = [
            "key": .bytes(key.bytes), "role": .text(role.rawValue), "domain": .unsigned(UInt64(domain ?? 0)),
            "label": .text(label),
        ]
        if let person { members["person"] = .text(person) }
        if approves { members["approves"] = .bool(true) }
        if let guests { members["guests"] = .array(guests.map { .bytes($0.bytes) }) }
        return members
    }

    init(_ fields: RecordFields, statement: UInt32, of what: String) throws(FormatError) {
        key = try VerifyingKey(field: "key", in: fields, of: what)
        let text = try fields.text("role")
        guard let role = Role(rawValue: text), role.canBeEnrolled else {
            throw .unsupported("\(what) enrols a key as \(text), which this program does not know as such a role")
        }
        self.role = role
        domain = try fields.word("domain")
        guests = fields.optional("guests") == nil ? nil : try fields.identifiers("guests")
        label = try fields.text("label")
        person = fields.optional("person") == nil ? nil : try fields.text("person")
        guard person.map(Enrolment.isPerson) ?? true else {
            throw .notCanonical("\(what): a person is called by 1 to \(Enrolment.personByteCount) bytes of plain text")
        }
        approves = fields.optional("approves") != nil
        guard !approves || fields.optional("approves") == .bool(true) && person != nil else {
            throw .notCanonical("\(what): approves is true, beside a person, or not there")
        }
        self.statement = statement
    }
}

extension VerifyingKey {
    init(field name: String, in fields: RecordFields, of what: String) throws(FormatError) {
        let bytes = try fields.bytes(name, count: VerifyingKey.byteCount)
        do { self = try VerifyingKey(bytes: bytes) } catch {
            throw .notCanonical("\(what): \(name) is not usable: \(error)")
        }
    }
}
