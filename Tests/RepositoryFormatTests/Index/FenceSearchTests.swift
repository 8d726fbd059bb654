import RepositoryFormat
import TestKit
import Testing

/// The search in a fence guesses from the value; whatever the values are, it finds what a plain search finds.
@Suite("search in a fence")
struct FenceSearchTests {
    /// By the definition: the pieces that begin with the word, and the one before them.
    private static func plain(_ words: [UInt64], _ word: UInt64) -> Range<Int> {
        let first = words.firstIndex { $0 >= word } ?? words.count
        let end = words.firstIndex { $0 > word } ?? words.count
        return max(first - 1, 0)..<max(end, first)
    }

    private static func words(_ shape: Int, count: Int, _ dice: inout Dice) -> [UInt64] {
        (0..<count).map { position in
            switch shape {
            case 0: dice.next()
            // Crowded at one end, few distinct ones, all but one the same, steps that double.
            case 1: dice.next() >> dice.roll(below: 64)
            case 2: dice.roll(below: 5) * (UInt64.max / 5)
            case 3: position == 0 ? 0 : UInt64.max
            default: 1 << UInt64(position % 64)
            }
        }.sorted()
    }

    @Test("finds what a plain search finds", arguments: 0..<5)
    func same(shape: Int) {
        var dice = Dice(seed: UInt64(shape))
        for count in [0, 1, 2, 31, 32, 33, 34, 50, 257, 2000] {
            let words = Self.words(shape, count: count, &dice)
            var asked: [UInt64] = [0, 1, .max - 1, .max]
            for word in words.prefix(300) { asked += [word, word &+ 1, word &- 1] }
            for _ in 0..<100 { asked.append(dice.next()) }
            for word in asked {
                #expect(words.pieces(thatMayHold: word) == Self.plain(words, word), "\(count) words, \(word)")
            }
        }
    }
}
