import Glibc

/// The machine's clocks. Nothing that decides what is kept or deleted asks them (design §2, principle 4).
package struct SystemClock: Sendable {
    /// Nanoseconds since 1970, UTC, as the host believes.
    package var wall: @Sendable () -> UInt64
    /// Nanoseconds of a clock that never goes back; for rates and patience.
    package var monotonic: @Sendable () -> UInt64

    /// Wraps two clocks.
    package init(wall: @escaping @Sendable () -> UInt64, monotonic: @escaping @Sendable () -> UInt64) {
        self.wall = wall
        self.monotonic = monotonic
    }

    /// The kernel's clocks.
    package static let system = SystemClock(
        wall: { read(CLOCK_REALTIME) }, monotonic: { read(CLOCK_MONOTONIC) })

    /// Lets so many nanoseconds pass while other tasks run, or throws when the task is cancelled.
    package static let pause: @Sendable (UInt64) async throws -> Void = { try await Task.sleep(nanoseconds: $0) }

    private static func read(_ clock: clockid_t) -> UInt64 {
        var time = timespec()
        // Safety: `time` lives through the call, which cannot fail for these clocks.
        unsafe clock_gettime(clock, &time)
        // A clock that was never set may stand before 1970, which no record can say.
        guard time.tv_sec >= 0 else { return 0 }
        // Nor one that stands behind 2554: it stays at the last instant that a record can say.
        let (whole, overflows) = UInt64(time.tv_sec).multipliedReportingOverflow(by: 1_000_000_000)
        return overflows ? .max - 1_000_000_000 : whole + UInt64(time.tv_nsec)
    }
}
