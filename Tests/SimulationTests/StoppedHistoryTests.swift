import Simulation
import Synchronization
import Testing

@Suite("stopped runs go on (format page §11, \"Inheriting\")")
struct StoppedHistoryTests {
    private static let played = Mutex((seeds: 0, sum: StoppedHistory.Report()))
    private static let seeds = 48

    @Test(
        "each point is the disk of its one instant, whatever was stopped, lost, swept or lied about", arguments: 0..<12)
    func histories(four: UInt64) async throws {
        let template = try await RepositoryTemplate.made()
        for seed in four * 4..<(four + 1) * 4 {
            let report = await StoppedHistory.play(seed: seed, template: template)
            #expect(report.complaint == nil, "seed \(seed)")
            // Of the last point, of a run that was stopped, and of those that a kill left until the next run.
            #expect(report.mostLists <= 3, "seed \(seed)")
            let (count, sum) = Self.played.withLock { played in
                played.seeds += 1
                played.sum.add(report)
                return (played.seeds, played.sum)
            }
            guard count == Self.seeds else { continue }
            print("stopped: \(sum)")
            #expect(sum.resumed > 30 && sum.resumedAfterSweep > 10 && sum.longestRow >= 3)
            #expect(sum.stopped > 80 && sum.killed > 15 && sum.failed > 6)
            #expect(sum.lies > 20 && sum.lostLists > 30 && sum.lostMaps > 15 && sum.shrunk > 10)
            #expect(sum.readResumed < sum.wholeResumed)
        }
    }
}

extension StoppedHistory.Report {
    fileprivate mutating func add(_ other: StoppedHistory.Report) {
        points += other.points
        stopped += other.stopped
        killed += other.killed
        failed += other.failed
        resumed += other.resumed
        resumedAfterSweep += other.resumedAfterSweep
        longestRow = max(longestRow, other.longestRow)
        lies += other.lies
        lostLists += other.lostLists
        lostMaps += other.lostMaps
        shrunk += other.shrunk
        mostLists = max(mostLists, other.mostLists)
        readResumed += other.readResumed
        wholeResumed += other.wholeResumed
    }
}
