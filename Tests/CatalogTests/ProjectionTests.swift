import BackupModel
import Catalog
import RepositoryFormat
import TestKit
import Testing

@Suite struct ProjectionTests {
    @Test("projecting again changes nothing, not even the file")
    func idempotent() throws {
        let folder = try StateFolder()
        let facts = FactsFixture(seed: 1).facts
        let database = try folder.open()
        try CatalogProjection(database).project(facts)
        let dump = try database.dump()
        let bytes = try folder.bytes(of: CatalogDatabase.fileName)
        try CatalogProjection(database).project(facts)
        #expect(try database.dump() == dump)
        #expect(
            try folder.bytes(of: CatalogDatabase.fileName) == bytes, "rows that are as they should be cost no write")
        #expect(try freshDump(of: facts) == dump)
        #expect(dump.split(separator: "\n").count > 40)
    }

    @Test("whatever the order of arrival, the dump is the same", arguments: UInt64(1)...20)
    func order(seed: UInt64) throws {
        var fixture = FactsFixture(seed: seed)
        let expected = try freshDump(of: fixture.facts)
        for _ in 0..<3 { #expect(try freshDump(of: fixture.shuffled()) == expected, "seed \(seed)") }
    }

    @Test(
        "projecting a growing and a shrinking repository comes to a rebuild from the last state",
        arguments: UInt64(1)...5)
    func growing(seed: UInt64) throws {
        let fixture = FactsFixture(seed: seed)
        let folder = try StateFolder()
        let projection = CatalogProjection(try folder.open())
        let database = try folder.open()
        for count in Array(0...12) + [12, 3, 7, 0] {
            let facts = fixture.prefix(count)
            try projection.project(facts)
            #expect(try database.dump() == freshDump(of: facts), "seed \(seed), \(count) sessions")
        }
    }

    @Test("a point that changes its label, images and places is brought up to date")
    func changing() throws {
        var facts = FactsFixture(seed: 3).facts
        let folder = try StateFolder()
        let database = try folder.open()
        try CatalogProjection(database).project(facts)
        for index in facts.points.indices { facts.points[index].record.label += " anew" }
        facts.points.removeFirst(2)
        facts.writers[1].isRevoked = true
        facts.writers[2].guests = nil
        facts.ownerStatement += 1
        try CatalogProjection(database).project(facts)
        #expect(try database.dump() == freshDump(of: facts))
    }

    @Test("two repositories stand side by side, and neither touches the other")
    func twoRepositories() throws {
        let (first, second) = (FactsFixture(seed: 7), FactsFixture(seed: 8))
        let both = try freshDump(of: first.facts, second.facts)
        #expect(try freshDump(of: second.facts, first.facts) == both)
        #expect(try freshDump(of: first.prefix(3), second.prefix(9), second.facts, first.facts) == both)
    }

    @Test("a transaction that fails leaves the catalog as it was, and says nothing of what it should have written")
    func failing() throws {
        let folder = try StateFolder()
        let database = try folder.open()
        let fixture = FactsFixture(seed: 9)
        try CatalogProjection(database).project(fixture.prefix(5))
        let before = try database.dump()

        var unknownSigner = fixture.facts
        unknownSigner.sessions[11].signer = .zero
        var twice = fixture.facts
        twice.sessions.append(twice.sessions[0])
        var unread = fixture.facts
        unread.sessions.removeAll { $0.identifier == unread.points[0].session }
        var roleless = fixture.facts
        roleless.writers[2].domain = nil
        roleless.writers[2].label = "secret-name"
        for facts in [unknownSigner, twice, unread, roleless] {
            let error = try refusal { try CatalogProjection(database).project(facts) }
            #expect(error?.code == .inconsistent)
            #expect(error?.sentence.contains("secret-name") == false)
            #expect(try database.dump() == before)
        }
        try CatalogProjection(database).project(fixture.facts)
        #expect(try database.dump() == freshDump(of: fixture.facts))
    }

    @Test("two records with one id and different content are both kept and told apart")
    func conflicts() throws {
        var fixture = FactsFixture(seed: 4, sessions: 2)
        let guest = GuestID(bytes: [UInt8](repeating: 7, count: 16))!
        let one = fixture.record(guest: guest, label: "one", at: 5)
        var other = one
        other.takenAt = 6
        var third = one
        third.host = "elsewhere"
        let session = fixture.facts.sessions.map(\.identifier)
        fixture.facts.points = [
            CatalogFacts.Point(record: one, session: session[1], entry: 1),
            CatalogFacts.Point(record: other, session: session[1], entry: 0),
            CatalogFacts.Point(record: third, session: session[1], entry: 0),
            CatalogFacts.Point(record: one, session: session[0], entry: 0),
        ]
        let folder = try StateFolder()
        let database = try folder.open()
        try CatalogProjection(database).project(fixture.facts)
        let points = try CatalogReader(database).points()
        #expect(Set(points.map(\.record)) == [one, other, third])
        #expect(points.count == 3)
        #expect(points.map(\.isConflicting) == [true, true, true])
        #expect(points.first { $0.record == one }?.session == session[0], "where it stands first")
        #expect(try database.dump().split(separator: "\n").filter { $0.contains("place_count=2") }.count == 1)
        #expect(try CatalogReader(database).guests().first { $0.identifier == guest }?.pointCount == 1)

        fixture.facts.points.remove(at: 1)
        fixture.facts.points.remove(at: 1)
        try CatalogProjection(database).project(fixture.facts)
        #expect(try CatalogReader(database).points().map(\.isConflicting) == [false])
    }

    @Test("a guest is called what its newest point by the log calls it, whatever the clocks said")
    func labels() throws {
        var fixture = FactsFixture(seed: 5, sessions: 3)
        let guest = GuestID(bytes: [UInt8](repeating: 7, count: 16))!
        fixture.facts.points = fixture.facts.sessions.enumerated().map { index, session in
            CatalogFacts.Point(
                record: fixture.record(guest: guest, label: "name \(index)", at: UInt64(9 - index)),
                session: session.identifier, entry: 0)
        }
        let folder = try StateFolder()
        let database = try folder.open()
        try CatalogProjection(database).project(fixture.shuffled())
        let found = try CatalogReader(database).guests().first { $0.identifier == guest }
        #expect(found?.label == "name 2")
        #expect(found?.latestTakenAt == 9)
    }

    @Test("numbers that SQLite cannot hold and texts with a NUL are shown as near as can be, and the numbers noted")
    func outOfRange() throws {
        var fixture = FactsFixture(seed: 6, sessions: 1)
        var record = fixture.record(guest: GuestID(bytes: [UInt8](repeating: 7, count: 16))!, label: "a\0b", at: 0)
        record.takenAt = .max
        record.startedAt = UInt64(Int64.max)
        record.endedAt = 0
        fixture.facts.notes = []
        fixture.facts.points = [
            CatalogFacts.Point(record: record, session: fixture.facts.sessions[0].identifier, entry: 0)
        ]
        let folder = try StateFolder()
        let database = try folder.open()
        try CatalogProjection(database).project(fixture.facts)
        let found = try #require(try CatalogReader(database).points().first?.record)
        #expect(found.takenAt == UInt64(Int64.max))
        #expect(found.startedAt == UInt64(Int64.max))
        #expect(found.label == "a␀b")
        #expect(
            try CatalogReader(database).notes(in: fixture.facts.repository) == [
                "point \(record.identifier) says taken_at 18446744073709551615, which is shown as 9223372036854775807"
            ])
    }

    @Test("names cannot pretend to be lines or columns of the dump")
    func dumpQuoting() throws {
        var fixture = FactsFixture(seed: 6, sessions: 1)
        fixture.facts.points = []
        fixture.facts.notes = ["\" sentence=\"x\\\n\u{2028}\u{7}points repository="]
        let lines = try freshDump(of: fixture.facts).split(whereSeparator: \.isNewline)
        #expect(lines.filter { $0.hasPrefix("points") }.isEmpty)
        #expect(
            lines.last?.hasSuffix(
                #"position=0 sentence="\" sentence=\"x\\\u{a}\u{2028}\u{7}points repository=""#) == true)
    }
}
