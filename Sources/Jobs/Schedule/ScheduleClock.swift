import BackupModel
package import Foundation

/// When one policy is next to be run for one guest: its schedule, the clock of its place, and a delay of its own.
///
/// The delay is the same for the same policy and guest on every host and after every restart, so that guests of one
/// policy do not all begin in one second, and yet each begins when it began the day before.
package struct ScheduleClock: Hashable, Sendable {
    /// When it is due.
    package let schedule: Schedule
    /// The policy's time zone.
    package let zone: TimeZone
    /// Seconds that are added to each time at which it is due.
    package let delay: Int

    /// - Parameters:
    ///   - jitter: the largest delay, in seconds; 0 for none.
    ///   - policy: the policy's name.
    ///   - guest: the guest's name.
    package init(schedule: Schedule, zone: TimeZone, jitter: Int, policy: String, guest: String) {
        self.schedule = schedule
        self.zone = zone
        delay = ScheduleClock.delay(jitter: jitter, policy: policy, guest: guest)
    }

    /// The first time after another, in seconds since 1970, with the delay.
    package func next(after time: Int) -> Int? {
        schedule.next(after: time - delay, zone: zone).map { $0 + delay }
    }

    /// A delay from 0 to `jitter` that depends on the names alone.
    ///
    /// ``FowlerNollVo`` over both names with a byte between them that no name has, mixed by the finalizer of
    /// MurmurHash3, for its low bits hardly depend on the last letters.
    static func delay(jitter: Int, policy: String, guest: String) -> Int {
        guard jitter > 0 else { return 0 }
        var hash = FowlerNollVo.hash(Array(policy.utf8) + [0xFF] + Array(guest.utf8))
        hash = (hash ^ hash >> 33) &* 0xFF51_AFD7_ED55_8CCD
        hash = (hash ^ hash >> 33) &* 0xC4CE_B9FE_1A85_EC53
        hash ^= hash >> 33
        return Int(hash % (UInt64(jitter) + 1))
    }
}

/// What was dealt with of a schedule, kept by the caller over restarts.
package struct ScheduleCursor: Hashable, Sendable {
    /// The last time that was dealt with, or the instant from which on the policy counts; seconds since 1970, without
    /// the delay, so that another delay repeats and skips nothing.
    package private(set) var seen: Int

    /// Begins at an instant: what was due before is not caught up.
    package init(seen: Int) { self.seen = seen }

    /// The time that is due now, of which it is then taken to be dealt with: the latest, however many were missed.
    ///
    /// A cursor that lies more than a day ahead of the clock, which was ahead itself then, is put back to now, so that
    /// a clock that was wrong for a while stops no schedule for years; one that is set back a little repeats nothing.
    ///
    /// - Parameter now: seconds since 1970.
    package mutating func take(now: Int, _ clock: ScheduleClock) -> Int? {
        let now = now - clock.delay
        guard seen <= now else {
            if seen - now > CivilTime.secondsOfDay + clock.delay { seen = now }
            return nil
        }
        guard let due = clock.schedule.due(after: seen, now: now, zone: clock.zone) else { return nil }
        seen = due
        return due + clock.delay
    }
}
