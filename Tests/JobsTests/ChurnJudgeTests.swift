import BackupModel
import Foundation
import Jobs
import Notices
import TestKit
import Testing

@Suite("whether a guest has begun to write what looks encrypted")
struct ChurnJudgeTests {
    private static let mebibyte = 1 << 20
    private static let day: UInt64 = 86_400 * 1_000_000_000
    private static let start: UInt64 = 1_832_889_600 * 1_000_000_000

    /// A guest of 100 GB of data whose nights are what somebody lets them be, in MiB.
    private struct Nights {
        var samples: [ChurnSample] = []
        /// Verdicts of the nights that were judged, in their order.
        var verdicts: [ChurnJudge.Verdict] = []
        let perNight: UInt64

        init(every interval: UInt64 = ChurnJudgeTests.day, full: Int = 100_000, fullIncompressible: Int = 10_000) {
            perNight = interval
            night(new: full, incompressible: fullIncompressible, read: full)
        }

        /// A run, judged by those before it and kept with what was thought of it.
        mutating func night(
            new: Int, incompressible: Int, read: Int? = nil, isStopped: Bool = false, disk: String = "vda"
        ) {
            var churn = DiskChurn(disk: disk)
            churn.read = UInt64((read ?? new) * mebibyte)
            churn.changed = churn.read
            churn.new = NewChunks(
                count: UInt64(new * 16), byteCount: UInt64(new * mebibyte), packedByteCount: UInt64(new * mebibyte / 2),
                incompressibleCount: UInt64(incompressible * 16),
                incompressibleByteCount: UInt64(incompressible * mebibyte),
                ranges: incompressible > 0 ? [Extent(start: 4096, length: UInt64(incompressible * mebibyte))] : [])
            let instant = ChurnJudgeTests.start + UInt64(samples.count) * perNight
            var sample = ChurnSample(
                guest: "g", instant: instant, point: isStopped ? nil : "p\(samples.count)", disks: [churn])
            if !isStopped {
                sample = sample.adding(ChurnJudge.unfinished(samples))
                let verdict = ChurnJudge(sample, history: samples).verdict
                verdicts.append(verdict)
                sample.judgement = verdict.judgement
            }
            samples.append(sample)
        }

        /// Nights of a guest with some noise.
        ///
        /// - Parameter encrypted: what is encrypted besides, each night; a twentieth of it still compresses.
        mutating func nights(_ count: Int, new: Int, incompressible: Int, encrypted: Int = 0, seed: UInt64 = 1) {
            var dice = Dice(seed: seed)
            for _ in 0..<count {
                let share = 75 + Int(dice.roll(below: 51))
                night(
                    new: new * share / 100 + encrypted,
                    incompressible: incompressible * (70 + Int(dice.roll(below: 61))) / 100 + encrypted * 19 / 20)
            }
        }

        var alarms: Int {
            verdicts.count { if case .encryptionLike = $0 { true } else { false } }
        }
        var manner: ChurnJudge.Manner? {
            if case .encryptionLike(let findings, _)? = verdicts.last { findings.first?.manner } else { nil }
        }
        var lastClean: String? {
            if case .encryptionLike(_, let clean)? = verdicts.last { clean?.point } else { nil }
        }
    }

    // MARK: What must be seen

    @Test(
        "a twentieth of the files encrypted in a night, on top of what the night always brings",
        arguments: 0..<40 as Range<UInt64>)
    func oneNight(seed: UInt64) throws {
        var guest = Nights()
        guest.nights(20, new: 3000, incompressible: 300, seed: seed)
        #expect(guest.alarms == 0)
        // 5 GB in place; a tenth of the chunks holds something else too and still compresses.
        guest.night(new: 3000 + 5000, incompressible: 300 + 4500)
        #expect(guest.manner == .sudden && guest.lastClean == "p20")
        guard case .encryptionLike(let findings, _)? = guest.verdicts.last else { return }
        #expect(findings.map(\.disk) == ["vda"] && findings[0].byteCount == 4800 << 20)
        #expect(findings[0].ranges == [Extent(start: 4096, length: 4800 << 20)])
        #expect((200 << 20...400 << 20).contains(findings[0].usualByteCount))
        // The next night it goes on: what is suspect is neither usual nor clean.
        guest.night(new: 3000 + 5000, incompressible: 300 + 4500)
        #expect(guest.manner == .sudden && guest.lastClean == "p20")
    }

    @Test("an upgrade some nights ago hides nothing, though it brought more that did not compress")
    func behindAnUpgrade() {
        var guest = Nights()
        guest.nights(10, new: 500, incompressible: 30)
        guest.night(new: 20_500, incompressible: 5500)
        #expect(guest.alarms == 0)
        guest.night(new: 500 + 5000, incompressible: 30 + 4500)
        #expect(guest.manner == .sudden && guest.lastClean == "p11")
    }

