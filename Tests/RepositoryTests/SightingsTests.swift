import BackupModel
import ChunkEncryption
import Effects
import ObjectStorage
import Repository
import RepositoryFormat
import TestKit
import Testing

/// By when others saw a point, from what they wrote.
@Suite("sightings")
struct SightingsTests {
    static let day: UInt64 = 86_400_000_000_000
    static let begin = 1000 * day

    /// The sample's hosts go on: each of the pairs is a host and the day of a run by its clock.
    static func view(
        of runs: [(host: Int, day: UInt64)], forgetAt: UInt64? = nil
    ) async throws -> (view: RepositoryView, points: [RestorePoint], writers: [WriterID]) {
        let sample = try await Samples.sample()
        let store = MemoryStore(sample.snapshot, randomness: .seeded(1))
        let hosts = sample.hosts.map { $0.copy() }
        var dice = Dice(seed: 7)
        var made: [PointID] = []
        for (number, run) in runs.enumerated() {
            let record = try await hosts[run.host].backUp(
                [dice.bytes(5000)], to: store, at: run.day * day, randomness: .seeded(1000 + UInt64(number)))
            made.append(record.identifier)
        }
        if let forgetAt {
            let repository = try await OpenRepository.open(store: store, key: .credential(sample.maintainer))
            try await MaintenanceSession(repository, randomness: .seeded(5)).forget(
                [sample.points[0]], at: forgetAt * day, reason: "")
        }
        let view = try await OpenRepository.open(store: store, key: .credential(sample.owner)).view()
        let points = made.map { id in view.points.first { $0.record.identifier == id }! }
        let writers = hosts.map { host in
            WriterID(fingerprint: host.credential.signingKey!.publicKey.fingerprint)
        }
        return (view, points, writers)
    }

    @Test("another host's next run has seen a point, and its run before has not")
    func others() async throws {
        let (view, points, _) = try await Self.view(of: [(0, 1000), (1, 1001), (0, 1002), (1, 1003)])
        let sightings = Sightings(in: view, revoked: [], now: 2000 * Self.day)
        #expect(sightings[points[0]].firstSeen == 1001 * Self.day)
        #expect(sightings[points[1]].firstSeen == 1002 * Self.day)
        #expect(sightings[points[1]].lastMissed == 1000 * Self.day)
        #expect(sightings[points[2]].firstSeen == 1003 * Self.day)
        #expect(sightings[points[2]].lastMissed == 1001 * Self.day)
        #expect(sightings[points[3]].firstSeen == nil)
        #expect(sightings[points[3]].lastMissed == 1002 * Self.day)
    }

    @Test("a host is no witness of its own points, and what a maintainer says is one")
    func own() async throws {
        let alone = try await Self.view(of: [(0, 1000), (0, 1001), (0, 1002)])
        #expect(Sightings(in: alone.view, revoked: [], now: 2000 * Self.day)[alone.points[1]].firstSeen == nil)
        let said = try await Self.view(of: [(0, 1000), (0, 1001)], forgetAt: 1005)
        let sightings = Sightings(in: said.view, revoked: [], now: 2000 * Self.day)
        #expect(said.points.map { sightings[$0].firstSeen } == [1005 * Self.day, 1005 * Self.day])
    }

    @Test("one whose clock went back bears no witness of what it saw then; nor does a revoked one, nor the future")
    func gainsaid() async throws {
        // Host b stands in 1970 once, after it stood in day 1001.
        let (view, points, writers) = try await Self.view(of: [(1, 1001), (0, 1002), (1, 0), (0, 1003), (1, 1004)])
        let sightings = Sightings(in: view, revoked: [], now: 2000 * Self.day)
        #expect(sightings[points[1]].firstSeen == 1004 * Self.day)
        #expect(sightings[points[3]].firstSeen == 1004 * Self.day)
        let revoked = Sightings(in: view, revoked: [writers[1]], now: 2000 * Self.day)
        #expect(revoked[points[1]].firstSeen == nil)
        // Host b is ahead once: that it missed what came behind it tells nothing.
        let ahead = try await Self.view(of: [(1, 5000), (0, 1002), (1, 1003), (0, 1004)])
        let later = Sightings(in: ahead.view, revoked: [], now: 9000 * Self.day)
        #expect(later[ahead.points[1]].lastMissed ?? 0 < 1002 * Self.day)
        #expect(later[ahead.points[3]].lastMissed == 1003 * Self.day)
        let never = try await Self.view(of: [(1, 5000), (0, 1002)])
        #expect(
            Sightings(in: never.view, revoked: [], now: 1003 * Self.day)[never.points[1]].lastMissed ?? 0
                < 1002 * Self.day)
        #expect(
            Sightings(in: never.view, revoked: [], now: 6000 * Self.day)[never.points[1]].lastMissed
                == 5000 * Self.day)
    }
}
