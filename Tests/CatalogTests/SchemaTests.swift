import BackupModel
import Catalog
import CatalogSchema
import ChunkEncryption
import Effects
import GRDB
import TestKit
import Testing

/// The folder `catalog/` of the sources.
enum CatalogFolder {
    private static let files = HostFiles(
        root: #filePath.split(separator: "/").dropLast(3).map { "/" + $0 }.joined() + "/catalog")

    static func text(of name: String) throws -> String {
        String(decoding: try #require(try files.read(name, offset: 0, count: Int.max)), as: UTF8.self)
    }

    static func names(in folder: String) throws -> [String] { try files.names(in: folder).sorted() }
}

@Suite struct SchemaTests {
    /// Digests of the released steps: append, never change.
    private static let digests = [
        "v0001_initial": "9514c98af51bfac1fa227ca65d91bcc4c73cc264c08528194fa6953bbb607c0e"
    ]
    private static let header =
        "-- What the migrations come to, compared by a test: add a migration, never change this file alone.\n\n"

    @Test("no migration has changed, and the binary carries every one as it stands in its file")
    func digests() throws {
        let files = try CatalogFolder.names(in: "migrations")
        #expect(files == CatalogSchema.migrations.map { $0.name + ".sql" })
        #expect(Set(Self.digests.keys) == Set(CatalogSchema.migrations.map(\.name)))
        for (index, migration) in CatalogSchema.migrations.enumerated() {
            #expect(migration.version == index + 1)
            #expect(try CatalogFolder.text(of: "migrations/\(migration.name).sql") == migration.sql)
            let digest = SecureHash.sha256(Array(migration.sql.utf8)).hexadecimal
            #expect(digest == Self.digests[migration.name], "\(migration.name) is released and must not change")
        }
    }

    @Test("what is carried stays within 16 KiB")
    func size() {
        #expect(CatalogSchema.migrations.map(\.sql.utf8.count).reduce(0, +) <= 16 << 10)
    }

    @Test("schema.sql is what the migrations make, and makes the same")
    func result() throws {
        let folder = try StateFolder()
        let schema = try folder.open().schema()
        let file = try CatalogFolder.text(of: "schema.sql")
        #expect(file == Self.header + schema)

        let other = try StateFolder()
        try other.raw().write { try $0.execute(sql: file) }
        #expect(try other.open().schema() == schema)
        #expect(try CatalogDatabase.rebuilding(stateFolder: other.path).setAside == nil)
    }

    @Test("all tables are strict, start with the repository, and their names say their units")
    func rules() throws {
        let folder = try StateFolder()
        _ = try folder.open()
        try folder.raw().read { database in
            for table in try Row.fetchAll(database, sql: "PRAGMA table_list") where table["schema"] == "main" {
                let name: String = table["name"]
                guard name != "sqlite_schema" else { continue }
                #expect(table["strict"] == 1 && table["wr"] == 1, "\(name)")
                let columns = try database.columns(in: name)
                #expect(columns.first?.name == "repository")
                for column in columns where column.name.contains("_at") { #expect(column.name.hasSuffix("_at_ns")) }
                if name != "repositories" {
                    #expect(try !database.foreignKeys(on: name).isEmpty, "\(name) refers to nothing")
                }
            }
        }
    }

    @Test("erd.md shows every table and column, and none that is not there")
    func picture() throws {
        let folder = try StateFolder()
        _ = try folder.open()
        var expected: Set<String> = []
        try folder.raw().read { database in
            let tables = try String.fetchAll(database, sql: "SELECT name FROM sqlite_schema WHERE type = 'table'")
            for table in tables {
                for column in try database.columns(in: table)
                where table == "repositories" || column.name != "repository" {
                    expected.insert("\(table) \(column.type) \(column.name)")
                }
            }
        }
        var shown: Set<String> = []
        var table = ""
        for line in try CatalogFolder.text(of: "erd.md").split(separator: "\n") {
            let words = line.split(separator: " ").map(String.init)
            if words.last == "{", words.count == 2 { table = words[0] }
            if let type = words.first, type == "TEXT" || type == "INTEGER" {
                shown.insert("\(table) \(type) \(words[1])")
            }
        }
        #expect(shown == expected)
    }

    /// Each makes a row that must not be.
    private static let forbidden = [
        "UPDATE repositories SET repository = 'ab'", "UPDATE repositories SET owner_key = upper(owner_key) || 'X'",
        "UPDATE repositories SET log_epoch = NULL", "UPDATE repositories SET incarnation = -1",
        "UPDATE repositories SET store = replace(hex(zeroblob(16)), '0', 'G')", "DELETE FROM repositories",
        "UPDATE writers SET writer = 'x'", "UPDATE writers SET role = 'reader'", "UPDATE writers SET domain = 0",
        "UPDATE writers SET domain = NULL", "UPDATE writers SET is_revoked = 2", "UPDATE writers SET is_limited = NULL",
        "UPDATE writers SET label = NULL", "UPDATE writers SET statement = 'three'", "DELETE FROM writers",
        "DELETE FROM guests", "UPDATE guests SET guest = guest || '0'", "UPDATE writer_guests SET guest = 'none'",
        "UPDATE sessions SET state = 'lost'", "UPDATE sessions SET slot = -1", "DELETE FROM sessions",
        "UPDATE sessions SET key = replace(key, 'a', 'b')", "UPDATE points SET taken_at_ns = -1",
        "UPDATE points SET taken_at_ns = 1.5", "UPDATE points SET base = 'x'", "UPDATE points SET place_count = 0",
        "UPDATE points SET guest = point", "UPDATE points SET session = point", "DELETE FROM points",
        "UPDATE images SET size_bytes = -1", "UPDATE images SET root = substr(root, 2)",
        "UPDATE images SET content = root", "UPDATE images SET position = -position - 1",
        "UPDATE runs SET stored_bytes = -1", "UPDATE runs SET started_at_ns = NULL", "UPDATE runs SET host = NULL",
        "UPDATE runs SET content = replace(content, '0', '1')", "UPDATE notes SET sentence = x'00'",
        "UPDATE notes SET position = -1 - position",
    ]

    @Test("the file itself refuses what must not be in it", arguments: forbidden)
    func constraints(sql: String) throws {
        let folder = try StateFolder()
        try CatalogProjection(try folder.open()).project(FactsFixture(seed: 41).facts)
        #expect(throws: DatabaseError.self) { try folder.raw().write { try $0.execute(sql: sql) } }
    }
}
