package import BackupModel

/// One slot of a store's control log (format page §10): a claim that everybody after it has read.
package struct LogSlot: Hashable, Sendable {
    /// What was claimed.
    package enum Claim: Hashable, Sendable {
        /// A session begins, building on these points.
        case open(SessionID, bases: [PointID])
        /// These points must stay while somebody reads them.
        case pin([PointID])
        /// These points must stay until a person says otherwise.
        case hold([PointID])
        /// These points come back.
        case undo([PointID])
        /// The epoch ends; the ledger says what lives on.
        case close(ledger: Hash256)
    }

    /// The end of an earlier session of the same writer.
    package struct Ended: Hashable, Sendable {
        /// Which session.
        package let session: SessionID
        /// Number of its last entry.
        package let number: UInt32
        /// Hash of its last entry.
        package let hash: Hash256

        /// An end from its fields.
        package init(session: SessionID, number: UInt32, hash: Hash256) {
            self.session = session
            self.number = number
            self.hash = hash
        }
    }

    /// Where it stands.
    package let slot: SlotNumber
    /// Hash of the slot before it, of the close before it, or of the store identity.
    package let previous: Hash256
    /// What it claims.
    package let claim: Claim
    /// The same writer's slot before this one in this incarnation.
    package let writerPrevious: LogHead?
    /// The same writer's sessions that ended since.
    package let ended: [Ended]
    /// All that the writer has seen; `nil` when it would not fit.
    package let heads: Heads?

    /// A slot from its fields.
    package init(
        slot: SlotNumber, previous: Hash256, claim: Claim, writerPrevious: LogHead?, ended: [Ended], heads: Heads?
    ) {
        self.slot = slot
        self.previous = previous
        self.claim = claim
        self.writerPrevious = writerPrevious
        self.ended = ended
        self.heads = heads
    }

    /// The body of the slot's object.
    package var body: RecordValue {
        var members: [String: RecordValue] = [
            "incarnation": .unsigned(UInt64(slot.incarnation)), "epoch": .unsigned(UInt64(slot.epoch)),
            "n": .unsigned(UInt64(slot.number)), "previous": .bytes(previous.bytes),
            "ended": .array(
                ended.map {
                    .array([.bytes($0.session.bytes), .unsigned(UInt64($0.number)), .bytes($0.hash.bytes)])
                }),
        ]
        if let writerPrevious {
            members["writer_previous"] = .array([
                .unsigned(UInt64(writerPrevious.slot.epoch)), .unsigned(UInt64(writerPrevious.slot.number)),
                .bytes(writerPrevious.hash.bytes),
            ])
        }
        if let heads { members["heads"] = heads.value }
        func points(_ list: [PointID]) -> RecordValue { .array(list.map { .bytes($0.bytes) }) }
        switch claim {
        case .open(let session, let bases):
            members["type"] = .text("open")
            members["session"] = .bytes(session.bytes)
            members["bases"] = points(bases)
        case .pin(let list): (members["type"], members["points"]) = (.text("pin"), points(list))
        case .hold(let list): (members["type"], members["points"]) = (.text("hold"), points(list))
        case .undo(let list): (members["type"], members["points"]) = (.text("undo"), points(list))
        case .close(let ledger):
            members["type"] = .text("close")
            members["ledger"] = .bytes(ledger.bytes)
        }
        return .map(members)
    }

    /// Reads a slot's body; `expected` is the place its name says.
    ///
    /// - Throws: ``FormatError``: `misplaced` when body and name disagree, `unsupported` for an unknown type.
    package init(_ object: SignedObject, expected: SlotNumber) throws(FormatError) {
        let name = ObjectPaths.slot(expected)
        guard object.bytes.count <= FormatLimits.slotByteCount else {
            throw .overLimit(
                "the size of \(name)", value: UInt64(object.bytes.count), limit: UInt64(FormatLimits.slotByteCount))
        }
        let fields = try object.fields(name: name)
        slot = SlotNumber(
            incarnation: try fields.number("incarnation"), epoch: try fields.number("epoch"),
            number: try fields.number("n"))
        guard slot == expected else { throw .misplaced("\(name) says that it is \(slot)") }
        previous = try fields.hash("previous")
        switch try fields.text("type") {
        case "open": claim = .open(try fields.identifier("session"), bases: try fields.identifiers("bases"))
        case "pin": claim = .pin(try fields.identifiers("points"))
        case "hold": claim = .hold(try fields.identifiers("points"))
        case "undo": claim = .undo(try fields.identifiers("points"))
        case "close": claim = .close(ledger: try fields.hash("ledger"))
        case let other: throw .unsupported("\(name) is of type \(other), which this program does not know")
        }
        if let value = fields.optional("writer_previous") {
            var tuple = try RecordTuple(value, count: 3, of: "writer_previous of \(name)")
            writerPrevious = LogHead(
                slot: SlotNumber(
                    incarnation: expected.incarnation, epoch: try tuple.number(), number: try tuple.number()),
                hash: try tuple.hash())
        } else {
            writerPrevious = nil
        }
        var ended: [Ended] = []
        for value in try fields.list("ended") {
            var tuple = try RecordTuple(value, count: 3, of: "ended of \(name)")
            ended.append(Ended(session: try tuple.identifier(), number: try tuple.number(), hash: try tuple.hash()))
        }
        self.ended = ended
        if let value = fields.optional("heads") { heads = try Heads(value, of: name) } else { heads = nil }
    }
}

