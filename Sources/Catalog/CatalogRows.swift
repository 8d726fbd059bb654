import BackupModel
import ChunkEncryption
import GRDB
import RepositoryFormat

/// The rows that facts come to, for every table: the fold itself. It depends on the facts alone, not on their order.
struct CatalogRows {
    /// A record of a restore point, once for all places where the same record stands.
    private struct Statement {
        let record: RestorePointRecord
        let content: Hash256
        var places: [Place]
    }

    /// Where a record stands; ordered as the log orders it.
    private struct Place: Comparable {
        let slot: SlotNumber
        let session: SessionID
        let entry: UInt32

        static func < (left: Place, right: Place) -> Bool {
            (left.slot, left.session, left.entry) < (right.slot, right.session, right.entry)
        }
    }

    private let facts: CatalogFacts
    private let repository: DatabaseValue
    private var rows: [String: [CatalogTable.Row]] = [:]
    private var notes: [String]

    init(_ facts: CatalogFacts) throws {
        self.facts = facts
        repository = facts.repository.bytes.hexadecimal.databaseValue
        notes = facts.notes
        let statements = try CatalogRows.statements(facts)
        addRepository()
        addWriters()
        addGuests(statements)
        addSessions()
        for statement in statements { add(statement) }
        addNotes()
    }

    /// The rows of a table.
    subscript(table: CatalogTable) -> [CatalogTable.Row] { rows[table.name] ?? [] }

    private mutating func add(_ row: [(any DatabaseValueConvertible)?], to table: CatalogTable) {
        rows[table.name, default: []].append([repository] + row.map { $0?.databaseValue ?? .null })
    }

    /// Same records put together, and everything in one order.
    private static func statements(_ facts: CatalogFacts) throws -> [Statement] {
        var slots: [SessionID: SlotNumber] = [:]
        for session in facts.sessions {
            guard slots.updateValue(session.slot, forKey: session.identifier) == nil else {
                throw CatalogError(.inconsistent, "session \(session.identifier) stands twice in what was read")
            }
        }
        var statements: [PointID: [Hash256: Statement]] = [:]
        for point in facts.points {
            guard let slot = slots[point.session] else {
                throw CatalogError(
                    .inconsistent, "point \(point.record.identifier) belongs to a session that was not read")
            }
            let place = Place(slot: slot, session: point.session, entry: point.entry)
            let content = SecureHash.sha256(point.record.record.body.encoded)
            statements[point.record.identifier, default: [:]][
                content, default: Statement(record: point.record, content: content, places: [])
            ].places.append(place)
        }
        return statements.values.flatMap(\.values).map { statement in
            var sorted = statement
            sorted.places.sort()
            return sorted
        }.sorted { ($0.places[0], $0.content) < ($1.places[0], $1.content) }
    }

    private mutating func addRepository() {
        add(
            [
                facts.owner.hexadecimal, Int64(facts.ownerStatement), facts.store.hexadecimal,
                Int64(facts.incarnation), facts.logHead.map { Int64($0.epoch) }, facts.logHead.map { Int64($0.number) },
            ], to: .repositories)
    }

    private mutating func addWriters() {
        for writer in facts.writers {
            let key = writer.key.hexadecimal
            add(
                [
                    key, WriterID(fingerprint: writer.key).hexadecimal, writer.role.rawValue,
                    writer.domain.map { Int64($0) }, shown(writer.label), Int64(writer.statement),
                    writer.guests != nil, writer.isRevoked,
                ], to: .writers)
            for guest in Set(writer.guests ?? []) { add([key, guest.hexadecimal], to: .writerGuests) }
        }
    }

    private mutating func addGuests(_ statements: [Statement]) {
        var labels: [GuestID: String] = [:]
        // Ascending, so that the newest stays.
        for statement in statements { labels[statement.record.guest] = statement.record.label }
        let guests = Set(labels.keys).union(facts.writers.flatMap { $0.guests ?? [] })
        for guest in guests { add([guest.hexadecimal, labels[guest].map(shown)], to: .guests) }
    }

    private mutating func addSessions() {
        for session in facts.sessions {
            add(
                [
                    session.identifier.hexadecimal, session.signer.hexadecimal, Int64(session.slot.incarnation),
                    Int64(session.slot.epoch), Int64(session.slot.number), Int64(session.entryCount),
                    session.state.rawValue,
                ], to: .sessions)
        }
    }

    private mutating func add(_ statement: Statement) {
        let record = statement.record
        let point = record.identifier.hexadecimal
        let content = statement.content.hexadecimal
        func number(_ value: UInt64, _ what: String) -> Int64 {
            if let exact = Int64(exactly: value) { return exact }
            notes.append("point \(point) says \(what) \(value), which is shown as \(Int64.max)")
            return .max
        }
        add(
            [
                point, content, record.guest.hexadecimal, shown(record.label), number(record.takenAt, "taken_at"),
                shown(record.clock), shown(record.consistency), shown(record.trust), record.base?.hexadecimal,
                statement.places[0].session.hexadecimal, Int64(statement.places[0].entry), statement.places.count,
            ], to: .points)
        let volume = record.volume
        add(
            [
                point, content, shown(record.host), shown(record.tool), number(record.startedAt, "started_at"),
                number(record.endedAt, "ended_at"), number(volume.read, "bytes read"),
                number(volume.changed, "bytes changed"), number(volume.new, "bytes new"),
                number(volume.stored, "bytes stored"),
            ], to: .runs)
        for (position, image) in record.images.enumerated() {
            add(
                [
                    point, content, position, shown(image.name), shown(image.kind),
                    number(image.byteCount, "length of image \(position)"), shown(image.format), image.root.hexadecimal,
                    Int64(image.domain),
                ], to: .images)
        }
    }

    private mutating func addNotes() {
        // Compared byte by byte: two spellings of one letter are two notes.
        let distinct = Set(notes.map { Array($0.utf8) }).sorted { $0.lexicographicallyPrecedes($1) }
        for (position, note) in distinct.enumerated() {
            add([position, shown(String(decoding: note, as: UTF8.self))], to: .notes)
        }
    }

    /// SQLite would end a text at its first NUL, and two labels would look alike; the picture of a NUL stands for it.
    private func shown(_ text: String) -> String {
        guard text.utf8.contains(0) else { return text }
        return String(text.unicodeScalars.map { $0 == "\0" ? "\u{2400}" : Character($0) })
    }
}
