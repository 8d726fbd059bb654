package import Effects
import Synchronization

/// SplitMix64 (Steele, Lea, Flood, 2014): small, seeded, the same everywhere. For tests only.
package struct Dice: RandomNumberGenerator, Sendable {
    private var state: UInt64

    /// The same seed gives the same numbers.
    package init(seed: UInt64) { state = seed }

    package mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    /// 0 ..< `bound`, which must not be 0.
    package mutating func roll(below bound: UInt64) -> UInt64 { next() % bound }

    /// `count` bytes.
    package mutating func bytes(_ count: Int) -> [UInt8] { (0..<count).map { _ in UInt8(truncatingIfNeeded: next()) } }
}

extension Randomness {
    /// Bytes that follow from a seed.
    package static func seeded(_ seed: UInt64) -> Randomness {
        let dice = SharedDice(seed: seed)
        return Randomness { count in dice.dice.withLock { $0.bytes(count) } }
    }
}

private final class SharedDice: Sendable {
    let dice: Mutex<Dice>
    init(seed: UInt64) { dice = Mutex(Dice(seed: seed)) }
}
