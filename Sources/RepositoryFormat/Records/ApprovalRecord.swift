package import BackupModel

/// Somebody's word that what another asked for may be done (format page §11, "Approvals").
package struct ApprovalRecord: Hashable, Sendable {
    /// Things that one record may approve.
    package static let hashLimit = 1_024

    /// What is approved, at least one: hashes of session entries and owner statements, digests of rules.
    package let hashes: [Hash256]
    /// Its last moment: nanoseconds since 1970, UTC.
    package let until: UInt64
    /// When it was said: nanoseconds since 1970, UTC, by the clock of who says it.
    package let at: UInt64
    /// Why, for people.
    package let reason: String

    /// A record from its fields.
    ///
    /// - Precondition: 1 to ``hashLimit`` hashes.
    package init(hashes: [Hash256], until: UInt64, at: UInt64, reason: String) {
        precondition((1...ApprovalRecord.hashLimit).contains(hashes.count), "an approval of something")
        self.hashes = hashes
        self.until = until
        self.at = at
        self.reason = reason
    }

    /// As a record.
    package var record: Record {
        Record(
            kind: Record.approvalKind, isCritical: true,
            body: .map([
                "hashes": .array(hashes.map { .bytes($0.bytes) }), "until": .unsigned(until), "at": .unsigned(at),
                "reason": .text(reason),
            ]))
    }

    /// Reads the body of a record of kind 8.
    ///
    /// - Throws: ``FormatError``.
    package init(_ record: Record, name: String) throws(FormatError) {
        let what = "the approval in \(name)"
        guard record.kind == Record.approvalKind else {
            throw .misplaced("a record of kind \(record.kind) in \(name) approves nothing")
        }
        let fields = try RecordFields(record.body, of: what)
        var hashes: [Hash256] = []
        for value in try fields.list("hashes") {
            guard case .bytes(let bytes) = value, let hash = Hash256(bytes: bytes) else {
                throw .notCanonical("\(what): what it approves is not named by 32 bytes")
            }
            hashes.append(hash)
        }
        guard !hashes.isEmpty, hashes.count <= ApprovalRecord.hashLimit else {
            throw .overLimit(
                "the count of hashes in \(what), at least 1,", value: UInt64(hashes.count),
                limit: UInt64(ApprovalRecord.hashLimit))
        }
        self.hashes = hashes
        until = try fields.unsigned("until")
        at = try fields.unsigned("at")
        reason = try fields.text("reason")
    }
}

/// What a maintainer asks for locked points: that their locks be over (format page §11, "Unlock"). It counts only with
/// approvals.
package struct UnlockRecord: Hashable, Sendable {
    /// Points that one record may name.
    package static let pointLimit = 65_536

    /// Which points, at least one unless standing locks are meant.
    package let points: [PointID]
    /// Whether standing locks shall be over as well.
    package let endsStandingLocks: Bool
    /// When it was said: nanoseconds since 1970, UTC, by the clock of who says it.
    package let at: UInt64
    /// Why, for people.
    package let reason: String

    /// A record from its fields.
    ///
    /// - Precondition: 1 to ``pointLimit`` points, or 0 with standing locks.
    package init(points: [PointID], endsStandingLocks: Bool = false, at: UInt64, reason: String) {
        precondition(
            points.count <= UnlockRecord.pointLimit && (endsStandingLocks || !points.isEmpty), "a record of something")
        self.points = points
        self.endsStandingLocks = endsStandingLocks
        self.at = at
        self.reason = reason
    }

    /// As a record.
    package var record: Record {
        var members: [String: RecordValue] = [
            "points": .array(points.map { .bytes($0.bytes) }), "at": .unsigned(at), "reason": .text(reason),
        ]
        if endsStandingLocks { members["standing"] = .bool(true) }
        return Record(kind: Record.unlockKind, isCritical: true, body: .map(members))
    }

    /// Reads the body of a record of kind 9.
    ///
    /// - Throws: ``FormatError``.
    package init(_ record: Record, name: String) throws(FormatError) {
        let what = "the unlock record in \(name)"
        guard record.kind == Record.unlockKind else {
            throw .misplaced("a record of kind \(record.kind) in \(name) unlocks nothing")
        }
        let fields = try RecordFields(record.body, of: what)
        points = try fields.identifiers("points")
        endsStandingLocks = fields.optional("standing") != nil
        guard !endsStandingLocks || fields.optional("standing") == .bool(true) else {
            throw .notCanonical("\(what): standing is true or not there")
        }
        guard endsStandingLocks || !points.isEmpty, points.count <= UnlockRecord.pointLimit else {
            throw .overLimit("points of \(what)", value: UInt64(points.count), limit: UInt64(UnlockRecord.pointLimit))
        }
        at = try fields.unsigned("at")
        reason = try fields.text("reason")
    }
}
