import Catalog
import CatalogSchema
import GRDB
import TestKit
import Testing

@Suite struct OpeningTests {
    private let folder: StateFolder
    private let facts = FactsFixture(seed: 31).facts
    private var file: String { CatalogDatabase.fileName }

    init() throws { folder = try StateFolder() }

    private func project() throws -> String {
        let database = try folder.open()
        try CatalogProjection(database).project(facts)
        return try database.dump()
    }

    @Test("a new catalog is readable by its owner alone, and leaves nothing else behind")
    func permissions() throws {
        _ = try project()
        #expect(try folder.mode(of: file) == 0o600)
        #expect(try folder.names == [file])
    }

    @Test("what was projected is there when it is opened again, and an up-to-date catalog is not written to")
    func reopening() throws {
        let dump = try project()
        let bytes = try folder.bytes(of: file)
        #expect(try folder.open().dump() == dump)
        #expect(try folder.bytes(of: file) == bytes)
    }

    @Test("a state folder that is not there is an error of the storage")
    func noFolder() throws {
        let error = try refusal { _ = try CatalogDatabase(stateFolder: folder.path + "/missing") }
        #expect(error?.code == .storage)
        #expect(error?.sentence.contains("missing") == true)
    }

    @Test("a newer schema is refused with a sentence, and a rebuild does not touch it either")
    func newer() throws {
        _ = try project()
        try folder.raw().write { try $0.execute(sql: "PRAGMA user_version = 7") }
        let bytes = try folder.bytes(of: file)
        for open in [{ _ = try folder.open() }, { _ = try CatalogDatabase.rebuilding(stateFolder: folder.path) }] {
            let error = try refusal(open)
            #expect(error?.code == .newerSchema)
            #expect(error?.remedy == .useOtherVersion)
            #expect(error?.exitStatus == 7)
            #expect(error?.sentence.contains("schema 7") == true)
        }
        #expect(try folder.bytes(of: file) == bytes)
        #expect(try folder.names == [file])
    }

    @Test("a file that is no catalog is refused with the remedy, set aside by a rebuild, and never deleted")
    func foreign() throws {
        let text = Array("these are my notes, and they are longer than the header of a database: \(ordinaryNames)".utf8)
        try folder.write(text, to: file)
        let error = try refusal { _ = try folder.open() }
        #expect(error?.code == .damaged)
        #expect(error?.remedy == .rebuild)
        #expect(error?.sentence.contains("dozo catalog rebuild") == true)
        #expect(try folder.bytes(of: file) == text)

        let (database, setAside) = try CatalogDatabase.rebuilding(stateFolder: folder.path)
        #expect(setAside == "\(folder.path)/\(file).damaged-1")
        #expect(try folder.bytes(of: file + ".damaged-1") == text)
        try CatalogProjection(database).project(facts)
        #expect(try database.dump() == freshDump(of: facts))

        // Once more, and what lies beside it goes along.
        try folder.write(text, to: file)
        try folder.write([1], to: file + "-shm")
        #expect(try CatalogDatabase.rebuilding(stateFolder: folder.path).setAside == "\(folder.path)/\(file).damaged-2")
        #expect(try folder.bytes(of: file + ".damaged-1") == text)
        #expect(try folder.bytes(of: file + ".damaged-2") == text)
        #expect(try folder.bytes(of: file + ".damaged-2-shm") == [1])
        #expect(try folder.names.count == 4)
    }

