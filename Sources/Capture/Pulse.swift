import Effects

/// When a session that writes has to say that it lives.
///
/// A sweep ends a session from outside of which it saw nothing for its patience, twelve hours unless told otherwise.
/// Checkpoints come with what is stored; one large hole, a rate of a few bytes, or an input that waits bring none.
package struct Pulse: Sendable {
    /// Nanoseconds between two entries of a session that captures, at most; what an entry takes to be put comes on top.
    package static let longestSilence: UInt64 = 2 * 3600 * 1_000_000_000

    /// Nanoseconds of a clock that never goes back.
    package var now: @Sendable () -> UInt64
    /// Lets so many nanoseconds pass, or throws when the task is cancelled.
    package var pause: @Sendable (UInt64) async throws -> Void

    /// A pulse from its clock.
    package init(
        now: @escaping @Sendable () -> UInt64, pause: @escaping @Sendable (UInt64) async throws -> Void
    ) {
        self.now = now
        self.pause = pause
    }

    /// By the machine's clock.
    package static let system = Pulse(
        now: SystemClock.system.monotonic, pause: SystemClock.pause)

    /// Whether a sign of life is due, when the last was at a time of the clock.
    func isDue(since last: UInt64) -> Bool { now() >= last + Pulse.longestSilence }

    /// Returns when a sign of life is due.
    func wait(since last: UInt64) async throws {
        let (due, time) = (last + Pulse.longestSilence, now())
        if due > time { try await pause(due - time) }
    }
}
