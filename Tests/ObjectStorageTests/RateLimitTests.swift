import Effects
import ObjectStorage
import Synchronization
import TestKit
import Testing

/// Rates, on a clock that only moves when somebody sleeps.
@Suite("reading and writing no faster than told")
struct RateLimitTests {
    /// A clock that a sleep moves on.
    private final class Clock: Sendable {
        let time = Mutex<UInt64>(10_000_000_000)
        func limit(_ bytesPerSecond: UInt64) -> RateLimit {
            RateLimit(bytesPerSecond: bytesPerSecond) {
                self.time.withLock { $0 }
            } sleep: { nanoseconds in
                self.time.withLock { $0 += nanoseconds }
            }
        }
        var seconds: Double { Double(time.withLock { $0 } - 10_000_000_000) / 1e9 }
    }

    @Test("a thousand pieces of any size take the time that all their bytes take", arguments: [1, 7, 4096, 1 << 20])
    func average(size: UInt64) async throws {
        let clock = Clock()
        let limit = clock.limit(1_000_000)
        for _ in 0..<1000 { try await limit.pass(size) }
        // The last piece's own time is for who comes after it, and a quarter of a second had been saved up.
        let expected = Double(999 * size) / 1e6 - 0.25
        #expect(abs(clock.seconds - max(0, expected)) < 0.001, "\(clock.seconds)")
    }

    @Test("what was not used is not saved up")
    func idle() async throws {
        let clock = Clock()
        let limit = clock.limit(1_000)
        clock.time.withLock { $0 += 3_600_000_000_000 }
        for _ in 0..<10 { try await limit.pass(1_000) }
        #expect(abs(clock.seconds - 3600 - 8.75) < 0.001)
    }

    @Test("a store behind it gives the same bytes, later")
    func store() async throws {
        let clock = Clock()
        let store = MemoryStore(randomness: .seeded(1))
        let paced = PacedStore(store, reads: clock.limit(1_000), writes: clock.limit(2_000))
        let name = try #require(ObjectName("packs/x"))
        let bytes = [UInt8](repeating: 7, count: 10_000)
        for _ in 0..<3 { #expect(try await paced.putIfAbsent(name, bytes) == .mine) }
        #expect(abs(clock.seconds - 9.75) < 0.001)
        #expect(try await paced.get(name) == bytes)
        #expect(try await paced.get(name, offset: 1, count: 2) == [7, 7])
        #expect(try await paced.byteCount(of: name) == 10_000)
        #expect(try await paced.list(prefix: "packs/") == [name])
        #expect(clock.seconds > 19)
    }

    @Test("a task that is cancelled waits no longer")
    func cancelled() async {
        let limit = RateLimit(bytesPerSecond: 1, now: { 10_000_000_000 })
        let task = Task {
            try await limit.pass(1_000_000)
            try await limit.pass(1)
        }
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
    }

    @Test("a limit that is lifted lets go who waits, and everybody after")
    func lifted() async throws {
        let clock = Clock()
        let holder = Mutex<RateLimit?>(nil)
        let sleeps = Mutex(0)
        let limit = RateLimit(bytesPerSecond: 1, now: { clock.time.withLock { $0 } }) { _ in
            // The third piece of the wait is the last.
            guard
                sleeps.withLock({
                    $0 += 1; return $0
                }) == 3
            else { return }
            holder.withLock { $0?.lift() }
        }
        holder.withLock { $0 = limit }
        for _ in 0..<100 { try await limit.pass(1 << 30) }
        #expect(sleeps.withLock { $0 } == 3)
    }
}
