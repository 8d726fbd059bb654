package import BackupModel
import ChunkEncryption

/// The public list of what an outcome added: anybody can check that it is there and undamaged (format page §11).
package struct Inventory: Hashable, Sendable {
    /// A pack that was added.
    package struct Pack: Hashable, Sendable {
        /// Its key.
        package let key: ObjectKey
        /// Size in bytes.
        package let byteCount: UInt64
        /// Structure or content.
        package let objectClass: ObjectClass
        /// Dedup domain.
        package let domain: UInt32

        /// A pack from its fields.
        package init(key: ObjectKey, byteCount: UInt64, objectClass: ObjectClass, domain: UInt32) {
            self.key = key
            self.byteCount = byteCount
            self.objectClass = objectClass
            self.domain = domain
        }
    }

    /// An index run that was added.
    package struct Run: Hashable, Sendable {
        /// Its key.
        package let key: ObjectKey
        /// Size in bytes.
        package let byteCount: UInt64

        /// A run from its fields.
        package init(key: ObjectKey, byteCount: UInt64) {
            self.key = key
            self.byteCount = byteCount
        }
    }

    /// Packs added.
    package var packs: [Pack] = []
    /// Runs added.
    package var runs: [Run] = []

    /// An empty inventory.
    package init() {}

    var value: RecordValue {
        .map([
            "packs": .array(
                packs.map {
                    .array([
                        .bytes($0.key.hash.bytes), .unsigned(UInt64($0.key.generation)), .unsigned($0.byteCount),
                        .unsigned(UInt64($0.objectClass.rawValue)), .unsigned(UInt64($0.domain)),
                    ])
                }),
            "runs": .array(
                runs.map {
                    .array([
                        .bytes($0.key.hash.bytes), .unsigned(UInt64($0.key.generation)), .unsigned($0.byteCount),
                    ])
                }),
        ])
    }

    init(_ fields: RecordFields, of name: String) throws(FormatError) {
        let limit = UInt64(FormatLimits.objectByteCount)
        for value in try fields.list("packs") {
            var tuple = try RecordTuple(value, count: 5, of: "a pack of \(name)")
            let key = try tuple.objectKey()
            let byteCount = try tuple.unsigned(limit: limit)
            let number = try tuple.unsigned(limit: 255)
            guard let objectClass = ObjectClass(rawValue: UInt8(number)), objectClass != .open else {
                throw .notCanonical("\(name) lists a pack of class \(number)")
            }
            packs.append(
                Pack(key: key, byteCount: byteCount, objectClass: objectClass, domain: try tuple.word()))
        }
        for value in try fields.list("runs") {
            var tuple = try RecordTuple(value, count: 3, of: "a run of \(name)")
            runs.append(Run(key: try tuple.objectKey(), byteCount: try tuple.unsigned(limit: limit)))
        }
    }
}

