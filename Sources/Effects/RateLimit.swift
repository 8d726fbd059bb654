import Synchronization

/// A rate in bytes a second that any number of tasks share: each waits before its bytes until those before it have had
/// their time.
package final class RateLimit: Sendable {
    /// Time that may be saved up while nobody asks, in nanoseconds: so much comes at once afterwards.
    package static let burst: UInt64 = 250_000_000

    private let bytesPerSecond: UInt64
    /// Longest time that is slept in one piece, in nanoseconds: so soon a limit that is lifted lets go who waits.
    package static let longestSleep: UInt64 = 200_000_000

    private let now: @Sendable () -> UInt64
    private let sleep: @Sendable (UInt64) async throws -> Void
    private let isLifted = Atomic(false)
    /// When the next bytes may begin, in nanoseconds of the clock.
    private let next = Mutex<UInt64>(0)

    /// - Parameters:
    ///   - bytesPerSecond: at least 1.
    ///   - now: nanoseconds of a clock that never goes back.
    ///   - sleep: lets so many nanoseconds pass, or throws when the task is cancelled.
    package init(
        bytesPerSecond: UInt64, now: @escaping @Sendable () -> UInt64,
        sleep: @escaping @Sendable (UInt64) async throws -> Void = { try await Task.sleep(nanoseconds: $0) }
    ) {
        precondition(bytesPerSecond > 0, "a rate of nothing would never end")
        self.bytesPerSecond = bytesPerSecond
        self.now = now
        self.sleep = sleep
    }

    /// Waits until `byteCount` bytes may pass.
    ///
    /// - Throws: `CancellationError`.
    package func pass(_ byteCount: UInt64) async throws {
        guard !isLifted.load(ordering: .relaxed) else { return }
        let time = now()
        let cost = Double(byteCount) / Double(bytesPerSecond) * 1e9
        let start = next.withLock { next in
            let start = max(next, time > RateLimit.burst ? time - RateLimit.burst : 0)
            next = start + UInt64(min(cost, 1e18))
            return start
        }
        var rest = start > time ? start - time : 0
        while rest > 0, !isLifted.load(ordering: .relaxed) {
            let piece = min(rest, RateLimit.longestSleep)
            try await sleep(piece)
            rest -= piece
        }
    }

    /// Lets everything pass from now on, and who waits within ``longestSleep``: who is told to stop writes its last
    /// words at once.
    package func lift() { isLifted.store(true, ordering: .relaxed) }
}
