import BackupModel
import Catalog
import GRDB
import RepositoryFormat
import Testing

/// The operators' queries, over a repository small enough to know by heart.
@Suite struct QueryTests {
    private static let day: UInt64 = 86_400_000_000_000
    private let folder: StateFolder

    private static func sixteen(_ byte: UInt8) -> [UInt8] { [UInt8](repeating: byte, count: 16) }
    private static func hash(_ byte: UInt8) -> Hash256 { Hash256(bytes: [UInt8](repeating: byte, count: 32))! }

    private static func point(
        _ number: UInt8, guest: UInt8, label: String, at taken: UInt64, session: UInt8, size: UInt64
    ) -> CatalogFacts.Point {
        var volume = RestorePointRecord.Volume()
        volume.read = 1_000
        volume.changed = 100
        volume.new = 10
        volume.stored = UInt64(number)
        let image = RestorePointRecord.Image(
            name: "vda", kind: "disk", byteCount: size, format: "raw", root: hash(number), domain: 0)
        let record = RestorePointRecord(
            identifier: PointID(bytes: sixteen(number))!, guest: GuestID(bytes: sixteen(guest))!, label: label,
            takenAt: taken, consistency: "crash", trust: "scanned", host: "h", tool: "t", images: [image, image],
            base: nil, startedAt: taken, endedAt: taken + 90_000_000_000, volume: volume)
        return CatalogFacts.Point(record: record, session: SessionID(bytes: sixteen(session))!, entry: 0)
    }

    private static var facts: CatalogFacts {
        let slot = { SlotNumber(incarnation: 0, epoch: 0, number: $0) }
        var facts = CatalogFacts(
            repository: RepositoryID(bytes: sixteen(0xaa))!, owner: hash(1), ownerStatement: 2,
            store: StoreID(bytes: sixteen(0xbb))!, incarnation: 0, logHead: slot(3))
        facts.writers = [
            .init(key: hash(1), role: .owner, domain: nil, label: "owner", statement: 0),
            .init(
                key: hash(2), role: .writer, domain: 0, label: "host-a", statement: 1,
                guests: [GuestID(bytes: sixteen(0x63))!]),
            .init(key: hash(3), role: .writer, domain: 0, label: "host-b", statement: 2, isRevoked: true),
        ]
        let sessions: [(UInt8, UInt8, CatalogFacts.Session.State)] = [
            (0x51, 2, .ended), (0x52, 2, .ended), (0x53, 3, .open), (0x54, 3, .fenced),
        ]
        facts.sessions = sessions.enumerated().map { index, session in
            .init(
                identifier: SessionID(bytes: sixteen(session.0))!, signer: hash(session.1), slot: slot(UInt32(index)),
                entryCount: 1, state: session.2)
        }
        var conflict = point(0x14, guest: 0x62, label: "業務サーバ01", at: day + 5, session: 0x53, size: 30)
        conflict.record.host = "another"
        facts.points = [
            point(0x11, guest: 0x61, label: "web", at: day, session: 0x51, size: 10),
            point(0x12, guest: 0x61, label: "web", at: 2 * day, session: 0x52, size: 20),
            point(0x14, guest: 0x62, label: "業務サーバ01", at: day + 5, session: 0x52, size: 30),
            conflict,
        ]
        return facts
    }

    init() throws {
        folder = try StateFolder()
        try CatalogProjection(try folder.open()).project(Self.facts)
    }

    private static let expected = [
        "latest_point_of_each_guest": [
            "web|12121212121212121212121212121212|1970-01-03T00:00:00Z|crash|scanned",
            "業務サーバ01|14141414141414141414141414141414|1970-01-02T00:00:00Z|crash|scanned",
            "業務サーバ01|14141414141414141414141414141414|1970-01-02T00:00:00Z|crash|scanned",
        ],
        "guests_without_point_since": [
            "63636363636363636363636363636363|-|-",
            "62626262626262626262626262626262|業務サーバ01|1970-01-02T00:00:00Z",
        ],
        "size_of_each_guest": ["業務サーバ01|60|40", "web|40|35", "-|0|0"],
        "points_by_writer": [
            "owner|owner|0|0|-|-", "host-a|writer|0|3|1970-01-02T00:00:00Z|1970-01-03T00:00:00Z",
            "host-b|writer|1|1|1970-01-02T00:00:00Z|1970-01-02T00:00:00Z",
        ],
        "conflicting_points": [
            "14141414141414141414141414141414|業務サーバ01|host-a|52525252525252525252525252525252|0|1970-01-02T00:00:00Z",
            "14141414141414141414141414141414|業務サーバ01|host-b|53535353535353535353535353535353|0|1970-01-02T00:00:00Z",
        ],
        "runs_by_day": ["1970-01-02|3|3000|300|30|57|270", "1970-01-03|1|1000|100|10|18|90"],
        "sessions_without_point": ["54545454545454545454545454545454|host-b|fenced|1|0|0|3"],
    ]

    @Test("every query of the folder gives the rows it should")
    func all() throws {
        let names = try CatalogFolder.names(in: "queries")
        #expect(names == Self.expected.keys.map { $0 + ".sql" }.sorted())
        for (name, expected) in Self.expected {
            let sql = try CatalogFolder.text(of: "queries/\(name).sql")
            let arguments: StatementArguments = sql.contains(":since_ns") ? ["since_ns": Int64(2 * Self.day)] : [:]
            let rows = try folder.raw().read { database in
                try Row.fetchAll(database, sql: sql, arguments: arguments).map { row in
                    row.databaseValues.map { $0.isNull ? "-" : String.fromDatabaseValue($0) ?? "\($0)" }
                        .joined(separator: "|")
                }
            }
            #expect(rows == expected, "\(name)")
        }
    }

    @Test("no query reads all rows of a repository again for each row of something else")
    func plans() throws {
        for name in try CatalogFolder.names(in: "queries") {
            let sql = try CatalogFolder.text(of: "queries/\(name)").replacing(":since_ns", with: "1")
            let steps = try folder.raw().read { database in
                try Row.fetchAll(database, sql: "EXPLAIN QUERY PLAN \(sql)").map { $0["detail"] as String }
            }
            #expect(!steps.isEmpty && steps.allSatisfy { !$0.contains("(repository=?)") }, "\(name): \(steps)")
        }
    }

    @Test("a query begins with what it answers")
    func described() throws {
        for name in try CatalogFolder.names(in: "queries") {
            #expect(try CatalogFolder.text(of: "queries/\(name)").hasPrefix("-- "), "\(name)")
        }
    }
}
