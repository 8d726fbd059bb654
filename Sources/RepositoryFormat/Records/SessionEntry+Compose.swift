package import BackupModel
package import ChunkEncryption
package import Effects

extension SessionEntry {
    /// What a writer wants an entry to say.
    package struct Draft: Sendable {
        /// Whose session.
        package var writer: WriterID
        /// Which session.
        package var session: SessionID
        /// Number of the entry.
        package var number: UInt32
        /// Hash of the entry before, or of the slot.
        package var previous: Hash256
        /// The session's slot.
        package var slot: SlotNumber
        /// See ``Action``.
        package var action: Action
        /// All that the writer has seen.
        package var heads: Heads
        /// What was added.
        package var inventory: Inventory
        /// Records in the clear.
        package var records: [Record]

        /// A draft from its fields.
        package init(
            writer: WriterID, session: SessionID, number: UInt32, previous: Hash256, slot: SlotNumber,
            action: Action, heads: Heads, inventory: Inventory, records: [Record]
        ) {
            self.writer = writer
            self.session = session
            self.number = number
            self.previous = previous
            self.slot = slot
            self.action = action
            self.heads = heads
            self.inventory = inventory
            self.records = records
        }
    }

    /// Seals the records, signs the entry.
    ///
    /// - Parameter recipient: the structure key that record bodies are sealed to.
    /// - Throws: ``EncryptionError`` when that key is a weak one.
    package static func compose(
        _ draft: Draft, recipient: DomainRecipient, signer: SigningKey, randomness: Randomness
    ) throws(EncryptionError) -> SignedObject {
        precondition(recipient.objectClass == .structure, "record bodies are sealed to the structure key")
        var tail: [UInt8] = []
        var entries: [RecordValue] = []
        for (position, record) in draft.records.enumerated() {
            let place = RecordPlace(
                repository: recipient.repository, writer: draft.writer, session: draft.session, number: draft.number,
                position: UInt32(position), kind: record.kind)
            let message = try recipient.seal(
                SecretBytes(copying: record.body.encoded), associatedData: place.associatedData,
                randomness: randomness.bytes(HybridEncryption.randomnessByteCount))
            var sealed: [UInt8] = []
            sealed.append(littleEndian: PackKeyTable.suite)
            sealed.append(littleEndian: UInt16(message.encapsulatedKey.count))
            sealed += message.encapsulatedKey
            sealed += message.ciphertext
            entries.append(
                .map([
                    "kind": .unsigned(UInt64(record.kind)), "critical": .bool(record.isCritical),
                    "body": .bytes(SecureHash.sha256(sealed).bytes), "length": .unsigned(UInt64(sealed.count)),
                    "domain": .unsigned(UInt64(recipient.domain)), "epoch": .unsigned(UInt64(recipient.keyEpoch)),
                ]))
            tail += sealed
        }
        let body: RecordValue = .map([
            "writer": .bytes(draft.writer.bytes), "session": .bytes(draft.session.bytes),
            "k": .unsigned(UInt64(draft.number)), "previous": .bytes(draft.previous.bytes),
            "slot": .array([
                .unsigned(UInt64(draft.slot.incarnation)), .unsigned(UInt64(draft.slot.epoch)),
                .unsigned(UInt64(draft.slot.number)),
            ]),
            "type": .text(draft.action.rawValue), "heads": draft.heads.value, "inventory": draft.inventory.value,
            "records": .array(entries),
        ])
        return SignedObject(
            kind: .sessionEntry, repository: recipient.repository, body: body, tail: tail, signedBy: signer)
    }

    /// Opens the body of one record with the structure key.
    ///
    /// - Throws: ``FormatError``, `damaged` when it does not open, `unsupported` for another suite, `misplaced` when
    ///   the body was erased.
    package func open(
        record position: Int, recipient: DomainRecipient, privateKey: RecipientPrivateKey
    ) throws(FormatError) -> Record {
        let record = records[position]
        let name = ObjectPaths.sessionEntry(writer: writer, session: session, number: number)
        let what = "record \(position) of \(name)"
        guard let sealed = record.sealed else { throw .misplaced("the body of \(what) was erased") }
        var fields = FieldReader(sealed[...], of: what)
        let suite = try fields.integer(UInt16.self)
        guard suite == PackKeyTable.suite else {
            throw .unsupported("\(what) is sealed by suite \(suite), which this program does not know")
        }
        let encapsulated = Array(try fields.take(Int(try fields.integer(UInt16.self))))
        let ciphertext = Array(try fields.take(fields.remaining))
        let place = RecordPlace(
            repository: recipient.repository, writer: writer, session: session, number: number,
            position: UInt32(position), kind: record.kind)
        let plain: SecretBytes
        do {
            plain = try recipient.open(
                SealedMessage(encapsulatedKey: encapsulated, ciphertext: ciphertext), with: privateKey,
                associatedData: place.associatedData)
        } catch { throw .damaged("\(what) does not open under this repository's structure key") }
        // Safety: the bytes are copied before the call ends.
        let bytes = unsafe plain.withUnsafeBytes { unsafe [UInt8]($0) }
        return Record(
            kind: record.kind, isCritical: record.isCritical, body: try RecordValue(decoding: bytes[...], of: what))
    }
}

/// A record in the clear.
package struct Record: Hashable, Sendable {
    /// A restore point.
    package static let restorePointKind: UInt32 = 1
    /// Map leaves that are finished.
    package static let checkpointRootsKind: UInt32 = 2
    /// Points that need not be kept.
    package static let forgetKind: UInt32 = 3
    /// Holds and pins that hold nothing any more.
    package static let releaseKind: UInt32 = 4
    /// What a verification of points found.
    package static let attestationKind: UInt32 = 5
    /// Points that no sweep lets go before a date.
    package static let lockKind: UInt32 = 6
    /// What somebody else asked for may be done.
    package static let approvalKind: UInt32 = 8
    /// Locks of points that shall be over.
    package static let unlockKind: UInt32 = 9
    /// Points, of now and of later, that no sweep lets go for a time.
    package static let standingLockKind: UInt32 = 10
    /// The session that goes on where an abandoned one ends.
    package static let movedKind: UInt32 = 11

    /// Number of the kind.
    package let kind: UInt32
    /// Whether whoever does not know the kind must not sweep.
    package let isCritical: Bool
    /// What it says.
    package let body: RecordValue

    /// A record from its fields.
    package init(kind: UInt32, isCritical: Bool, body: RecordValue) {
        self.kind = kind
        self.isCritical = isCritical
        self.body = body
    }
}
