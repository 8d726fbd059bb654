import Glibc
import Synchronization
import Testing

/// A slice of seeds: `SOAK_FIRST_SEED` and on, for `SOAK_SECONDS` seconds, or `SOAK_HISTORIES` of them however long
/// that takes.
struct SoakSlice {
    /// Histories at the same time in one suite.
    private static let width = 2

    private let first: UInt64
    private let seconds: UInt64?
    private let histories: UInt64?

    private static func number(_ variable: String) -> UInt64? {
        unsafe getenv(variable).flatMap { unsafe UInt64(String(cString: $0)) }
    }

    /// Whether anybody asked for a soak.
    static var isWanted: Bool { number("SOAK_SECONDS") != nil || number("SOAK_HISTORIES") != nil }

    /// The slice that the environment names.
    init() {
        first = SoakSlice.number("SOAK_FIRST_SEED") ?? 0
        histories = SoakSlice.number("SOAK_HISTORIES")
        seconds = histories == nil ? SoakSlice.number("SOAK_SECONDS") : nil
    }

    /// Plays seeds until the slice is over.
    ///
    /// - Parameter play: plays one; gives what is wrong with it, `nil` when nothing is.
    func run(_ name: String, _ play: @escaping @Sendable (UInt64) async -> String?) async {
        let next = SeedCounter(first: first)
        let clock = ContinuousClock()
        let began = clock.now
        await withTaskGroup(of: UInt64.self) { group in
            for _ in 0..<SoakSlice.width {
                group.addTask {
                    var played: UInt64 = 0
                    while seconds.map({ clock.now < began + .seconds($0) }) ?? true {
                        let seed = next.next()
                        if let histories, seed - first >= histories { break }
                        let complaint = await play(seed)
                        #expect(complaint == nil, "\(name): SIM_SEED=\(seed)")
                        played += 1
                    }
                    return played
                }
            }
            let played = await group.reduce(0, +)
            print("soak: \(name): \(played) seeds from \(first) in \((clock.now - began).components.seconds) s")
        }
    }
}

/// Gives out seeds in ascending order.
private final class SeedCounter: Sendable {
    private let seed: Mutex<UInt64>

    init(first: UInt64) { seed = Mutex(first) }

    func next() -> UInt64 {
        seed.withLock { seed in
            defer { seed += 1 }
            return seed
        }
    }
}
