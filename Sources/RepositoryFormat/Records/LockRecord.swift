package import BackupModel

/// What a maintainer says about points that no sweep may let go before a date (format page §11, "Lock"). Nothing
/// shortens it.
package struct LockRecord: Hashable, Sendable {
    /// Points that one record may name.
    package static let pointLimit = 65_536

    /// Which points, at least one.
    package let points: [PointID]
    /// Until when: nanoseconds since 1970, UTC.
    package let until: UInt64
    /// When it was said: nanoseconds since 1970, UTC, by the clock of who says it.
    package let at: UInt64
    /// Why, for people.
    package let reason: String

    /// A record from its fields.
    ///
    /// - Precondition: 1 to ``pointLimit`` points.
    package init(points: [PointID], until: UInt64, at: UInt64, reason: String) {
        precondition((1...LockRecord.pointLimit).contains(points.count), "a record of some points")
        self.points = points
        self.until = until
        self.at = at
        self.reason = reason
    }

    /// As a record.
    package var record: Record {
        Record(
            kind: Record.lockKind, isCritical: true,
            body: .map([
                "points": .array(points.map { .bytes($0.bytes) }), "until": .unsigned(until), "at": .unsigned(at),
                "reason": .text(reason),
            ]))
    }

    /// Reads the body of a record of kind 6.
    ///
    /// - Throws: ``FormatError``.
    package init(_ record: Record, name: String) throws(FormatError) {
        let what = "the lock record in \(name)"
        guard record.kind == Record.lockKind else {
            throw .misplaced("a record of kind \(record.kind) in \(name) locks nothing")
        }
        let fields = try RecordFields(record.body, of: what)
        points = try fields.identifiers("points")
        guard !points.isEmpty, points.count <= LockRecord.pointLimit else {
            throw .overLimit("points of \(what)", value: UInt64(points.count), limit: UInt64(LockRecord.pointLimit))
        }
        until = try fields.unsigned("until")
        at = try fields.unsigned("at")
        reason = try fields.text("reason")
    }
}

/// What a maintainer says about all points of a repository, those of later too: that no sweep may let one go before so
/// long after its run has ended (format page §11, "Standing lock").
package struct StandingLockRecord: Hashable, Sendable {
    /// Longest time, in nanoseconds: 30 years.
    package static let longest: UInt64 = 30 * 366 * 86_400 * 1_000_000_000

    /// For how long: nanoseconds, 1 to ``longest``.
    package let duration: UInt64
    /// When it was said: nanoseconds since 1970, UTC, by the clock of who says it.
    package let at: UInt64
    /// Why, for people.
    package let reason: String

    /// A record from its fields.
    ///
    /// - Precondition: a duration of 1 to ``longest``.
    package init(duration: UInt64, at: UInt64, reason: String) {
        precondition((1...StandingLockRecord.longest).contains(duration), "a lock for some time")
        self.duration = duration
        self.at = at
        self.reason = reason
    }

    /// As a record.
    package var record: Record {
        Record(
            kind: Record.standingLockKind, isCritical: true,
            body: .map(["for": .unsigned(duration), "at": .unsigned(at), "reason": .text(reason)]))
    }

    /// Reads the body of a record of kind 10.
    ///
    /// - Throws: ``FormatError``.
    package init(_ record: Record, name: String) throws(FormatError) {
        let what = "the standing lock in \(name)"
        guard record.kind == Record.standingLockKind else {
            throw .misplaced("a record of kind \(record.kind) in \(name) locks nothing")
        }
        let fields = try RecordFields(record.body, of: what)
        duration = try fields.unsigned("for", limit: StandingLockRecord.longest)
        guard duration > 0 else { throw .notCanonical("\(what) is for no time") }
        at = try fields.unsigned("at")
        reason = try fields.text("reason")
    }
}
