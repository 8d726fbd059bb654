import Effects
import ObjectStorage
import TestKit

/// What the repository lies in: a folder on a disk that loses power, or a store that loses answers.
enum SimulatedStore {
    case folder(SimulatedDisk)
    case memory(MemoryStore)

    /// The store as a new process opens it.
    func opened(_ dice: inout Dice) -> any SweepableStore {
        switch self {
        case .folder(let disk): DirectoryStore(files: disk, randomness: .seeded(dice.next()))
        case .memory(let store): store
        }
    }

    /// Plans what goes wrong in the next round. - Returns: what, for the trace.
    func plan(_ dice: inout Dice) -> String {
        switch self {
        case .folder(let disk):
            guard dice.roll(below: 4) > 0 else { return "store sound" }
            let calls = SimulatedStore.moment(&dice, most: 900)
            disk.losePower(after: calls)
            return "store loses power after \(calls) calls"
        case .memory(let store):
            var faults = StoreFaults.none
            func chance() -> UInt8 { dice.roll(below: 3) == 0 ? UInt8(dice.roll(below: 24)) : 0 }
            faults.failureBefore = chance() / 4
            faults.failureAfter = chance()
            faults.answerLostBefore = dice.roll(below: 4) == 0 ? UInt8(dice.roll(below: 180)) : 0
            faults.answerLostAfter = dice.roll(below: 4) == 0 ? UInt8(dice.roll(below: 180)) : 0
            faults.arrivalDelayed = chance()
            faults.listingLag = UInt8(dice.roll(below: 256))
            store.misbehave(faults)
            guard dice.roll(below: 2) == 0 else { return "\(faults)" }
            let calls = SimulatedStore.moment(&dice, most: 160)
            store.crash(after: calls)
            return "\(faults), down after \(calls) calls"
        }
    }

    /// Early moments are as likely as late ones, whatever the length of a run.
    static func moment(_ dice: inout Dice, most: UInt64) -> Int {
        let span = most >> dice.roll(below: 4)
        return Int(dice.roll(below: span))
    }

    /// It works again.
    func restart(_ dice: inout Dice) {
        switch self {
        case .folder(let disk): disk.restart(dice: &dice)
        case .memory(let store): store.restart()
        }
    }

    /// A copy as it is now, nothing of which is lost any more.
    func copy(_ dice: inout Dice) -> SimulatedStore {
        switch self {
        case .folder(let disk): .folder(disk.copy())
        case .memory(let store): .memory(MemoryStore(store.snapshot(), randomness: .seeded(dice.next())))
        }
    }
}
