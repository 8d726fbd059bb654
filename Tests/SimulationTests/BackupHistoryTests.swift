import Glibc
import Simulation
import Synchronization
import TestKit
import Testing

@Suite("backup and commit under power loss, lost answers and repeating generators (S10)")
struct BackupHistoryTests {
    /// Histories played in one test run.
    static let seedCount: UInt64 = 10_000
    private static let batch: UInt64 = 100
    private static let played = Mutex((histories: UInt64(0), commits: 0, failures: 0, untold: 0))

    /// `SIM_SEED` of the environment: plays this one alone and prints its trace.
    private static var chosenSeed: UInt64? {
        unsafe getenv("SIM_SEED").flatMap { unsafe UInt64(String(cString: $0)) }
    }

    @Test("every committed point restores, no half point shows, and the next backup succeeds", arguments: 0..<100)
    func histories(hundred: UInt64) async throws {
        let template = try await RepositoryTemplate.made()
        if let seed = Self.chosenSeed {
            guard hundred == 0 else { return }
            let report = await History.play(seed: seed, template: template)
            print(report.trace.joined(separator: "\n"))
            #expect(report.complaint == nil, "SIM_SEED=\(seed)")
            return
        }
        for seed in hundred * Self.batch..<(hundred + 1) * Self.batch {
            let report = await History.play(seed: seed, template: template)
            #expect(report.complaint == nil, "SIM_SEED=\(seed)")
            let sum = Self.played.withLock { played in
                played.histories += 1
                played.commits += report.commits
                played.failures += report.failures
                played.untold += report.untold
                return played
            }
            if sum.histories == Self.seedCount {
                print(
                    "simulation: \(sum.histories) seeds, \(sum.commits) commits, \(sum.failures) failed runs, "
                        + "\(sum.untold) points that nobody was told of")
            }
        }
    }

    @Test("the same seed plays the same history", arguments: UInt64(0)..<20)
    func determinism(seed: UInt64) async throws {
        let template = try await RepositoryTemplate.made()
        let first = await History.play(seed: seed, template: template)
        let second = await History.play(seed: seed, template: template)
        #expect(first.trace == second.trace)
    }

    @Test("without one fsync under the repository a history fails within 1,000 seeds", arguments: [true, false])
    func storeMutants(leavesOutFiles: Bool) async throws {
        var mutant = History.Mutant()
        mutant.store = leavesOutFiles ? .fileSync : .folderSync
        try await expectCaught(mutant)
    }

    @Test("without one fsync under a host's state a history fails within 1,000 seeds", arguments: [true, false])
    func hostMutants(leavesOutFiles: Bool) async throws {
        var mutant = History.Mutant()
        mutant.host = leavesOutFiles ? .fileSync : .folderSync
        try await expectCaught(mutant)
    }

    private func expectCaught(_ mutant: History.Mutant) async throws {
        let template = try await RepositoryTemplate.made()
        for seed in 0..<UInt64(1_000) {
            if let complaint = await History.play(seed: seed, template: template, mutant: mutant).complaint {
                print("simulation: \(mutant) is noticed by seed \(seed): \(complaint)")
                return
            }
        }
        Issue.record("\(mutant) was left out and nothing noticed")
    }
}
