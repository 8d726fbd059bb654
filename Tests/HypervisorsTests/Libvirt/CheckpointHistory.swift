import BackupModel
import Hypervisors
import TestKit

/// A guest with blocks that are numbers, a libvirt that keeps lists as libvirt does, and runs that end in every way.
///
/// The host remembers for each disk the last committed point and its content. Whatever the plan reads by a list must
/// give the disk's content when laid over what the host remembers.
struct CheckpointHistory {
    private static let blocks = 12
    private static let names = ["vda", "vdb"]

    /// What a checkpoint knows of a disk: blocks that changed since; `nil` when QEMU lost it.
    private struct Checkpoint {
        var lists: [String: Set<Int>?]
    }

    private var dice: Dice
    private var content: [String: [Int]] = [:]
    private var checkpoints: [String: Checkpoint] = [:]
    private var remembered: [String: (point: PointID, content: [Int])] = [:]
    private var number = 0
    private let forgets: Bool

    /// - Parameter forgets: whether the lists miss a write now and then, which no libvirt does.
    init(seed: UInt64, forgets: Bool = false) {
        self.forgets = forgets
        dice = Dice(seed: seed)
        for name in Self.names { content[name] = Array(repeating: 0, count: Self.blocks) }
    }

    private mutating func roll(_ bound: Int) -> Int { Int(dice.roll(below: UInt64(bound))) }

    private mutating func write() {
        for name in Self.names {
            for _ in 0..<roll(4) {
                let block = roll(Self.blocks)
                content[name]?[block] = Int(truncatingIfNeeded: dice.next())
                if forgets, roll(20) == 0 { continue }
                for key in checkpoints.keys {
                    if case .some(.some(var list)) = checkpoints[key]?.lists[name] {
                        list.insert(block)
                        checkpoints[key]?.lists[name] = .some(list)
                    }
                }
            }
        }
    }

    /// One event. - Returns: what is wrong, or `nil`.
    mutating func step() throws -> String? {
        write()
        switch roll(8) {
        case 0:
            // QEMU is killed: every list is gone.
            for key in checkpoints.keys {
                for name in Self.names where checkpoints[key]?.lists[name] != nil {
                    checkpoints[key]?.lists[name] = .some(nil)
                }
            }
            return nil
        case 1:
            // Somebody removes a checkpoint, or all knowledge of them.
            if let key = checkpoints.keys.sorted().randomElement(using: &dice) { checkpoints[key] = nil }
            return nil
        default: return try run()
        }
    }

    private mutating func run() throws -> String? {
        number += 1
        guard let point = PointID(hexadecimal: String(repeating: "0", count: 24) + hexadecimal(number)) else {
            return "no point"
        }
        let taken = Self.names.filter { _ in roll(5) > 0 }
        guard !taken.isEmpty else { return nil }
        let request = CaptureRequest(
            point: point, repository: "0123456789abcdef0123456789abcdef", bases: remembered.mapValues(\.point),
            excluded: [], scratchFolder: "/scratch")
        let plan = CheckpointPlan(
            disks: taken.map { GuestDisk(name: $0, location: $0, format: "qcow2", byteCount: 1, omission: nil) },
            checkpoints: facts, request: request)
        let instant = content
        var read: [String: [Int]] = [:]
        for name in taken {
            switch plan.ways[name] {
            case .since(let base):
                guard let (known, old) = remembered[name], known == base,
                    case .some(.some(let list)) = checkpoints[request.listName(base)]?.lists[name]
                else { return "\(name) is read by a list that is not there" }
                read[name] = old.indices.map { list.contains($0) ? instant[name]?[$0] ?? -1 : old[$0] }
            default: read[name] = instant[name]
            }
            guard read[name] == instant[name] else { return "\(name) is read wrong" }
        }
        var lists: [String: Set<Int>?] = [:]
        for name in plan.listed { lists[name] = .some([]) }
        checkpoints[request.listName(point)] = Checkpoint(lists: lists)
        write()
        switch roll(4) {
        case 0: checkpoints[request.listName(point)] = nil  // failed
        case 1: break  // killed before the commit
        case 2:
            // Killed behind the commit: the host knows the point, no checkpoint was removed.
            for name in taken { remembered[name] = (point, instant[name] ?? []) }
        default:
            for name in taken { remembered[name] = (point, instant[name] ?? []) }
            for name in plan.stale { checkpoints[name] = nil }
        }
        return nil
    }

    private var facts: [CheckpointFacts] {
        checkpoints.map { name, checkpoint in
            CheckpointFacts(
                name: name,
                disks: checkpoint.lists.mapValues { list in .init(bitmap: name, changed: list.map { UInt64($0.count) })
                }
            )
        }
    }

    private func hexadecimal(_ number: Int) -> String {
        let digits = String(number, radix: 16)
        return String(repeating: "0", count: 8 - digits.count) + digits
    }
}
