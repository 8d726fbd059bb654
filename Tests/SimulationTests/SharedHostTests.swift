import Glibc
import Simulation
import Synchronization
import TestKit
import Testing

@Suite("two or three guests of one host backed up at once, in processes that are killed")
struct SharedHostTests {
    /// Histories played in one test run; one of three with sweeps.
    static let seedCount: UInt64 = 80
    private static let batch: UInt64 = 4
    private static let played = Mutex((histories: UInt64(0), commits: 0, failures: 0, untold: 0, deleted: 0))

    /// `SIM_SEED` of the environment: plays this one alone and prints its trace.
    private static var chosenSeed: UInt64? {
        unsafe getenv("SIM_SEED").flatMap { unsafe UInt64(String(cString: $0)) }
    }

    private static func play(_ seed: UInt64, _ template: RepositoryTemplate) async -> History.Report {
        await History.play(seed: seed, template: template, sweeps: seed % 3 == 0, sharesHost: true)
    }

    @Test("no living session is ended, no dead one is left, no committed point loses a chunk", arguments: 0..<20)
    func histories(ten: UInt64) async throws {
        let template = try await RepositoryTemplate.made()
        if let seed = Self.chosenSeed {
            guard ten == 0 else { return }
            let report = await Self.play(seed, template)
            print(report.trace.joined(separator: "\n"))
            #expect(report.complaint == nil, "SIM_SEED=\(seed)")
            return
        }
        for seed in ten * Self.batch..<(ten + 1) * Self.batch {
            let report = await Self.play(seed, template)
            #expect(report.complaint == nil, "SIM_SEED=\(seed)")
            let sum = Self.played.withLock { played in
                played.histories += 1
                played.commits += report.commits
                played.failures += report.failures
                played.untold += report.untold
                played.deleted += report.swept.deleted
                return played
            }
            if sum.histories == Self.seedCount { print("one host, several guests: \(sum)") }
        }
    }

    @Test("the same seed plays the same history", arguments: UInt64(0)..<10)
    func determinism(seed: UInt64) async throws {
        let template = try await RepositoryTemplate.made()
        let first = await Self.play(seed, template)
        let second = await Self.play(seed, template)
        #expect(first.trace == second.trace)
    }

    @Test("without the locks of sessions a history fails within 300 seeds")
    func withoutLocks() async throws {
        let template = try await RepositoryTemplate.made()
        var mutant = History.Mutant()
        mutant.host = .locks
        for seed in 0..<UInt64(300) {
            let report = await History.play(seed: seed, template: template, mutant: mutant, sharesHost: true)
            if let complaint = report.complaint {
                print("simulation: locks that everybody gets are noticed by seed \(seed): \(complaint)")
                return
            }
        }
        Issue.record("locks were left out and nothing noticed")
    }
}
