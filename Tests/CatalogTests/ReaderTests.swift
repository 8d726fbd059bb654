import BackupModel
import Catalog
import RepositoryFormat
import TestKit
import Testing

@Suite struct ReaderTests {
    private let folder: StateFolder
    private let reader: CatalogReader
    private let facts: CatalogFacts

    init() throws {
        folder = try StateFolder()
        let database = try folder.open()
        facts = FactsFixture(seed: 21, sessions: 40).facts
        try CatalogProjection(database).project(facts)
        try CatalogProjection(database).project(FactsFixture(seed: 22).facts)
        reader = CatalogReader(database)
    }

    @Test("points come back as their records say, whatever the names")
    func points() throws {
        let found = try reader.points(in: facts.repository)
        #expect(Set(found.map(\.record)) == Set(facts.points.map(\.record)))
        #expect(found.map(\.record.takenAt) == found.map(\.record.takenAt).sorted())
        let signers = Dictionary(uniqueKeysWithValues: facts.sessions.map { ($0.identifier, $0.signer) })
        #expect(try found.allSatisfy { WriterID(fingerprint: try #require(signers[$0.session])) == $0.writer })
        #expect(try reader.points().count > found.count)
    }

    @Test("points of a guest are found by its name, by a name it had and by its id, byte for byte")
    func pointsOfGuest() throws {
        for name in ordinaryNames + ["somebody else"] {
            let guests = Set(
                facts.points.filter { Array($0.record.label.utf8) == Array(name.utf8) }.map(\.record.guest))
            let found = Set(try reader.points(of: name, in: facts.repository).map(\.record.guest))
            #expect(found == guests, "\(name)")
        }
        let guest = try #require(facts.points.first).record.guest
        let expected = Set(facts.points.map(\.record).filter { $0.guest == guest })
        #expect(Set(try reader.points(of: guest.hexadecimal).map(\.record)) == expected)
        #expect(try reader.points(of: String(guest.hexadecimal.prefix(31))).isEmpty)
        #expect(try reader.points(of: "%").isEmpty)
        #expect(try reader.points(of: "web01 ").isEmpty)
    }

    @Test("runs name their host, tool, times, bytes and writer")
    func runs() throws {
        let runs = try reader.runs(in: facts.repository)
        #expect(Set(runs.map(\.point)) == Set(try reader.points(in: facts.repository)))
        let first = try #require(runs.first)
        #expect(first.startedAt == first.point.record.startedAt)
        #expect(first.endedAt < first.startedAt, "a clock that was set back is shown as it was")
        #expect(runs.map(\.startedAt) == runs.map(\.startedAt).sorted())
        #expect(Set(runs.map(\.writerLabel)).isSubset(of: Set(facts.writers.map(\.label))))
        #expect(first.host == first.point.record.host && first.tool == "dozo 0.1")
        #expect(first.volume == first.point.record.volume)
    }

    @Test("guests count their points once, and those of an enrolment are listed without any")
    func guests() throws {
        let found = try reader.guests(in: facts.repository)
        let limited = facts.writers.flatMap { $0.guests ?? [] }
        #expect(Set(found.map(\.identifier)) == Set(facts.points.map(\.record.guest) + limited))
        for guest in found {
            let points = facts.points.map(\.record).filter { $0.guest == guest.identifier }
            #expect(guest.pointCount == Set(points.map(\.identifier)).count)
            #expect(guest.latestTakenAt == points.map(\.takenAt).max())
            #expect((guest.label == nil) == points.isEmpty)
        }
    }

    @Test("writers are listed with role, guests, revocation and count, the owner first")
    func writers() throws {
        let found = try reader.writers(in: facts.repository)
        #expect(found.map(\.key) == facts.writers.map(\.key))
        #expect(found.map(\.role) == [.owner, .writer, .writer, .maintainer])
        #expect(found.map(\.isRevoked) == [false, false, true, false])
        #expect(found.map { $0.guests?.count } == [nil, nil, 4, nil])
        #expect(found[2].guests == facts.writers[2].guests?.sorted())
        #expect(found.map(\.pointCount).reduce(0, +) == Set(facts.points.map(\.record.identifier)).count)
        #expect(try reader.writers().count == 8)
    }

    @Test("repositories and notes are listed")
    func repositories() throws {
        let found = try reader.repositories()
        #expect(found.count == 2)
        let first = try #require(found.first { $0.identifier == facts.repository })
        #expect(first.owner == facts.owner && first.store == facts.store)
        #expect(first.pointCount == Set(facts.points.map(\.record.identifier)).count)
        #expect(first.noteCount == 3)
        #expect(
            Set(try reader.notes(in: facts.repository).map { Array($0.utf8) })
                == Set(facts.notes.map { Array($0.utf8) }))
    }

    @Test("an empty catalog answers with empty lists")
    func empty() throws {
        let other = try StateFolder()
        let reader = CatalogReader(try other.open())
        #expect(try reader.points().isEmpty && reader.runs().isEmpty && reader.guests().isEmpty)
        #expect(try reader.writers().isEmpty && reader.repositories().isEmpty)
        #expect(try reader.notes(in: facts.repository).isEmpty)
    }
}
