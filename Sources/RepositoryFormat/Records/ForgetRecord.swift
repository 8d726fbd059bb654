package import BackupModel
import ChunkEncryption

/// What a maintainer says about points that need not be kept (format page §11, "Forget"). It removes nothing: a later
/// ledger leaves them out.
package struct ForgetRecord: Hashable, Sendable {
    /// Points that one record may name.
    package static let pointLimit = 65_536
    /// Bytes of rules that one record may state.
    package static let ruleByteLimit = 65_536

    /// Which points, at least one.
    package let points: [PointID]
    /// When it was said: nanoseconds since 1970, UTC, by the clock of who says it.
    package let at: UInt64
    /// Why, for people.
    package let reason: String
    /// Until when no sweep lets the points go, so that it can be taken back: ns since 1970, UTC; 0 for at once.
    package let undoUntil: UInt64
    /// The rules by which it was decided, in UTF-8; empty for a decision by hand.
    package let rules: [UInt8]

    /// A record from its fields.
    ///
    /// - Precondition: 1 to ``pointLimit`` points; at most ``ruleByteLimit`` bytes of rules.
    package init(points: [PointID], at: UInt64, reason: String, undoUntil: UInt64 = 0, rules: [UInt8] = []) {
        self.undoUntil = undoUntil
        self.rules = rules
        precondition(rules.count <= ForgetRecord.ruleByteLimit, "rules of a record have a limit")
        precondition((1...ForgetRecord.pointLimit).contains(points.count), "a record of some points")
        self.points = points
        self.at = at
        self.reason = reason
    }

    /// As a record.
    package var record: Record {
        var members: [String: RecordValue] = [
            "points": .array(points.map { .bytes($0.bytes) }), "at": .unsigned(at), "reason": .text(reason),
        ]
        if undoUntil > 0 { members["undo_until"] = .unsigned(undoUntil) }
        if !rules.isEmpty { members["rules"] = .bytes(rules) }
        return Record(kind: Record.forgetKind, isCritical: true, body: .map(members))
    }

    /// Reads the body of a record of kind 3.
    ///
    /// - Throws: ``FormatError``.
    package init(_ record: Record, name: String) throws(FormatError) {
        let what = "the forget record in \(name)"
        guard record.kind == Record.forgetKind else {
            throw .misplaced("a record of kind \(record.kind) in \(name) forgets nothing")
        }
        let fields = try RecordFields(record.body, of: what)
        points = try fields.identifiers("points")
        guard !points.isEmpty, points.count <= ForgetRecord.pointLimit else {
            throw .overLimit(
                "points of \(what)", value: UInt64(points.count), limit: UInt64(ForgetRecord.pointLimit))
        }
        at = try fields.unsigned("at")
        reason = try fields.text("reason")
        undoUntil = fields.optional("undo_until") == nil ? 0 : try fields.unsigned("undo_until")
        let stated = fields.optional("rules") == nil ? nil : try fields.bytes("rules")
        guard stated?.count != 0, String(validating: stated ?? [], as: UTF8.self) != nil else {
            throw .notCanonical("\(what): its rules are no text")
        }
        rules = stated ?? []
        guard rules.count <= ForgetRecord.ruleByteLimit else {
            throw .overLimit(
                "rules of \(what)", value: UInt64(rules.count), limit: UInt64(ForgetRecord.ruleByteLimit))
        }
    }

    /// What an approval of rules names: rules that one key may forget by.
    ///
    /// - Parameter signer: fingerprint of the key that forgets.
    package static func digest(ofRules rules: [UInt8], repository: RepositoryID, signer: Hash256) -> Hash256 {
        SecureHash.sha256(Array("dozo/1 rules\0".utf8) + repository.bytes + signer.bytes + rules)
    }
}

/// What a maintainer says about holds and pins that hold nothing any more (format page §11, "Release").
package struct ReleaseRecord: Hashable, Sendable {
    /// Slots that one record may name.
    package static let slotLimit = 65_536

    /// Slots of type `hold` or `pin`, at least one.
    package let slots: [SlotNumber]
    /// When it was said: nanoseconds since 1970, UTC.
    package let at: UInt64
    /// Why, for people.
    package let reason: String

    /// A record from its fields.
    ///
    /// - Precondition: 1 to ``slotLimit`` slots.
    package init(slots: [SlotNumber], at: UInt64, reason: String) {
        precondition((1...ReleaseRecord.slotLimit).contains(slots.count), "a record of some slots")
        self.slots = slots
        self.at = at
        self.reason = reason
    }

    /// As a record.
    package var record: Record {
        Record(
            kind: Record.releaseKind, isCritical: true,
            body: .map([
                "slots": .array(
                    slots.map {
                        .array([
                            .unsigned(UInt64($0.incarnation)), .unsigned(UInt64($0.epoch)),
                            .unsigned(UInt64($0.number)),
                        ])
                    }), "at": .unsigned(at), "reason": .text(reason),
            ]))
    }

    /// Reads the body of a record of kind 4.
    ///
    /// - Throws: ``FormatError``.
    package init(_ record: Record, name: String) throws(FormatError) {
        let what = "the release record in \(name)"
        guard record.kind == Record.releaseKind else {
            throw .misplaced("a record of kind \(record.kind) in \(name) releases nothing")
        }
        let fields = try RecordFields(record.body, of: what)
        var slots: [SlotNumber] = []
        for value in try fields.list("slots") {
            var tuple = try RecordTuple(value, count: 3, of: "a slot of \(what)")
            slots.append(try tuple.slot())
        }
        guard !slots.isEmpty, slots.count <= ReleaseRecord.slotLimit else {
            throw .overLimit("slots of \(what)", value: UInt64(slots.count), limit: UInt64(ReleaseRecord.slotLimit))
        }
        self.slots = slots
        at = try fields.unsigned("at")
        reason = try fields.text("reason")
    }
}
