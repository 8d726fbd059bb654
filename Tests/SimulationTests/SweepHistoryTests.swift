import Glibc
import Repository
import Simulation
import Synchronization
import TestKit
import Testing

@Suite("sweeps beside backups, restores, crashes, zombies and lagging listings (S10, S26, S49)")
struct SweepHistoryTests {
    /// Histories played in one test run.
    static let seedCount: UInt64 = 5_000
    private static let batch: UInt64 = 100
    private static let played = Mutex((histories: UInt64(0), commits: 0, read: 0, swept: History.Swept()))

    /// `SIM_SEED` of the environment: plays this one alone and prints its trace.
    private static var chosenSeed: UInt64? {
        unsafe getenv("SIM_SEED").flatMap { unsafe UInt64(String(cString: $0)) }
    }

    /// In every third history sessions say every few packs what they have stored.
    private static func play(
        _ seed: UInt64, _ template: RepositoryTemplate, mutant: History.Mutant = History.Mutant()
    ) async -> History.Report {
        await History.play(
            seed: seed, template: template, mutant: mutant, sweeps: true, checkpoints: seed % 3 == 0)
    }

    @Test("no point that nobody forgot loses a chunk, and what nobody needs is freed", arguments: 0..<50)
    func histories(hundred: UInt64) async throws {
        let template = try await RepositoryTemplate.made()
        if let seed = Self.chosenSeed {
            guard hundred == 0 else { return }
            let report = await Self.play(seed, template)
            print(report.trace.joined(separator: "\n"))
            #expect(report.complaint == nil, "SIM_SEED=\(seed)")
            return
        }
        for seed in hundred * Self.batch..<(hundred + 1) * Self.batch {
            let report = await Self.play(seed, template)
            #expect(report.complaint == nil, "SIM_SEED=\(seed)")
            let sum = Self.played.withLock { played in
                played.histories += 1
                played.commits += report.commits
                played.read += report.read
                played.swept.deleted += report.swept.deleted
                played.swept.dropped += report.swept.dropped
                played.swept.closes += report.swept.closes
                played.swept.fenced += report.swept.fenced
                played.swept.waits += report.swept.waits
                played.swept.merged += report.swept.merged
                played.swept.rewritten += report.swept.rewritten
                return played
            }
            if sum.histories == Self.seedCount { print("sweeps: \(sum)") }
        }
    }

    @Test("the same seed plays the same history", arguments: UInt64(0)..<10)
    func determinism(seed: UInt64) async throws {
        let template = try await RepositoryTemplate.made()
        let first = await Self.play(seed, template)
        let second = await Self.play(seed, template)
        #expect(first.trace == second.trace)
    }

    /// Rules whose breach was seen, each with a seed that noticed it: a hint, so that few are played. The other rules
    /// that can be broken were not noticed in some hundred seeds each (docs/design/0017).
    private static let noticing: [SweepRule: UInt64] = [
        .verdictReadsSessions: 0, .nothingGoesBeforeTheClose: 52, .sessionsAreSlots: 0, .holdBeatsForget: 5,
        .undoBeatsForget: 5, .pointsAreRoots: 3, .unknownStops: 40, .wentBackStops: 0, .runsHoldWhatTheyReplace: 214,
        .copiedFromGoesByClose: 67,
    ]

    @Test("with one of these rules of the sweep broken a history fails", arguments: Array(noticing.keys))
    func mutants(rule: SweepRule) async throws {
        let template = try await RepositoryTemplate.made()
        var mutant = History.Mutant()
        mutant.sweep = rule
        for seed in [Self.noticing[rule] ?? 0] + (0..<Self.seedCount) {
            let report = await Self.play(seed, template, mutant: mutant)
            if let complaint = report.complaint {
                print("sweeps: \(rule.rawValue) broken is noticed by seed \(seed): \(complaint)")
                return
            }
        }
        Issue.record("\(rule.rawValue) was broken and nothing noticed")
    }
}
