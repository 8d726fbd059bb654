import Simulation
import Synchronization
import Testing

@Suite("histories of backups and sweeps, for as long as there is time")
struct SweepHistorySoak {
    @Test("no seed of this slice fails", .enabled(if: SoakSlice.isWanted, "SOAK_SECONDS is not set"))
    func slice() async throws {
        let template = try await RepositoryTemplate.made()
        let sum = Mutex(History.Sum())
        await SoakSlice().run("sweeps") { seed in
            let report = await History.playSwept(seed: seed, template: template)
            sum.withLock { $0.add(report) }
            return report.complaint
        }
        print("soak: sweeps: \(sum.withLock { $0 })")
    }
}
