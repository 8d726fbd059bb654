import Glibc
import Simulation
import Synchronization
import Testing

@Suite("histories of backups and crashes, for as long as there is time")
struct BackupHistorySoak {
    private static func number(_ variable: String) -> UInt64? {
        unsafe getenv(variable).flatMap { unsafe UInt64(String(cString: $0)) }
    }

    @Test("no seed of this slice fails", .enabled(if: number("SOAK_SECONDS") != nil, "SOAK_SECONDS is not set"))
    func slice() async throws {
        let seconds = try #require(Self.number("SOAK_SECONDS"))
        let first = Self.number("SOAK_FIRST_SEED") ?? 0
        let template = try await RepositoryTemplate.made()
        let seeds = SeedCounter(first: first)
        let clock = ContinuousClock()
        let end = clock.now + .seconds(seconds)
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<2 {
                group.addTask {
                    while clock.now < end {
                        let seed = seeds.next()
                        let report = await History.play(seed: seed, template: template)
                        #expect(report.complaint == nil, "SIM_SEED=\(seed)")
                    }
                }
            }
        }
        print("soak: \(seeds.next() - first) seeds from \(first) in \(seconds) s")
    }
}

/// Gives out seeds in ascending order.
private final class SeedCounter: Sendable {
    private let seed: Mutex<UInt64>

    init(first: UInt64) { seed = Mutex(first) }

    func next() -> UInt64 {
        seed.withLock { seed in
            defer { seed += 1 }
            return seed
        }
    }
}
