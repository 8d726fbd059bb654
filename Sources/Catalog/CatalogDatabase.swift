import BackupModel
import CatalogSchema
import Effects
import GRDB

// The catalog
// -----------
// One SQLite file in the state folder that answers what the repository holds without reading it. It is a view: whatever
// it says was computed from the repository, and it can be deleted at any time and made again.
//
// What holds:
//   - After a projection the rows of a repository depend on what was read of it alone, not on what stood there before
//     nor on the order in which anything arrived.
//   - A projection is one transaction: readers see the state before it or the state after it, after a crash too.
//   - Nothing is dropped because it contradicts something else; both stand there and can be told apart.
//
// Any number of processes may read and project at once; SQLite's locks put them in a row. The file uses a rollback
// journal and not write-ahead logging, because the latter needs memory shared by all its users, which a state folder on
// a network file system does not give, and because one small transaction a night has no use for it.

/// An open catalog of the current schema.
package struct CatalogDatabase: Sendable {
    /// Name of the file in the state folder.
    package static let fileName = "catalog.sqlite"
    /// Files that SQLite may put beside it, and which belong to it; the file itself comes last.
    private static let companions = ["-journal", "-wal", "-shm", ""]
    /// Files set aside before the operator must look at the folder.
    private static let setAsideLimit = 10_000

    /// Where it stands, for messages.
    package let path: String
    let queue: DatabaseQueue

    /// Opens the catalog; makes it, readable for its owner alone, when there is none; brings an older one up to date.
    ///
    /// - Parameters:
    ///   - stateFolder: Dozo's state folder, absolute; it must exist.
    ///   - patience: how long to wait for another process that reads or writes, each time.
    /// - Throws: ``CatalogError``: `damaged` when the file is no catalog or is damaged, `newerSchema`, `storage`,
    ///   `busy`.
    package init(stateFolder: String, patience: Duration = .seconds(10)) throws {
        let path = "\(stateFolder)/\(CatalogDatabase.fileName)"
        try CatalogDatabase.makeFile(in: stateFolder)
        var configuration = Configuration()
        configuration.busyMode = .timeout(patience / .seconds(1))
        configuration.prepareDatabase { database in
            // The file may have been put there by somebody else: what its schema calls is not run.
            try database.execute(sql: "PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON")
        }
        let queue = try CatalogError.translating(path) {
            try DatabaseQueue(path: path, configuration: configuration)
        }
        self.path = path
        self.queue = queue
        guard try read({ try CatalogDatabase.version(of: $0, path: path) }) < CatalogSchema.version else { return }
        try write { try CatalogDatabase.migrate($0, path: path) }
    }

    /// Opens the catalog for a rebuild: one that is damaged, foreign or altered is set aside under a new name and an
    /// empty one takes its place. Nothing is deleted.
    ///
    /// - Returns: the catalog, and the path under which the old file is kept when it was set aside.
    /// - Throws: ``CatalogError`` as ``init(stateFolder:)``, but `damaged` only when setting aside did not help.
    package static func rebuilding(stateFolder: String) throws -> (database: CatalogDatabase, setAside: String?) {
        do {
            let database = try CatalogDatabase(stateFolder: stateFolder)
            do {
                try database.checkSound()
                return (database, nil)
            } catch let error as CatalogError where error.remedy == .rebuild {
                // What cannot be closed is closed when the process ends; the file gets another name all the same.
                try? database.queue.close()
            }
        } catch let error as CatalogError where error.remedy == .rebuild {}
        let setAside = try setAside(in: stateFolder)
        return (try CatalogDatabase(stateFolder: stateFolder), setAside)
    }

    /// The schema as statements that make the same one again: what `catalog/schema.sql` holds.
    package func schema() throws -> String {
        try read { database in
            let statements = try String.fetchAll(
                database,
                sql: "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%' ORDER BY rowid")
            let pragmas = try ["application_id", "user_version"].map { name in
                "PRAGMA \(name) = \(try Int.fetchOne(database, sql: "PRAGMA \(name)") ?? 0);\n"
            }
            return pragmas.joined() + statements.map { "\n\($0);\n" }.joined()
        }
    }

    /// Reads in one transaction.
    func read<Result>(_ body: (Database) throws -> Result) throws -> Result {
        try CatalogError.translating(path) { try queue.read(body) }
    }

    /// Writes in one transaction; when `body` throws, nothing has happened.
    func write<Result>(_ body: (Database) throws -> Result) throws -> Result {
        try CatalogError.translating(path) { try queue.write(body) }
    }
}

