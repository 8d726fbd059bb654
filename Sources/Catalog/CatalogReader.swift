import BackupModel
import GRDB
package import RepositoryFormat

/// Answers questions from the catalog. Each call is one transaction and sees one state.
///
/// - Throws: every question throws ``CatalogError``: `busy`, `damaged`, `storage`.
package struct CatalogReader: Sendable {
    private let database: CatalogDatabase

    /// A reader of this catalog.
    package init(_ database: CatalogDatabase) { self.database = database }

    /// All repositories, by id.
    package func repositories() throws -> [CatalogRepository] {
        let sql = """
            SELECT *,
                (SELECT count(DISTINCT point) FROM points WHERE repository = r.repository) AS point_count,
                (SELECT count(*) FROM notes WHERE repository = r.repository) AS note_count
            FROM repositories AS r ORDER BY repository
            """
        return try rows(sql).map { row in
            CatalogRepository(
                identifier: try row.repository(), owner: try row.hash("owner_key"), store: try row.identifier("store"),
                pointCount: try row.count("point_count"), noteCount: try row.count("note_count"))
        }
    }

    /// Points by repository, instant and id, earliest first; of a conflict, each side.
    ///
    /// - Parameter guest: the guest's id, its name now, or a name it had; a name that several guests have gives all of
    ///   them.
    package func points(of guest: String? = nil, in repository: RepositoryID? = nil) throws -> [CatalogPoint] {
        try read(of: guest, in: repository, order: "p.repository, p.taken_at_ns, p.point, p.content").map(\.point)
    }

    /// Backup runs by repository and beginning, earliest first.
    ///
    /// - Parameter guest: as for ``points(of:in:)``.
    package func runs(of guest: String? = nil, in repository: RepositoryID? = nil) throws -> [CatalogRun] {
        try read(of: guest, in: repository, order: "p.repository, r.started_at_ns, p.point, p.content")
    }

    /// Guests by repository, name and id.
    package func guests(in repository: RepositoryID? = nil) throws -> [CatalogGuest] {
        let sql = """
            SELECT g.repository, g.guest, g.label, count(DISTINCT p.point) AS point_count,
                max(p.taken_at_ns) AS latest_ns
            FROM guests AS g LEFT JOIN points AS p ON p.repository = g.repository AND p.guest = g.guest
            WHERE :repository IS NULL OR g.repository = :repository
            GROUP BY g.repository, g.guest ORDER BY g.repository, g.label, g.guest
            """
        return try rows(sql, ["repository": repository?.bytes.hexadecimal]).map { row in
            CatalogGuest(
                repository: try row.repository(), identifier: try row.identifier("guest"),
                label: row.optional("label"), pointCount: try row.count("point_count"),
                latestTakenAt: row.isNull("latest_ns") ? nil : try row.unsigned("latest_ns"))
        }
    }

    /// Writers by repository and enrolment: the owner first.
    package func writers(in repository: RepositoryID? = nil) throws -> [CatalogWriter] {
        let sql = """
            SELECT w.*, (
                SELECT count(DISTINCT p.point) FROM points AS p JOIN sessions AS s USING (repository, session)
                WHERE s.repository = w.repository AND s.key = w.key) AS point_count
            FROM writers AS w WHERE :repository IS NULL OR w.repository = :repository
            ORDER BY w.repository, w.statement, w.key
            """
        return try database.read { database in
            let arguments: StatementArguments = ["repository": repository?.bytes.hexadecimal]
            return try Row.fetchAll(database, sql: sql, arguments: arguments).map { row in
                let row = CatalogRow(row, path: self.database.path)
                var guests: [GuestID]?
                if try row.count("is_limited") == 1 {
                    guests = try Row.fetchAll(
                        database,
                        sql: "SELECT guest FROM writer_guests WHERE repository = ? AND key = ? ORDER BY guest",
                        arguments: [try row.text("repository"), try row.text("key")]
                    ).map { try CatalogRow($0, path: self.database.path).identifier("guest") }
                }
                return CatalogWriter(
                    repository: try row.repository(), identifier: try row.identifier("writer"),
                    key: try row.hash("key"), role: try row.role("role"), label: try row.text("label"), guests: guests,
                    isRevoked: try row.count("is_revoked") == 1, pointCount: try row.count("point_count"))
            }
        }
    }

    /// What reading the repository found void, damaged, unknown or out of range.
    package func notes(in repository: RepositoryID) throws -> [String] {
        try rows(
            "SELECT sentence FROM notes WHERE repository = :repository ORDER BY position",
            ["repository": repository.bytes.hexadecimal]
        ).map { try $0.text("sentence") }
    }
}

