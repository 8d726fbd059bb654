import ArgumentParser
import Effects
import Hypervisors

/// The process that keeps a guest still for a backup, and lets it go on when the backup is gone; started by backups.
struct HoldStillCommand: AsyncParsableCommand {
    static let word = "hold-still"

    static let configuration = CommandConfiguration(
        commandName: word, abstract: "Keep a guest still for a backup.", shouldDisplay: false)

    func run() async throws {
        CompanionProcess.outliveSignals()
        await StillnessServer.serve(LineSocket(inherited: 0))
    }
}