/// Who a store is, and which incarnation of it (format page §10).
package struct StoreIdentity: Hashable, Sendable {
    /// Which repository it holds.
    package let repository: RepositoryID
    /// Which store.
    package let store: StoreID
    /// 0 at first; one more whenever somebody states that the store was put back to an earlier state.
    package let incarnation: UInt32
    /// Hash of the incarnation before; `nil` for the first.
    package let previous: Hash256?
    /// Why, for people.
    package let reason: String
    /// All that whoever stated it had seen; `nil` where there was nothing to see yet.
    package let heads: Heads?

    /// An identity from its fields.
    package init(
        repository: RepositoryID, store: StoreID, incarnation: UInt32, previous: Hash256?, reason: String,
        heads: Heads? = nil
    ) {
        precondition((incarnation == 0) == (previous == nil), "every incarnation but the first follows one")
        self.repository = repository
        self.store = store
        self.incarnation = incarnation
        self.previous = previous
        self.reason = reason
        self.heads = heads
    }

    /// The body of the object.
    package var body: RecordValue {
        var members: [String: RecordValue] = [
            "repository": .bytes(repository.bytes), "store": .bytes(store.bytes),
            "incarnation": .unsigned(UInt64(incarnation)), "reason": .text(reason),
        ]
        if let previous { members["previous"] = .bytes(previous.bytes) }
        if let heads { members["heads"] = heads.value }
        return .map(members)
    }

    /// Reads the body of `store/<i>`.
    ///
    /// - Throws: ``FormatError``.
    package init(_ object: SignedObject, expected incarnation: UInt32) throws(FormatError) {
        let name = ObjectPaths.storeIdentity(incarnation)
        let fields = try object.fields(name: name)
        guard let repository = RepositoryID(bytes: try fields.bytes("repository", count: RepositoryID.byteCount)) else {
            preconditionFailure("16 bytes make a repository id")
        }
        self.repository = repository
        store = try fields.identifier("store")
        self.incarnation = try fields.number("incarnation")
        previous = try fields.optionalHash("previous")
        reason = try fields.text("reason")
        if let value = fields.optional("heads") { heads = try Heads(value, of: name) } else { heads = nil }
        guard self.incarnation == incarnation, repository == object.header.repository else {
            throw .misplaced("\(name) says that it is incarnation \(self.incarnation) of \(repository)")
        }
        guard (incarnation == 0) == (previous == nil) else {
            throw .notCanonical("\(name): every incarnation but the first names the one before it")
        }
    }
}
