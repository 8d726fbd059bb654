package import BackupModel
import RepositoryFormat

// What locks are measured by
// --------------------------
// The one place where a clock has a say in what may be deleted. One clock is not enough for that: it jumps, and whoever
// holds a host sets it. So the clock of whoever sweeps is believed up to a day ahead of the latest time that some key
// other than its own has signed. Where nobody else signs for longer, locks last longer.

/// Up to when locks are over, for whoever sweeps.
package enum LockTime {
    /// How far ahead of what others have signed a clock is believed: a day, in nanoseconds.
    package static let tolerance: UInt64 = Sightings.tolerance

    /// The times by which whoever sweeps decides.
    ///
    /// - Parameters: as of ``trusted(in:own:revoked:now:)``.
    package static func decision(
        in view: RepositoryView, own: WriterID?, revoked: Set<WriterID>, now: UInt64
    ) -> DecisionTimes {
        DecisionTimes(
            lock: trusted(in: view, own: own, revoked: revoked, now: now),
            approval: max(now, told(in: view, revoked: revoked, now: now)))
    }

    /// The latest time that was said and that another clock bears out, whoever's key sweeps: a day ahead of the host's
    /// clock and of all that other keys have signed at most. One clock that is ahead so ends no approval, and two do:
    /// then things stay.
    private static func told(in view: RepositoryView, revoked: Set<WriterID>, now: UInt64) -> UInt64 {
        var latest: [WriterID: UInt64] = [:]
        func take(_ writer: WriterID, _ time: UInt64) { latest[writer] = max(latest[writer] ?? 0, time) }
        for point in view.points { take(point.writer, point.record.endedAt) }
        for saying in view.said.sayings { take(saying.session.writer, saying.at) }
        let signed = latest.filter { !revoked.contains($0.key) }.sorted { $0.value > $1.value }
        let believed = view.said.sayings.filter { saying in
            guard !revoked.contains(saying.session.writer) else { return false }
            let others = signed.first { $0.key != saying.session.writer }?.value ?? 0
            let (sum, overflows) = max(now, others).addingReportingOverflow(tolerance)
            return overflows || saying.at <= sum
        }
        return believed.map(\.at).max() ?? 0
    }

    /// - Parameters:
    ///   - view: the whole repository, with its points.
    ///   - own: the writer whose key the sweep signs with; its word is the clock's. `nil` for whoever only looks.
    ///   - revoked: writers whose word counts for nothing.
    ///   - now: nanoseconds since 1970 by the host's clock.
    /// - Returns: nanoseconds since 1970, never later than `now`; 0 where nobody else has signed a time.
    package static func trusted(
        in view: RepositoryView, own: WriterID?, revoked: Set<WriterID>, now: UInt64
    ) -> UInt64 {
        var latest: UInt64 = 0
        func take(_ writer: WriterID, _ time: UInt64) {
            if writer != own, !revoked.contains(writer) { latest = max(latest, time) }
        }
        for point in view.points { take(point.writer, point.record.endedAt) }
        for saying in view.said.sayings { take(saying.session.writer, saying.at) }
        guard latest > 0 else { return 0 }
        let (sum, overflows) = latest.addingReportingOverflow(tolerance)
        return min(now, overflows ? .max : sum)
    }
}