/// One entry of a session's chain (format page §11).
package struct SessionEntry: Sendable {
    /// What the entry does.
    package enum Action: String, CaseIterable, Sendable {
        /// Says what is finished so far.
        case checkpoint
        /// Makes its records true.
        case commit
        /// Ends the session without more.
        case abandon
        /// Ends a silent session from outside.
        case fenced
    }

    /// A record of the entry: what the chain says of it, and its sealed body.
    package struct SealedRecord: Sendable {
        /// Number of the record's kind.
        package let kind: UInt32
        /// Whether whoever does not know the kind must not sweep.
        package let isCritical: Bool
        /// SHA-256 of the sealed body.
        package let bodyHash: Hash256
        /// Bytes of the sealed body.
        package let byteCount: UInt32
        /// Dedup domain whose structure key opens it.
        package let domain: UInt32
        /// Epoch of that key.
        package let keyEpoch: UInt32
        /// The sealed body, or `nil` when it was erased.
        package let sealed: [UInt8]?
    }

    /// Whose session.
    package let writer: WriterID
    /// Which session.
    package let session: SessionID
    /// Number of the entry in the session.
    package let number: UInt32
    /// Hash of the entry before it, or of the session's slot.
    package let previous: Hash256
    /// The session's slot.
    package let slot: SlotNumber
    /// See ``Action``.
    package let action: Action
    /// All that the writer has seen.
    package let heads: Heads
    /// What was added.
    package let inventory: Inventory
    /// Its records.
    package let records: [SealedRecord]
    /// Hash of the entry's object.
    package let hash: Hash256

    /// Reads the object that stands at the name of this place.
    ///
    /// - Throws: ``FormatError``: `misplaced` when body and name disagree; `damaged` when a sealed body is not the one
    ///   that the chain says.
    package init(
        _ object: SignedObject, writer: WriterID, session: SessionID, number: UInt32
    ) throws(FormatError) {
        let name = ObjectPaths.sessionEntry(writer: writer, session: session, number: number)
        let fields = try object.fields(name: name)
        self.writer = try fields.identifier("writer")
        self.session = try fields.identifier("session")
        self.number = try fields.number("k")
        guard self.writer == writer, self.session == session, self.number == number else {
            throw .misplaced("\(name) says that it is entry \(self.number) of session \(self.session)")
        }
        previous = try fields.hash("previous")
        var place = try RecordTuple(try fields.value("slot"), count: 3, of: "slot of \(name)")
        slot = try place.slot()
        let type = try fields.text("type")
        guard let action = Action(rawValue: type) else {
            throw .unsupported("\(name) is of type \(type), which this program does not know")
        }
        self.action = action
        heads = try Heads(try fields.value("heads"), of: name)
        inventory = try Inventory(try fields.fields("inventory"), of: name)
        records = try SessionEntry.records(try fields.list("records"), tail: object.tail, name: name)
        hash = object.hash
    }

    private static func records(
        _ list: [RecordValue], tail: ArraySlice<UInt8>, name: String
    ) throws(FormatError) -> [SealedRecord] {
        var bodies = FieldReader(tail, of: "the sealed bodies of \(name)")
        var records: [SealedRecord] = []
        for (index, value) in list.enumerated() {
            let what = "record \(index) of \(name)"
            let fields = try RecordFields(value, of: what)
            guard case .bool(let isCritical) = try fields.value("critical") else {
                throw .notCanonical("\(what): critical is neither true nor false")
            }
            let bodyHash = try fields.hash("body")
            let byteCount = try fields.word("length")
            let sealed = Array(try bodies.take(Int(byteCount)))
            guard SecureHash.sha256(sealed) == bodyHash else {
                throw .damaged("the body of \(what) is not the one that was written")
            }
            records.append(
                SealedRecord(
                    kind: try fields.word("kind"), isCritical: isCritical, bodyHash: bodyHash, byteCount: byteCount,
                    domain: try fields.word("domain"), keyEpoch: try fields.word("epoch"), sealed: sealed))
        }
        try bodies.finish()
        return records
    }
}

/// Where a record stands; binds its sealed body to the place.
package struct RecordPlace: Hashable, Sendable {
    /// Which repository.
    package let repository: RepositoryID
    /// Whose session.
    package let writer: WriterID
    /// Which session.
    package let session: SessionID
    /// Which entry.
    package let number: UInt32
    /// Which record of the entry.
    package let position: UInt32
    /// Number of the record's kind.
    package let kind: UInt32

    /// A place from its fields.
    package init(
        repository: RepositoryID, writer: WriterID, session: SessionID, number: UInt32, position: UInt32, kind: UInt32
    ) {
        self.repository = repository
        self.writer = writer
        self.session = session
        self.number = number
        self.position = position
        self.kind = kind
    }

    /// Associated data of the sealed body.
    package var associatedData: [UInt8] {
        var data = Array("dozo/1 record".utf8) + repository.bytes + writer.bytes + session.bytes
        data.append(littleEndian: number)
        data.append(littleEndian: position)
        data.append(littleEndian: kind)
        return data
    }
}
