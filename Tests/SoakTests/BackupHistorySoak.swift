import Simulation
import Testing

@Suite("histories of backups and crashes, for as long as there is time")
struct BackupHistorySoak {
    @Test("no seed of this slice fails", .enabled(if: SoakSlice.isWanted, "SOAK_SECONDS is not set"))
    func slice() async throws {
        let template = try await RepositoryTemplate.made()
        await SoakSlice().run("backups") { await History.play(seed: $0, template: template).complaint }
    }
}