    @Test("slow encryption, a fifth of a percent a night, is seen within a week", arguments: 0..<20 as Range<UInt64>)
    func slowly(seed: UInt64) {
        var guest = Nights()
        guest.nights(25, new: 3000, incompressible: 100, seed: seed)
        #expect(guest.alarms == 0)
        var nights = 0
        while guest.alarms == 0, nights < 7 {
            nights += 1
            guest.nights(1, new: 3000, incompressible: 100, encrypted: 200, seed: seed + 100 + UInt64(nights))
        }
        // Below twice the largest night, so that no single one is told.
        #expect(guest.manner == .slow || guest.manner == .sudden, "after \(nights) nights")
        if guest.manner == .slow { #expect(guest.lastClean == "p25") }
    }

    @Test("a disk that is all new and does not compress any more")
    func whole() {
        var guest = Nights()
        guest.nights(3, new: 3000, incompressible: 300)
        guest.night(new: 90_000, incompressible: 88_000)
        #expect(guest.manner == .whole && guest.lastClean == "p3")
    }

    @Test("what a stopped run has stored counts with the run that goes on with it")
    func stopped() {
        var guest = Nights()
        guest.nights(10, new: 3000, incompressible: 300)
        guest.night(new: 6000, incompressible: 4000, isStopped: true)
        #expect(guest.alarms == 0)
        guest.night(new: 2000, incompressible: 300)
        #expect(guest.manner == .sudden && guest.lastClean == "p10")
    }

    @Test("runs every quarter of an hour are judged by days, so that an attack over hours is one")
    func often() {
        var guest = Nights(every: Self.day / 96)
        var dice = Dice(seed: 7)
        for run in 0..<(96 * 12) {
            // At midnight the guest writes a compressed dump of its own.
            let dump = run % 96 == 0 ? 400 : 0
            guest.night(new: 40 + Int(dice.roll(below: 40)) + dump, incompressible: 2 + dump)
        }
        #expect(guest.alarms == 0)
        var runs = 0
        while guest.alarms == 0, runs < 12 {
            runs += 1
            guest.night(new: 60 + 300, incompressible: 2 + 290)
        }
        // 3 GB in ten runs, of which none is as large as the dump of midnight.
        #expect(guest.manner == .sudden, "after \(runs) runs")
        // The runs of a day before it may hold some of it already.
        let clean = guest.lastClean.flatMap { Int($0.dropFirst()) } ?? .max
        #expect((96 * 11 - 8...96 * 11 + 12).contains(clean), "\(clean)")
    }

    // MARK: What must not be told

    @Test("guests that write as guests do give no alarm in ninety nights", arguments: 0..<20 as Range<UInt64>)
    func quiet(seed: UInt64) {
        let nights: [(name: String, Nights)] = [
            ("a first full", Nights()),
            {
                var guest = Nights(full: 100_000, fullIncompressible: 95_000)
                guest.nights(90, new: 4000, incompressible: 3900, seed: seed)
                // A wedding: three times as many photographs as on any night.
                guest.night(new: 15_000, incompressible: 14_500)
                return ("photographs", guest)
            }(),
            {
                var guest = Nights()
                guest.nights(45, new: 3000, incompressible: 60, seed: seed)
                guest.night(new: 40_000, incompressible: 900)
                guest.nights(45, new: 3000, incompressible: 60, seed: seed + 1)
                return ("a database reindexed", guest)
            }(),
            {
                var guest = Nights()
                guest.nights(45, new: 500, incompressible: 30, seed: seed)
                // 1 GB of packages, and what they unpack to: 4 GB, of which some is compressed in itself.
                guest.night(new: 5500, incompressible: 2600)
                guest.nights(45, new: 500, incompressible: 30, seed: seed + 1)
                return ("an upgrade", guest)
            }(),
            {
                var guest = Nights()
                for week in 0..<13 as Range<UInt64> {
                    guest.nights(6, new: 2000, incompressible: 100, seed: seed + week)
                    guest.night(new: 7000, incompressible: 5000)
                }
                return ("a compressed dump every week", guest)
            }(),
            {
                var guest = Nights()
                guest.nights(45, new: 10, incompressible: 0, seed: seed)
                guest.night(new: 7, incompressible: 7)
                return ("a little that is a lot for it", guest)
            }(),
            {
                var guest = Nights()
                guest.nights(20, new: 3000, incompressible: 300, seed: seed)
                // Everything anew, as after a new key: it compresses as it always did.
                guest.night(new: 100_000, incompressible: 10_500, read: 100_000)
                guest.nights(20, new: 3000, incompressible: 300, seed: seed + 1)
                return ("a second full", guest)
            }(),
        ]
        for (name, guest) in nights { #expect(guest.alarms == 0, "\(name), seed \(seed)") }
    }

    @Test("what goes on for two weeks is how the guest is from then on")
    func accustomed() {
        var guest = Nights()
        guest.nights(20, new: 3000, incompressible: 300)
        for _ in 0..<14 { guest.night(new: 8000, incompressible: 5200) }
        #expect(guest.alarms == 14)
        for _ in 0..<30 { guest.night(new: 8000, incompressible: 5200) }
        #expect(guest.alarms <= 16)
        #expect(guest.verdicts.suffix(20).allSatisfy { $0 == .usual })
    }

    @Test("nothing is said before eight runs are known, and each disk is judged by itself")
    func learning() {
        var guest = Nights()
        #expect(guest.verdicts == [.learning(known: 0)])
        guest.nights(7, new: 3000, incompressible: 300)
        guest.night(new: 8000, incompressible: 4800)
        #expect(guest.verdicts.last == .learning(known: 7))
        guest = Nights()
        guest.nights(10, new: 3000, incompressible: 300)
        guest.night(new: 8000, incompressible: 4800, disk: "vdb")
        #expect(guest.verdicts.last == .learning(known: 0))
        #expect(ChurnJudge(guest.samples[0], history: []).verdict == .learning(known: 0))
    }

    @Test("what it cannot see is as the page says: less than twice the most it ever was; of photographs four times")
    func blind() {
        var guest = Nights()
        guest.nights(20, new: 3000, incompressible: 300)
        guest.night(new: 3000 + 150, incompressible: 300 + 150)
        #expect(guest.alarms == 0)
        guest = Nights(full: 100_000, fullIncompressible: 95_000)
        guest.nights(20, new: 4000, incompressible: 3900)
        guest.night(new: 12_000, incompressible: 11_800)
        #expect(guest.alarms == 0)
        guest = Nights(full: 100_000, fullIncompressible: 95_000)
        guest.nights(20, new: 4000, incompressible: 3900)
        guest.night(new: 25_000, incompressible: 24_800)
        #expect(guest.alarms == 1)
    }

    // MARK: Around it

    @Test("a verdict becomes a notice for each disk, with the last clean point")
    func notices() {
        var guest = Nights()
        guest.nights(20, new: 3000, incompressible: 300)
        guest.night(new: 8000, incompressible: 4800)
        let notices = guest.verdicts.last?.notices(
            NoticeSubject(guest: "web01"), run: "r", isHeld: true, at: Self.start)
        #expect(notices?.map(\.kind) == [.encryptionLike] && notices?.first?.subject.object == "vda")
        #expect(notices?.first?.sentence.contains("the last clean point is p20") == true)
        #expect(guest.verdicts[0].notices(NoticeSubject(), run: "r", isHeld: true, at: 0).isEmpty)
    }

    @Test("samples are kept and come back as they were, by guest and time; torn lines cost themselves alone")
    func archive() throws {
        let folder = FileManager.default.temporaryDirectory.path + "/dozo-churn-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let archive = ChurnArchive(folder: folder)
        var guest = Nights()
        guest.nights(9, new: 3000, incompressible: 300)
        var dice = Dice(seed: 9)
        for sample in guest.samples.shuffled(using: &dice) { try archive.keep(sample, at: sample.instant) }
        var other = guest.samples[3]
        other.guest = "h"
        other.isCleanPointHeld = true
        other.commit = "w/s/0/hash"
        try archive.keep(other, at: other.instant)
        let file = "\(folder)/\(CivilTime(Self.start).date).jsonl"
        let handle = try #require(FileHandle(forWritingAtPath: file))
        try handle.seekToEnd()
        try handle.write(contentsOf: Data("{\"guest\":\"g\",".utf8))
        try handle.close()
        #expect(try archive.samples(of: "g") == guest.samples)
        #expect(try archive.samples(of: "h") == [other])
        #expect(try archive.samples(of: "i").isEmpty)
    }

    @Test("stretches are bounded by joining the nearest; none is lost", arguments: 0..<30 as Range<UInt64>)
    func ranges(seed: UInt64) {
        var dice = Dice(seed: seed)
        var chunks = NewChunks()
        var all: [Extent] = []
        var position: UInt64 = 0
        for _ in 0..<2000 {
            position += 4096 * dice.roll(below: dice.roll(below: 4) == 0 ? 3 : 500)
            let extent = Extent(start: position, length: 4096 * (1 + dice.roll(below: 63)))
            let compresses = dice.roll(below: 3) == 0
            chunks.add(extent, packed: compresses ? extent.length / 2 : extent.length)
            if !compresses { all.append(extent) }
            position = extent.end
        }
        #expect(chunks.count == 2000 && chunks.incompressibleCount == UInt64(all.count))
        #expect(chunks.incompressibleByteCount == all.reduce(0) { $0 + $1.length })
        #expect(chunks.ranges.count <= 2 * NewChunks.mostRanges)
        for limit in [1, 2, 16, 300] {
            let bounded = NewChunks.bounded(chunks.ranges, limit)
            #expect(bounded.count == min(limit, chunks.ranges.count))
            #expect(Extent.joined(bounded) == bounded)
            #expect(
                all.allSatisfy { extent in bounded.contains { $0.start <= extent.start && extent.end <= $0.end } })
        }
        // A chunk that loses a sixteenth has compressed, one that loses less has not.
        var edge = NewChunks()
        edge.add(Extent(start: 0, length: 65_536), packed: 61_440)
        #expect(edge.incompressibleCount == 0)
        edge.add(Extent(start: 65_536, length: 65_536), packed: 61_441)
        #expect(edge.incompressibleCount == 1 && edge.ranges == [Extent(start: 65_536, length: 65_536)])
    }
}
