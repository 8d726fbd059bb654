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
    /// Number of the statement that enrols; 0 for the owner, and until a chain holds the statement.
    package internal(set) var statement: UInt32 = 0

    /// An enrolment to be stated.
    ///
    /// - Precondition: the role can be enrolled.
    package init(key: VerifyingKey, role: Role, domain: UInt32, guests: [GuestID]? = nil, label: String) {
        precondition(role.canBeEnrolled, "writers and maintainers are enrolled, nobody else")
        self.key = key
        self.role = role
        self.domain = domain
        self.guests = guests
        self.label = label
    }

    /// What the chain answers for the owner key.
    init(owner key: VerifyingKey) {
        self.key = key
        role = .owner
        domain = nil
        guests = nil
        label = "owner"
    }

    /// Whether the key may write restore points of this guest.
    package func mayWrite(guest: GuestID) -> Bool { guests?.contains(guest) ?? true }

    var members: [String: RecordValue] {
        var members: [String: RecordValue] = [
            "key": .bytes(key.bytes), "role": .text(role.rawValue), "domain": .unsigned(UInt64(domain ?? 0)),
            "label": .text(label),
        ]
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
