import Simulation
import Synchronization
import Testing

@Suite("changed-only backups (design §4.3)")
struct IncrementalHistoryTests {
    private static let played = Mutex(
        (seeds: 0, nights: 0, changed: UInt64(0), whole: UInt64(0), lies: 0, lostMaps: 0, shrunk: 0))

    @Test("an incremental map equals the full map, and restores the disk, for any history", arguments: 0..<12)
    func histories(ten: UInt64) async throws {
        let template = try await RepositoryTemplate.made()
        for seed in ten * 10..<(ten + 1) * 10 {
            let report = await IncrementalHistory.play(seed: seed, template: template)
            #expect(report.complaint == nil, "seed \(seed)")
            let sum = Self.played.withLock { played in
                played.seeds += 1
                played.nights += report.nights
                played.changed += report.readChanged
                played.whole += report.readWhole
                played.lies += report.lies
                played.lostMaps += report.lostMaps
                played.shrunk += report.shrunk
                return played
            }
            guard sum.seeds == 120 else { continue }
            print(
                "incremental: \(sum.nights) nights read \(sum.changed) bytes where whole runs read \(sum.whole); "
                    + "\(sum.lies) lists lied, \(sum.lostMaps) maps were lost in part")
            #expect(sum.changed < sum.whole)
            #expect(sum.lies > 20 && sum.lostMaps > 20 && sum.shrunk > 20)
        }
    }
}
