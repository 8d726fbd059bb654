package import Capture
import Synchronization

/// A clock that goes on only when it is told to, and that any number of tasks sleep by.
package final class VirtualClock: Sendable {
    private struct State {
        var now: UInt64 = 0
        var count = 0
        var sleepers: [Int: (until: UInt64, continuation: CheckedContinuation<Void, any Error>)] = [:]
        /// Those whose task was cancelled before they slept.
        var cancelled: Set<Int> = []
    }

    private let state = Mutex(State())

    /// A clock at 0.
    package init() {}

    /// Nanoseconds since the beginning.
    package var now: UInt64 { state.withLock { $0.now } }

    /// Tasks that sleep at the moment.
    package var sleeperCount: Int { state.withLock { $0.sleepers.count } }

    /// Sleeps until the clock was moved on by so many nanoseconds.
    ///
    /// - Throws: `CancellationError`.
    package func sleep(_ nanoseconds: UInt64) async throws {
        let number = state.withLock { state in
            state.count += 1
            return state.count
        }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let isCancelled = state.withLock { state in
                    guard state.cancelled.remove(number) == nil else { return true }
                    state.sleepers[number] = (state.now + nanoseconds, continuation)
                    return false
                }
                if isCancelled { continuation.resume(throwing: CancellationError()) }
            }
        } onCancel: {
            let sleeper = state.withLock { state in
                let sleeper = state.sleepers.removeValue(forKey: number)
                if sleeper == nil { state.cancelled.insert(number) }
                return sleeper
            }
            sleeper?.continuation.resume(throwing: CancellationError())
        }
    }

    /// Moves on to the moment at which the next sleeper wakes, and wakes it; does nothing while nobody sleeps.
    package func advance() {
        let sleeper = state.withLock { state -> CheckedContinuation<Void, any Error>? in
            guard let next = state.sleepers.min(by: { ($0.value.until, $0.key) < ($1.value.until, $1.key) }) else {
                return nil
            }
            state.now = max(state.now, next.value.until)
            state.sleepers[next.key] = nil
            return next.value.continuation
        }
        sleeper?.resume()
    }

    /// Signs of life by this clock.
    package var pulse: Pulse { Pulse(now: { self.now }, pause: { try await self.sleep($0) }) }
}
