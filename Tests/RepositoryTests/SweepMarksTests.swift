import BackupModel
import ChunkEncryption
import Effects
import ObjectStorage
import Repository
import RepositoryFormat
import Simulation
import TestKit
import Testing

@Suite("what a sweep keeps for the next one (S10)")
struct SweepMarksTests {
    private static func fresh() async throws -> SweepingHost {
        let sample = try await Samples.sample()
        return SweepingHost(store: MemoryStore(sample.snapshot, randomness: .seeded(1)), sample: sample)
    }

    @Test("a second sweep reads no map, and one behind a backup the maps that are new")
    func counts() async throws {
        let host = try await Self.fresh()
        let before = try await host.maps()
        #expect(try await host.sweepAll() >= before.count)
        let again = try await host.sweep()
        #expect(again.readMaps == 0 && again.keptMaps == before.count)
        var disks = try #require(host.sample.disks[host.sample.points[3]])
        disks[0].replaceSubrange(0..<4096, with: [UInt8](repeating: 7, count: 4096))
        try await host.sample.hosts[1].copy().backUp(disks, to: host.store, at: 10, randomness: .seeded(11))
        let new = try await host.maps().subtracting(before)
        let behind = try await host.sweep()
        #expect(!new.isEmpty && new.count < before.count)
        #expect(behind.readMaps <= new.count && behind.keptMaps == before.count)
    }

    @Test("a host with marks lets go what one without lets go", arguments: UInt64(0)..<6)
    func sameChoice(seed: UInt64) async throws {
        var dice = Dice(seed: seed)
        let sample = try await Samples.sample()
        let host = try await Self.fresh()
        let writers = sample.hosts.map { $0.copy() }
        var disks = sample.points.suffix(2).map { sample.disks[$0] ?? [] }
        var points = sample.points
        for night in 0..<6 {
            let number = Int(dice.roll(below: 2))
            let start = Int(dice.roll(below: 8)) * 4096
            disks[number][0].replaceSubrange(start..<start + 4096, with: dice.bytes(4096))
            let record = try await writers[number].backUp(
                disks[number], to: host.store, at: UInt64(20 + night), randomness: .seeded(dice.next()))
            points.append(record.identifier)
            if dice.roll(below: 2) == 0 {
                try await host.forget([points.remove(at: Int(dice.roll(below: UInt64(points.count))))])
            }
            let bare = SweepingHost(
                store: MemoryStore(host.store.snapshot(), randomness: .seeded(2)), sample: sample)
            // A copy has another name each time.
            try await bare.sweepAll(rewriteByteLimit: 0)
            try await host.sweepAll(rewriteByteLimit: 0)
            #expect(try await host.packs() == bare.packs(), "night \(night)")
        }
    }

    @Test(
        "chunks that another host stored again, for their pack was damaged, outlive the sweep of one that knew it whole"
    )
    func healed() async throws {
        let sample = try await Samples.sample()
        let newest = try #require(sample.points.last)
        let disk = try #require(sample.disks[newest])
        var mended = 0
        for (name, bytes) in sample.objects.sorted(by: { $0.key < $1.key }) where name.text.hasPrefix("packs/") {
            let host = try await Self.fresh()
            // It knows every pack as whole.
            try await host.sweepAll()
            guard try await host.packs().contains(name) else { continue }
            var damaged = bytes
            damaged[bytes.count / 2] ^= 1
            try await host.store.delete(name)
            _ = try await host.store.putIfAbsent(name, damaged)
            let writer = sample.hosts[1].copy()
            let state = try HostState(
                files: writer.disk, repository: sample.owner.repository, randomness: Randomness.seeded(12))
            let key = try #require(ObjectKey(name: name.text, folder: "packs"))
            try state.keep(damage: HostState.Damage(packs: [key]))
            let record = try await writer.backUp(disk, to: host.store, at: 10, randomness: .seeded(11))
            guard (try? await host.restores(record.identifier, as: disk)) == true else { continue }
            do { try await host.sweepAll() } catch let error as RepositoryError {
                // A map that only that pack held, of another guest: nothing is deleted.
                #expect(error.code == .damaged || error.code == .refused)
            }
            #expect(try await host.restores(record.identifier, as: disk), "\(name)")
            mended += 1
        }
        #expect(mended > 3)
    }

    @Test("marks that are damaged, forged or of another repository are not believed")
    func mutations() async throws {
        let host = try await Self.fresh()
        try await host.sweepAll()
        let content = try #require(try await Self.marks(of: host))
        let whole = try await host.sweep().keptMaps
        #expect(whole > 0)
        var dice = Dice(seed: 5)
        for turn in 0..<120 {
            var bytes = content
            switch turn {
            case 0: bytes = []
            case 1: bytes.removeLast()
            case 2: bytes.append(0)
            case 3: bytes.removeFirst(content.count / 2)
            default: bytes[Int(dice.roll(below: UInt64(bytes.count)))] ^= 1 << UInt8(dice.roll(below: 8))
            }
            let copy = SweepingHost(store: host.store, sample: host.sample, disk: host.disk.copy())
            // Behind a checksum that is right, as somebody would forge it who lacks the repository's keys.
            try Self.replaceMarks(of: copy, by: bytes)
            let report = try await copy.sweep()
            #expect(report.keptMaps == 0 && report.readMaps == whole, "turn \(turn)")
            #expect(try await copy.sweep().keptMaps == whole, "and new ones are kept")
        }
        let foreign = try await Samples.foreign()
        let other = SweepingHost(
            store: MemoryStore(foreign.snapshot, randomness: .seeded(1)), sample: foreign)
        try await other.sweepAll()
        let theirs = try #require(try await Self.marks(of: other))
        let copy = SweepingHost(store: host.store, sample: host.sample, disk: host.disk.copy())
        try Self.replaceMarks(of: copy, by: theirs)
        #expect(try await copy.sweep().keptMaps == 0)
    }

    private static func folder(_ host: SweepingHost) -> String { "repositories/\(host.sample.owner.repository)" }

    private static func names(_ host: SweepingHost) throws -> [String] {
        try host.disk.names(in: folder(host)).filter { $0.hasPrefix("marks.") }.map { "\(folder(host))/\($0)" }
    }

    private static func marks(of host: SweepingHost) async throws -> [UInt8]? {
        guard let name = try names(host).last else { return nil }
        return try host.disk.read(name, offset: 0, count: .max).map { Array($0.dropFirst(32)) }
    }

    private static func replaceMarks(of host: SweepingHost, by bytes: [UInt8]) throws {
        for name in try names(host) { try host.disk.remove(name) }
        try host.disk.writeNew("\(folder(host))/marks.1", SecureHash.sha256(bytes).bytes + bytes)
    }
}
