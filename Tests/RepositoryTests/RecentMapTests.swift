import Repository
import TestKit
import Testing

/// What bounds the memory of verifications and of adding up: it may forget, and never says anything else.
@Suite("a map of bounded size")
struct RecentMapTests {
    @Test("holds no more than its limit, keeps what is used, and never gives another value", arguments: 0..<4)
    func bounded(seed: UInt64) {
        var dice = Dice(seed: seed)
        let map = RecentMap<UInt64, UInt64>(limit: 64)
        var all: [UInt64: UInt64] = [:]
        var found = 0
        for step in 0..<20_000 as Range<UInt64> {
            let key = dice.roll(below: 200)
            switch dice.roll(below: 10) {
            case 0..<5:
                map[key] = step
                all[key] = step
                #expect(map[key] == step)
            case 5:
                map[key] = nil
                all[key] = nil
                #expect(map[key] == nil)
            default:
                if let value = map[key] {
                    #expect(value == all[key])
                    found += 1
                }
            }
            #expect(map.count <= 64)
            // One that is asked for all the time stays.
            if step == 0 { map[1000] = 7 }
            if step % 20 == 0 { #expect(map[1000] == 7) }
        }
        #expect(found > 1000, "\(found)")
    }
}