// MARK: - Schema

extension CatalogDatabase {
    /// Version of the schema; 0 for an empty file.
    private static func version(of database: Database, path: String) throws -> Int {
        let application = try Int.fetchOne(database, sql: "PRAGMA application_id") ?? 0
        let version = try Int.fetchOne(database, sql: "PRAGMA user_version") ?? 0
        let count = try Int.fetchOne(database, sql: "SELECT count(*) FROM sqlite_schema") ?? 0
        if application == 0, version == 0, count == 0 { return 0 }
        guard application == CatalogSchema.applicationIdentifier, version >= 1 else {
            throw CatalogError.damaged(path, "it is a database of another program")
        }
        guard version <= CatalogSchema.version else {
            throw CatalogError.newerSchema(path, found: version, known: CatalogSchema.version)
        }
        return version
    }

    private static func migrate(_ database: Database, path: String) throws {
        // Another process may have done it since we looked.
        let version = try version(of: database, path: path)
        for migration in CatalogSchema.migrations.dropFirst(version) {
            try database.execute(sql: migration.sql)
            try database.execute(sql: "PRAGMA user_version = \(migration.version)")
        }
    }

    /// - Throws: ``CatalogError``, `damaged`, when pages, indexes, constraints or the schema are not as they must be.
    private func checkSound() throws {
        let expected = try CatalogDatabase.expectedSchema()
        guard try schema() == expected else {
            throw CatalogError.damaged(path, "its tables are not the ones that this program makes")
        }
        try read { database in
            let verdict = try String.fetchOne(database, sql: "PRAGMA integrity_check(1)")
            guard verdict == "ok" else { throw CatalogError.damaged(path, verdict ?? "it gives no answer") }
            guard try Row.fetchOne(database, sql: "PRAGMA foreign_key_check") == nil else {
                throw CatalogError.damaged(path, "rows refer to rows that are not there")
            }
        }
    }

    private static func expectedSchema() throws -> String {
        let memory = CatalogDatabase(path: "in memory", queue: try DatabaseQueue())
        try memory.write { try migrate($0, path: memory.path) }
        return try memory.schema()
    }

    private init(path: String, queue: DatabaseQueue) {
        self.path = path
        self.queue = queue
    }
}

// MARK: - Files

extension CatalogDatabase {
    private static func translating<Result>(_ body: () throws(FileError) -> Result) throws -> Result {
        do { return try body() } catch {
            throw CatalogError(
                .storage, "\(error.sentence) (the catalog)", error.remedy == .inspect ? .retry : .askOperator)
        }
    }

    /// Makes an empty file that only its owner may read: SQLite would go by the umask.
    ///
    /// It is closed before it gets its name, and nothing here ever opens the file by its name: closing it would take
    /// away the locks that other connections of this process hold on it.
    private static func makeFile(in folder: String) throws {
        let files = HostFiles(root: folder)
        try translating { () throws(FileError) in
            guard try files.byteCount(fileName) == nil else { return }
            let temporary = "\(fileName).new-\(Randomness.system.bytes(8).hexadecimal)"
            try files.writeNew(temporary, [])
            // When another process was quicker, its file is as good.
            _ = try files.link(temporary, to: fileName)
            try files.remove(temporary)
        }
    }

    /// Gives the file and what belongs to it another name, the file last: should the power go in between, no journal is
    /// left to be taken for a new file's.
    ///
    /// - Returns: the new path.
    private static func setAside(in folder: String) throws -> String {
        let files = HostFiles(root: folder)
        return try translating { () throws(FileError) in
            for number in 1...setAsideLimit {
                let name = "\(fileName).damaged-\(number)"
                var isTaken = false
                for suffix in companions where try files.byteCount(name + suffix) != nil { isTaken = true }
                if isTaken { continue }
                for suffix in companions where try files.byteCount(fileName + suffix) != nil {
                    guard try files.link(fileName + suffix, to: name + suffix) else { continue }
                    try files.remove(fileName + suffix)
                }
                try files.syncFolder("")
                return "\(folder)/\(name)"
            }
            throw FileError(
                number: 0, sentence: "\(folder) holds \(setAsideLimit) damaged catalogs; move some away",
                remedy: .permit)
        }
    }
}
