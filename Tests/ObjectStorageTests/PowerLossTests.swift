import Effects
import ObjectStorage
import TestKit
import Testing

@Suite("power loss under a directory store (S10, design §4.7)")
struct PowerLossTests {
    /// What went wrong in one history, or `nil`.
    static func history(seed: UInt64, leftOut: SimulatedDisk.LeftOut) async throws -> String? {
        var dice = Dice(seed: seed)
        let disk = SimulatedDisk(leftOut: leftOut)
        var promised: [ObjectName: [UInt8]] = [:]
        var attempted: [ObjectName: [[UInt8]]] = [:]
        for _ in 0..<3 {
            // A new process each time: it remembers nothing of what the last one made durable.
            let store = DirectoryStore(files: disk, randomness: .seeded(dice.next()))
            disk.losePower(after: Int(dice.roll(below: 60)))
            do {
                while true {
                    let name = try #require(ObjectName("log/\(dice.roll(below: 3))/\(dice.roll(below: 4))"))
                    let bytes = dice.bytes(1 + Int(dice.roll(below: 20)))
                    attempted[name, default: []].append(bytes)
                    switch try await store.putIfAbsent(name, bytes) {
                    case .mine:
                        if let earlier = promised[name], earlier != bytes { return "\(name) was won twice" }
                        promised[name] = bytes
                    case .theirs(let winner):
                        if let earlier = promised[name], earlier != winner { return "\(name) changed hands" }
                        promised[name] = winner
                    case .unknown: break
                    }
                }
            } catch is StorageError {}
            disk.restart(dice: &dice)
            for (name, bytes) in promised.sorted(by: { $0.key < $1.key })
            where try await store.get(name) != bytes { return "\(name) was promised and is not there" }
            for name in try await store.list(prefix: "") {
                let found = try await store.get(name)
                if !(attempted[name] ?? []).contains(where: { $0 == found }) { return "\(name) is torn" }
            }
        }
        return nil
    }

    @Test("what was promised is there and nothing is torn, whenever the power goes", arguments: 0..<100)
    func promises(hundred: UInt64) async throws {
        for seed in hundred * 100..<hundred * 100 + 100 {
            #expect(try await Self.history(seed: seed, leftOut: .nothing) == nil, "SIM_SEED=\(seed)")
        }
    }

    @Test(
        "without one of its fsyncs the store fails within 1,000 seeds",
        arguments: [
            SimulatedDisk.LeftOut.fileSync, .folderSync,
        ])
    func mutants(leftOut: SimulatedDisk.LeftOut) async throws {
        for seed in 0..<UInt64(1_000) where try await Self.history(seed: seed, leftOut: leftOut) != nil { return }
        Issue.record("\(leftOut) was left out and nothing noticed")
    }
}
