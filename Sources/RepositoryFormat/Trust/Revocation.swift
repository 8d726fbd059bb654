package import BackupModel

extension LogHead {
    /// Whether `other` lies before this slot or is this very one; another slot in its place is not.
    func covers(_ other: LogHead) -> Bool { other.slot < slot || other == self }
}

/// An entry of a session, by its number and its hash.
package struct SessionEntryReference: Hashable, Sendable {
    /// Which session.
    package let session: SessionID
    /// Number of the entry, `k` of the format page.
    package let number: UInt32
    /// Hash of the entry's object.
    package let hash: Hash256

    /// Takes the three as they are.
    package init(session: SessionID, number: UInt32, hash: Hash256) {
        self.session = session
        self.number = number
        self.hash = hash
    }

    /// Whether `other`, of the same session, lies before this entry or is this very one.
    func covers(_ other: SessionEntryReference) -> Bool { other.number < number || other == self }

    var value: RecordValue { .array([.bytes(session.bytes), .unsigned(UInt64(number)), .bytes(hash.bytes)]) }

    init(_ value: RecordValue, of what: String) throws(FormatError) {
        var items = try RecordTuple(value, count: 3, of: what)
        session = try items.identifier()
        number = try items.number()
        hash = try items.hash()
    }
}

/// Up to where the signatures of a key are still believed (format page §3): numbers and hashes, never a time.
package struct Revocation: Hashable, Sendable {
    /// Fingerprint of the key.
    package let key: Hash256
    /// The key's last accepted slot; `nil` when nothing it signed is accepted.
    package let slot: LogHead?
    /// Last accepted entries of the sessions that were open then; sessions of accepted slots not named here had ended.
    package let sessions: [SessionEntryReference]
    /// Hash of an earlier revocation of the key that the owner takes back, as far as it waits for persons (format page
    /// §11, "Withdrawn"); `nil` for none.
    package let withdraws: Hash256?

    /// - Precondition: at most ``FormatLimits/headCount`` sessions, none twice, and none without a slot.
    package init(
        key: Hash256, slot: LogHead?, sessions: [SessionEntryReference] = [], withdraws: Hash256? = nil
    ) {
        precondition(sessions.count <= FormatLimits.headCount, "a revocation names at most 1,024 sessions")
        precondition(Set(sessions.map(\.session)).count == sessions.count, "a revocation names a session once")
        precondition(slot != nil || sessions.isEmpty, "where no slot is accepted, no session is")
        self.key = key
        self.slot = slot
        self.sessions = sessions
        self.withdraws = withdraws
    }

    /// Whether a slot of the key is still believed.
    package func accepts(_ candidate: LogHead) -> Bool { slot?.covers(candidate) ?? false }

    /// Whether an entry of the session that the slot opened is still believed.
    package func accepts(_ entry: SessionEntryReference, under candidate: LogHead) -> Bool {
        guard accepts(candidate) else { return false }
        return sessions.first { $0.session == entry.session }?.covers(entry) ?? true
    }

    var members: [String: RecordValue] {
        var members: [String: RecordValue] = [
            "key": .bytes(key.bytes), "sessions": .array(sessions.map(\.value)),
        ]
        if let slot { members["slot"] = slot.value }
        if let withdraws { members["withdraws"] = .bytes(withdraws.bytes) }
        return members
    }

    init(_ fields: RecordFields, of what: String) throws(FormatError) {
        key = try fields.hash("key")
        withdraws = try fields.optionalHash("withdraws")
        if let value = fields.optional("slot") {
            slot = try LogHead(value, of: "slot of \(what)")
        } else {
            slot = nil
        }
        let values = try fields.list("sessions")
        guard values.count <= FormatLimits.headCount else {
            throw .overLimit(
                "the count of sessions in \(what)", value: UInt64(values.count), limit: UInt64(FormatLimits.headCount))
        }
        var sessions: [SessionEntryReference] = []
        for value in values { sessions.append(try SessionEntryReference(value, of: "a session of \(what)")) }
        guard Set(sessions.map(\.session)).count == sessions.count else {
            throw .notCanonical("\(what) names a session twice")
        }
        guard slot != nil || sessions.isEmpty else { throw .notCanonical("\(what) names sessions without a slot") }
        self.sessions = sessions
    }
}
