import Glibc

// What the stages of a backup and of a restore cost at best
// ---------------------------------------------------------
// Each stage runs alone over the data of an image, on one thread, with the same libraries, key sizes and chunks as the
// program, and nothing around it: no queue, no index, no map, no second worker. The least of several passes counts. The
// sum is the bound that a whole run is held against; it contains every hash that the format asks for (the keyed id of
// each chunk, the name of each pack, the checksums that locate damage).

@main
enum StageRates {
    static let passes = 3

    static func main() throws {
        let arguments = CommandLine.arguments
        guard arguments.count == 3 else {
            print("usage: StageRates IMAGE.raw SCRATCH-FOLDER")
            exit(2)
        }
        var best: [StageClock.Stage: Double] = [:]
        var bytes: [StageClock.Stage: UInt64] = [:]
        for _ in 0..<passes {
            let clock = try StagePass(image: arguments[1], scratch: arguments[2]).run()
            for (stage, seconds) in clock.seconds { best[stage] = min(best[stage] ?? .infinity, seconds) }
            bytes = clock.bytes
        }
        for stage in StageClock.Stage.allCases {
            print(stage.rawValue, best[stage] ?? 0, bytes[stage] ?? 0)
        }
    }
}
