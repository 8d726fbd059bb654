package import BackupModel

/// What somebody who verified points found of them (format page §11, "Attestation").
package struct AttestationRecord: Hashable, Sendable {
    /// How deep a verification of a point looked, from the least to the most.
    package enum Level: String, CaseIterable, Comparable, Sendable {
        /// Its packs have the bytes they are named after, and its maps were walked to the last chunk.
        case packs
        /// And every authentication tag was checked.
        case tags
        /// And every chunk was decompressed and compared with its id.
        case content

        package static func < (left: Level, right: Level) -> Bool { left.depth < right.depth }

        private var depth: Int { Level.allCases.firstIndex(of: self) ?? 0 }
    }

    /// Points that one record may name.
    package static let pointLimit = 65_536

    /// How deep it looked, as it stands in the record; one that this program does not know is `nil`.
    package let level: Level?
    /// When it was said: nanoseconds since 1970, UTC, by the clock of who says it.
    package let at: UInt64
    /// Points that were found whole, ascending.
    package let whole: [PointID]
    /// Points that were found damaged, ascending.
    package let damaged: [PointID]

    /// A record from its fields.
    ///
    /// - Precondition: 1 to ``pointLimit`` points in all, none of them twice.
    package init(level: Level, at: UInt64, whole: [PointID], damaged: [PointID]) {
        precondition(
            (1...AttestationRecord.pointLimit).contains(whole.count + damaged.count), "a record of some points")
        self.level = level
        self.at = at
        self.whole = whole.sorted()
        self.damaged = damaged.sorted()
    }

    /// As a record.
    package var record: Record {
        func list(_ points: [PointID]) -> RecordValue { .array(points.map { .bytes($0.bytes) }) }
        return Record(
            kind: Record.attestationKind, isCritical: false,
            body: .map([
                "level": .text(level?.rawValue ?? ""), "at": .unsigned(at), "whole": list(whole),
                "damaged": list(damaged),
            ]))
    }

    /// Reads the body of a record of kind 5.
    ///
    /// - Throws: ``FormatError``.
    package init(_ record: Record, name: String) throws(FormatError) {
        let what = "the attestation in \(name)"
        guard record.kind == Record.attestationKind else {
            throw .misplaced("a record of kind \(record.kind) in \(name) attests nothing")
        }
        let fields = try RecordFields(record.body, of: what)
        level = Level(rawValue: try fields.text("level"))
        at = try fields.unsigned("at")
        whole = try fields.identifiers("whole")
        damaged = try fields.identifiers("damaged")
        let all = whole + damaged
        guard !all.isEmpty, all.count <= AttestationRecord.pointLimit else {
            throw .overLimit(
                "points of \(what)", value: UInt64(all.count), limit: UInt64(AttestationRecord.pointLimit))
        }
        guard whole.isAscending, damaged.isAscending, Set(all).count == all.count else {
            throw .notCanonical("\(what): its points are not in ascending order, or one stands there twice")
        }
    }
}

extension [PointID] {
    fileprivate var isAscending: Bool { zip(self, dropFirst()).allSatisfy { $0 < $1 } }
}
