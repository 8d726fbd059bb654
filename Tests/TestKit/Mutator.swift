import Glibc
import Testing

/// Changes well-formed bytes a little, again and again, from a seed.
package struct Mutator {
    private var dice: Dice

    /// The same seed gives the same changes.
    package init(seed: UInt64) { dice = Dice(seed: seed) }

    private static let numbers: [UInt64] = [
        0, 1, 2, 0x7F, 0x80, 0xFF, 0x100, 0xFFFF, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFE, 0xFFFF_FFFF, 64 << 20,
        99_999_999, 100_000_000, 1 << 62, 1 << 63, .max,
    ]

    private mutating func roll(_ bound: Int) -> Int { Int(dice.roll(below: UInt64(bound))) }

    /// `original` with one to four changes.
    package mutating func mutated(_ original: [UInt8]) -> [UInt8] {
        var bytes = original
        for _ in 0...roll(4) {
            guard !bytes.isEmpty else { return dice.bytes(roll(20)) }
            let place = roll(bytes.count)
            switch roll(8) {
            case 0: bytes[place] ^= 1 << UInt8(roll(8))
            case 1: bytes[place] = UInt8(truncatingIfNeeded: dice.next())
            case 2, 3:
                let width = min([1, 2, 4, 8][roll(4)], bytes.count - place)
                let value = Mutator.numbers[roll(Mutator.numbers.count)]
                var number = (0..<width).map { UInt8(truncatingIfNeeded: value >> UInt64(8 * $0)) }
                if roll(2) == 0 { number.reverse() }
                bytes.replaceSubrange(place..<(place + width), with: number)
            case 4: bytes.removeSubrange(place..<min(place + 1 + roll(8), bytes.count))
            case 5: bytes.insert(contentsOf: dice.bytes(1 + roll(8)), at: place)
            case 6:
                let from = roll(bytes.count)
                let count = min(1 + roll(40), bytes.count - max(from, place))
                bytes.replaceSubrange(place..<(place + count), with: Array(bytes[from..<(from + count)]))
            default: bytes.removeLast(1 + roll(min(bytes.count, 16)))
            }
        }
        return bytes
    }

    /// Feeds mutations to a parser: a few thousand from seed 1 and at most a second, or from `DOZO_FUZZ_SEED` on for
    /// `DOZO_FUZZ_SECONDS`. A parser may accept or refuse; a trap ends the process after the seed was said.
    ///
    /// - Parameter refusedBy: the errors by which the parser refuses; any other is a fault.
    /// - Parameter check: throws to refuse, and returns a sentence about what is wrong, or `nil`.
    package static func run<Refusal: Error>(
        _ name: String, _ originals: [[UInt8]], refusedBy: Refusal.Type, check: ([UInt8]) throws -> String?
    ) {
        let seconds = environment("DOZO_FUZZ_SECONDS").map { Double($0) }
        let first = environment("DOZO_FUZZ_SEED") ?? 1
        if seconds != nil { print("fuzz: \(name) from DOZO_FUZZ_SEED=\(first)") }
        let clock = ContinuousClock()
        let end = clock.now + .seconds(seconds ?? 0.9)
        var seed = first
        while clock.now < end, seconds != nil || seed < first + 3_000 {
            var mutator = Mutator(seed: seed)
            let bytes = mutator.mutated(originals[Int(seed % UInt64(originals.count))])
            var sentence: String?
            do {
                sentence = try check(bytes)
            } catch is Refusal {
                // Refused, and said why.
            } catch {
                sentence = "an error of another module came out: \(error)"
            }
            if let sentence {
                Issue.record("\(name), DOZO_FUZZ_SEED=\(seed): \(sentence)")
                return
            }
            seed += 1
        }
        #expect(seed >= first + 100, "\(name) was hardly tried: \(seed - first) mutations")
        if seconds != nil { print("fuzz: \(name) took \(seed - first) mutations") }
    }

    private static func environment(_ name: String) -> UInt64? {
        // Safety: nothing changes the environment while tests run; the text is copied at once.
        guard let text = unsafe getenv(name) else { return nil }
        return unsafe UInt64(String(cString: text))
    }
}