    @Test("a database of another program is refused and set aside whole")
    func otherProgram() throws {
        try folder.raw().write { try $0.execute(sql: "CREATE TABLE mine (x); INSERT INTO mine VALUES (1)") }
        #expect(try refusal { _ = try folder.open() }?.code == .damaged)
        let (database, setAside) = try CatalogDatabase.rebuilding(stateFolder: folder.path)
        let kept = try DatabaseQueue(path: try #require(setAside))
        #expect(try kept.read { try Int.fetchOne($0, sql: "SELECT x FROM mine") } == 1)
        #expect(try CatalogReader(database).repositories().isEmpty)
    }

    @Test("a sound catalog is not set aside by a rebuild")
    func soundRebuild() throws {
        let dump = try project()
        let (database, setAside) = try CatalogDatabase.rebuilding(stateFolder: folder.path)
        #expect(setAside == nil)
        #expect(try database.dump() == dump)
    }

    @Test(
        "a catalog that was altered is set aside by a rebuild",
        arguments: [
            "CREATE TABLE more (x)", "DROP INDEX points_by_time", "ALTER TABLE notes ADD COLUMN y TEXT",
            "CREATE TRIGGER t AFTER INSERT ON points BEGIN DELETE FROM points; END",
            "PRAGMA foreign_keys = OFF; DELETE FROM repositories",
            "PRAGMA ignore_check_constraints = ON; UPDATE points SET place_count = 0",
        ])
    func altered(sql: String) throws {
        _ = try project()
        try folder.raw().writeWithoutTransaction { try $0.execute(sql: sql) }
        let (database, setAside) = try CatalogDatabase.rebuilding(stateFolder: folder.path)
        #expect(setAside != nil)
        try CatalogProjection(database).project(facts)
        #expect(try database.dump() == freshDump(of: facts))
    }

    @Test("rows that were altered by hand are put right by a projection")
    func alteredRows() throws {
        let dump = try project()
        try folder.raw().write {
            try $0.execute(
                sql: """
                    UPDATE points SET label = 'forged', taken_at_ns = 1; DELETE FROM runs;
                    UPDATE images SET size_bytes = 0;
                    UPDATE notes SET sentence = 'nothing'; UPDATE repositories SET owner_statement = 99;
                    UPDATE writers SET is_revoked = 0;
                    UPDATE guests SET label = NULL; UPDATE sessions SET state = 'open'
                    """)
        }
        #expect(try project() == dump)
    }

    @Test("wherever the file is cut or damaged, it is opened or refused with the remedy, and a rebuild heals it")
    func damage() throws {
        _ = try project()
        let sound = try folder.bytes(of: file)
        let expected = try freshDump(of: facts)
        var dice = Dice(seed: 32)
        for attempt in 0..<40 {
            var bytes = sound
            if attempt % 2 == 0 {
                bytes.removeLast(Int(dice.roll(below: UInt64(bytes.count))))
            } else {
                let start = Int(dice.roll(below: UInt64(bytes.count - 600)))
                bytes.replaceSubrange(start..<start + 512, with: dice.bytes(512))
            }
            try folder.write(bytes, to: file)
            do {
                let database = try folder.open()
                _ = try database.dump()
                _ = try CatalogReader(database).runs()
                _ = try CatalogReader(database).writers()
                _ = try CatalogReader(database).guests()
            } catch let error as CatalogError {
                #expect(error.remedy == .rebuild || error.remedy == .useOtherVersion, "\(attempt): \(error)")
            }
            try folder.write(bytes, to: file)
            do {
                let (database, _) = try CatalogDatabase.rebuilding(stateFolder: folder.path)
                try CatalogProjection(database).project(facts)
                #expect(try database.dump() == expected, "\(attempt)")
            } catch let error as CatalogError {
                #expect(error.code == .newerSchema, "\(attempt): \(error)")
            }
        }
    }

    @Test("a catalog that another process writes is read as it was, and who writes too is told to try again")
    func busy() throws {
        let dump = try project()
        let database = try CatalogDatabase(stateFolder: folder.path, patience: .zero)
        try folder.raw().writeWithoutTransaction { other in
            try other.execute(sql: "BEGIN IMMEDIATE; UPDATE guests SET label = NULL")
            #expect(try database.dump() == dump)
            let error = try refusal { try CatalogProjection(database).project(facts) }
            #expect(error?.code == .busy)
            #expect(error?.remedy == .retry)
            try other.execute(sql: "ROLLBACK")
        }
        #expect(try database.dump() == dump)
    }

    @Test("opening the catalog does not take away the lock of another connection of this process")
    func locks() throws {
        _ = try project()
        try folder.raw().writeWithoutTransaction { other in
            try other.execute(sql: "BEGIN EXCLUSIVE; UPDATE guests SET label = NULL")
            let held = try folder.locks(on: file)
            try #require(held > 0)
            let error = try refusal { _ = try CatalogDatabase(stateFolder: folder.path, patience: .zero) }
            #expect(error?.code == .busy)
            #expect(try folder.locks(on: file) == held, "any other process could write now")
            try other.execute(sql: "ROLLBACK")
        }
        #expect(try folder.locks(on: file) == 0)
    }

    @Test("two that open a new catalog at the same time both get one")
    func race() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<8 {
                group.addTask { try CatalogProjection(try folder.open()).project(facts) }
            }
            try await group.waitForAll()
        }
        #expect(try folder.open().dump() == freshDump(of: facts))
    }
}
