import Effects
import ObjectStorage
import TestKit

/// One thing that goes wrong with the bytes of one object, or two objects that change places.
struct Damage {
    let what: String
    /// What the store holds under which name; `nil` where it holds nothing any more.
    let changes: [ObjectName: [UInt8]?]

    /// A store with this damage.
    func store(_ sample: SampleRepository) async throws -> MemoryStore {
        let store = MemoryStore(sample.snapshot, randomness: .seeded(0))
        for (name, bytes) in changes {
            try await store.delete(name)
            if let bytes { _ = try await store.putIfAbsent(name, bytes) }
        }
        return store
    }

    /// The objects that are not what they were.
    var names: Set<String> { Set(changes.keys.map(\.text)) }

    /// The same damage to the spares as well.
    var withSpare: Damage {
        var both = changes
        for (name, bytes) in changes {
            guard let spare = ObjectName("spare/\(name)") else { preconditionFailure("a spare has a name") }
            both[spare] = .some(bytes)
        }
        return Damage(what: "\(what), and so is its spare", changes: both)
    }

    /// A flipped bit.
    static func flip(_ name: ObjectName, _ bytes: [UInt8], bit: Int) -> Damage {
        var changed = bytes
        changed[bit / 8] ^= 1 << UInt8(bit % 8)
        return Damage(what: "bit \(bit % 8) of byte \(bit / 8) of \(name)", changes: [name: changed])
    }

    /// A bit of the first, the middle and the last byte and of some others.
    static func flips(_ name: ObjectName, _ bytes: [UInt8], _ dice: inout Dice) -> [Damage] {
        var places = [0, bytes.count / 2, bytes.count - 1]
        for _ in 0..<3 { places.append(Int(dice.roll(below: UInt64(bytes.count)))) }
        return places.map { flip(name, bytes, bit: $0 * 8 + Int(dice.roll(below: 8))) }
    }

    /// Bytes too few, too many, and none at all.
    static func lengths(_ name: ObjectName, _ bytes: [UInt8]) -> [Damage] {
        [
            Damage(what: "the last byte of \(name) is gone", changes: [name: Array(bytes.dropLast())]),
            Damage(what: "half of \(name) is gone", changes: [name: Array(bytes.prefix(bytes.count / 2))]),
            Damage(what: "\(name) is empty", changes: [name: []]),
            Damage(what: "\(name) has a byte more", changes: [name: bytes + [0]]),
            Damage(what: "\(name) is removed", changes: [name: nil]),
        ]
    }

    /// Sound objects where others belong: of the same kind in this repository, and of another repository.
    static func exchanges(
        _ name: ObjectName, _ bytes: [UInt8], sample: SampleRepository, foreign: SampleRepository
    ) -> [Damage] {
        var result: [Damage] = []
        let alike = sample.objects.keys.filter { kind($0) == kind(name) }.sorted()
        if let place = alike.firstIndex(of: name) {
            let other = alike[(place + 1) % alike.count]
            let before = alike[(place + alike.count - 1) % alike.count]
            if other != name, let theirs = sample.objects[other], let older = sample.objects[before] {
                result.append(
                    Damage(what: "\(name) and \(other) are exchanged", changes: [name: theirs, other: bytes]))
                result.append(Damage(what: "\(name) is replaced by \(before)", changes: [name: older]))
            }
            let strange = foreign.objects.keys.filter { kind($0) == kind(name) }.sorted()
            if !strange.isEmpty, let theirs = foreign.objects[strange[place % strange.count]] {
                result.append(Damage(what: "\(name) is replaced by a foreign one", changes: [name: theirs]))
            }
        }
        return result
    }

    /// The first part of a name: what kind of object it is.
    static func kind(_ name: ObjectName) -> String { String(name.text.prefix { $0 != "/" }) }
}
