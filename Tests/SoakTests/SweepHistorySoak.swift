import Simulation
import Testing

@Suite("histories of backups and sweeps, for as long as there is time")
struct SweepHistorySoak {
    @Test("no seed of this slice fails", .enabled(if: SoakSlice.isWanted, "SOAK_SECONDS is not set"))
    func slice() async throws {
        let template = try await RepositoryTemplate.made()
        await SoakSlice().run("sweeps") { await History.play(seed: $0, template: template, sweeps: true).complaint }
    }

    @Test(
        "nor does one whose sessions say every few packs what they have stored",
        .enabled(if: SoakSlice.isWanted, "SOAK_SECONDS is not set"))
    func checkpoints() async throws {
        let template = try await RepositoryTemplate.made()
        await SoakSlice().run("sweeps with checkpoints") {
            await History.play(seed: $0, template: template, sweeps: true, checkpoints: true).complaint
        }
    }
}