// MARK: - Reading

extension CatalogReader {
    private func rows(_ sql: String, _ arguments: StatementArguments = [:]) throws -> [CatalogRow] {
        try database.read { database in
            try Row.fetchAll(database, sql: sql, arguments: arguments).map { CatalogRow($0, path: self.database.path) }
        }
    }

    /// Points with their runs, in an order.
    private func read(of guest: String?, in repository: RepositoryID?, order: String) throws -> [CatalogRun] {
        let sql = """
            SELECT p.*, r.*, w.writer, w.label AS writer_label, EXISTS (
                    SELECT 1 FROM points AS o
                    WHERE o.repository = p.repository AND o.point = p.point AND o.content <> p.content
                ) AS is_conflicting
            FROM points AS p
            JOIN runs AS r USING (repository, point, content)
            JOIN sessions AS s USING (repository, session)
            JOIN writers AS w ON w.repository = s.repository AND w.key = s.key
            WHERE (:repository IS NULL OR p.repository = :repository)
                AND (:guest IS NULL OR p.label = :guest OR EXISTS (
                    SELECT 1 FROM guests AS g
                    WHERE g.repository = p.repository AND g.guest = p.guest AND :guest IN (g.label, g.guest)))
            ORDER BY \(order)
            """
        return try database.read { database in
            let images = try database.makeStatement(
                sql: "SELECT * FROM images WHERE repository = ? AND point = ? AND content = ? ORDER BY position")
            let found = try Row.fetchCursor(
                database, sql: sql, arguments: ["repository": repository?.bytes.hexadecimal, "guest": guest])
            var runs: [CatalogRun] = []
            while let row = try found.next() {
                let row = CatalogRow(row, path: self.database.path)
                let key = [try row.text("repository"), try row.text("point"), try row.text("content")]
                let disks = try Row.fetchAll(images, arguments: StatementArguments(key)).map { image in
                    try CatalogReader.image(CatalogRow(image, path: self.database.path))
                }
                runs.append(
                    CatalogRun(
                        point: try CatalogReader.point(row, images: disks), writerLabel: try row.text("writer_label")))
            }
            return runs
        }
    }

    private static func image(_ row: CatalogRow) throws -> RestorePointRecord.Image {
        RestorePointRecord.Image(
            name: try row.text("name"), kind: try row.text("kind"), byteCount: try row.unsigned("size_bytes"),
            format: try row.text("format"), root: try row.hash("root"), domain: try row.word("domain"))
    }

    private static func point(_ row: CatalogRow, images: [RestorePointRecord.Image]) throws -> CatalogPoint {
        var volume = RestorePointRecord.Volume()
        volume.read = try row.unsigned("read_bytes")
        volume.changed = try row.unsigned("changed_bytes")
        volume.new = try row.unsigned("new_bytes")
        volume.stored = try row.unsigned("stored_bytes")
        let record = RestorePointRecord(
            identifier: try row.identifier("point"), guest: try row.identifier("guest"), label: try row.text("label"),
            takenAt: try row.unsigned("taken_at_ns"), clock: try row.text("clock"),
            consistency: try row.text("consistency"), trust: try row.text("trust"), host: try row.text("host"),
            tool: try row.text("tool"), images: images, base: row.isNull("base") ? nil : try row.identifier("base"),
            startedAt: try row.unsigned("started_at_ns"), endedAt: try row.unsigned("ended_at_ns"), volume: volume)
        return CatalogPoint(
            repository: try row.repository(), record: record, writer: try row.identifier("writer"),
            session: try row.identifier("session"), entry: try row.word("entry"),
            isConflicting: try row.count("is_conflicting") == 1)
    }
}
