package import BackupModel

/// The last entry of a session that somebody has seen.
package struct SessionHead: Hashable, Sendable {
    /// Whose session.
    package let writer: WriterID
    /// Which session.
    package let session: SessionID
    /// Number of its last entry seen.
    package let number: UInt32
    /// Hash of that entry.
    package let hash: Hash256

    /// A head from its fields.
    package init(writer: WriterID, session: SessionID, number: UInt32, hash: Hash256) {
        self.writer = writer
        self.session = session
        self.number = number
        self.hash = hash
    }

    var value: RecordValue {
        .array([.bytes(writer.bytes), .bytes(session.bytes), .unsigned(UInt64(number)), .bytes(hash.bytes)])
    }

    init(_ value: RecordValue, of what: String) throws(FormatError) {
        var tuple = try RecordTuple(value, count: 4, of: "a session head of \(what)")
        writer = try tuple.identifier()
        session = try tuple.identifier()
        number = try tuple.number()
        hash = try tuple.hash()
    }
}

/// The last slot of a control log that somebody has seen.
package struct LogHead: Hashable, Sendable {
    /// Where the slot stands.
    package let slot: SlotNumber
    /// Hash of the slot's object.
    package let hash: Hash256

    /// A head from its fields.
    package init(slot: SlotNumber, hash: Hash256) {
        self.slot = slot
        self.hash = hash
    }

    var value: RecordValue {
        .array([
            .unsigned(UInt64(slot.incarnation)), .unsigned(UInt64(slot.epoch)), .unsigned(UInt64(slot.number)),
            .bytes(hash.bytes),
        ])
    }

    init(_ value: RecordValue, of what: String) throws(FormatError) {
        var tuple = try RecordTuple(value, count: 4, of: "a log head of \(what)")
        slot = try tuple.slot()
        hash = try tuple.hash()
    }
}

/// All that a program has seen of a repository (format page §11): who saw more can tell when a store hides a tail.
package struct Heads: Hashable, Sendable {
    /// Last statement of the owner chain: number and hash.
    package var owner: (number: UInt32, hash: Hash256)
    /// Last slot; `nil` before the first.
    package var log: LogHead?
    /// Last entries of sessions that the log does not tell already; at most ``FormatLimits/headCount``.
    package var sessions: [SessionHead]

    /// Heads from their fields.
    package init(owner: (number: UInt32, hash: Hash256), log: LogHead?, sessions: [SessionHead]) {
        self.owner = owner
        self.log = log
        self.sessions = sessions
    }

    package static func == (left: Heads, right: Heads) -> Bool {
        left.owner == right.owner && left.log == right.log && left.sessions == right.sessions
    }

    package func hash(into hasher: inout Hasher) {
        hasher.combine(owner.hash)
        hasher.combine(log)
        hasher.combine(sessions)
    }

    /// As a record's field.
    package var value: RecordValue {
        var members: [String: RecordValue] = [
            "owner": .array([.unsigned(UInt64(owner.number)), .bytes(owner.hash.bytes)]),
            "sessions": .array(sessions.prefix(FormatLimits.headCount).map(\.value)),
        ]
        if let log { members["log"] = log.value }
        return .map(members)
    }

    /// From a record's field.
    ///
    /// - Throws: ``FormatError``.
    package init(_ value: RecordValue, of what: String) throws(FormatError) {
        let fields = try RecordFields(value, of: "the heads of \(what)")
        var tuple = try RecordTuple(try fields.value("owner"), count: 2, of: "the owner head of \(what)")
        owner = (try tuple.number(), try tuple.hash())
        if let value = fields.optional("log") { log = try LogHead(value, of: what) }
        let list = try fields.list("sessions")
        guard list.count <= FormatLimits.headCount else {
            throw .overLimit("heads of \(what)", value: UInt64(list.count), limit: UInt64(FormatLimits.headCount))
        }
        var sessions: [SessionHead] = []
        for value in list { sessions.append(try SessionHead(value, of: what)) }
        self.sessions = sessions
    }
}

extension RecordTuple {
    /// The next item, 16 bytes.
    package mutating func identifier<Subject>() throws(FormatError) -> Identifier<Subject> {
        guard let identifier = Identifier<Subject>(bytes: try bytes(count: 16)) else {
            preconditionFailure("16 bytes make an identifier")
        }
        return identifier
    }

    /// The next three items: incarnation, epoch and number of a slot.
    package mutating func slot() throws(FormatError) -> SlotNumber {
        SlotNumber(incarnation: try number(), epoch: try number(), number: try number())
    }

    /// The next two items: hash and generation.
    package mutating func objectKey() throws(FormatError) -> ObjectKey {
        ObjectKey(hash: try hash(), generation: try word())
    }
}

extension RecordFields {
    /// 16 bytes.
    package func identifier<Subject>(_ name: String) throws(FormatError) -> Identifier<Subject> {
        guard let identifier = Identifier<Subject>(bytes: try bytes(name, count: 16)) else {
            preconditionFailure("16 bytes make an identifier")
        }
        return identifier
    }

    /// A list of identifiers.
    package func identifiers<Subject>(_ name: String) throws(FormatError) -> [Identifier<Subject>] {
        var identifiers: [Identifier<Subject>] = []
        for value in try list(name) {
            guard case .bytes(let bytes) = value, let identifier = Identifier<Subject>(bytes: bytes) else {
                throw .notCanonical("an item of \(name) is not an identifier of 16 bytes")
            }
            identifiers.append(identifier)
        }
        return identifiers
    }
}
