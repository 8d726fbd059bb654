import GRDB

/// A table of the catalog and how its rows of one repository become what they should be. The first column of every
/// table is the repository.
struct CatalogTable: Sendable {
    let name: String
    /// The primary key.
    let keys: [String]
    /// All other columns.
    let values: [String]

    private var columns: [String] { keys + values }

    /// Parents before children, as the foreign keys want it.
    static let all = [repositories, writers, guests, writerGuests, sessions, points, images, runs, notes]

    static let repositories = CatalogTable(
        name: "repositories", keys: ["repository"],
        values: ["owner_key", "owner_statement", "store", "incarnation", "log_epoch", "log_slot"])
    static let writers = CatalogTable(
        name: "writers", keys: ["repository", "key"],
        values: ["writer", "role", "domain", "label", "statement", "is_limited", "is_revoked"])
    static let guests = CatalogTable(name: "guests", keys: ["repository", "guest"], values: ["label"])
    static let writerGuests = CatalogTable(
        name: "writer_guests", keys: ["repository", "key", "guest"], values: [])
    static let sessions = CatalogTable(
        name: "sessions", keys: ["repository", "session"],
        values: ["key", "incarnation", "epoch", "slot", "entry_count", "state"])
    static let points = CatalogTable(
        name: "points", keys: ["repository", "point", "content"],
        values: [
            "guest", "label", "taken_at_ns", "clock", "consistency", "trust", "base", "session", "entry", "place_count",
        ])
    static let images = CatalogTable(
        name: "images", keys: ["repository", "point", "content", "position"],
        values: ["name", "kind", "size_bytes", "format", "root", "domain"])
    static let runs = CatalogTable(
        name: "runs", keys: ["repository", "point", "content"],
        values: [
            "host", "tool", "started_at_ns", "ended_at_ns", "read_bytes", "changed_bytes", "new_bytes", "stored_bytes",
        ])
    static let notes = CatalogTable(name: "notes", keys: ["repository", "position"], values: ["sentence"])

    /// A row: the keys and then the values.
    typealias Row = [DatabaseValue]

    /// Inserts rows that are not there and changes those that differ; a row that is as it should be costs no write.
    func put(_ rows: [Row], in database: Database) throws {
        var sql = "INSERT INTO \(name) (\(list(columns))) VALUES (\(list(columns.map { _ in "?" })))"
        if values.isEmpty {
            sql += " ON CONFLICT DO NOTHING"
        } else {
            // Beside ON CONFLICT a bare name is the row that is there.
            sql += " ON CONFLICT (\(list(keys))) DO UPDATE SET \(list(values.map { "\($0) = excluded.\($0)" }))"
            sql += " WHERE " + values.map { "\(name).\($0) IS NOT excluded.\($0)" }.joined(separator: " OR ")
        }
        let statement = try database.makeStatement(sql: sql)
        for row in rows {
            precondition(row.count == columns.count, "a row of \(name) has \(columns.count) columns")
            try statement.execute(arguments: StatementArguments(row))
        }
    }

    /// Deletes the rows of the repository that are not among `rows`.
    func deleteAll(but rows: [Row], of repository: DatabaseValue, in database: Database) throws {
        let kept = Set(rows.map { Array($0.prefix(keys.count)) })
        let found = try GRDB.Row.fetchCursor(
            database, sql: "SELECT \(list(keys)) FROM \(name) WHERE repository = ?", arguments: [repository])
        var stale: [Row] = []
        while let row = try found.next() {
            let key = Array(row.databaseValues)
            if !kept.contains(key) { stale.append(key) }
        }
        let condition = keys.map { "\($0) = ?" }.joined(separator: " AND ")
        let statement = try database.makeStatement(sql: "DELETE FROM \(name) WHERE \(condition)")
        for key in stale { try statement.execute(arguments: StatementArguments(key)) }
    }

    private func list(_ words: [String]) -> String { words.joined(separator: ", ") }
}
