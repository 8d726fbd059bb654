package import BackupModel
package import Jobs
package import Repository
import RepositoryFormat

/// What a prune knows of the points of a repository, without asking anybody: the same for the command, the agent and a
/// simulation.
package enum PrunedPoints {
    /// All points, in the order of the control log.
    ///
    /// - Parameters:
    ///   - view: the whole repository.
    ///   - revoked: writers whose keys the owner has revoked.
    ///   - now: nanoseconds since 1970 by the clock of whoever decides.
    ///   - times: by which a sweep would decide then.
    ///   - rules: what an approval of the rules of this prune names; `nil` where nobody approves.
    package static func candidates(
        in view: RepositoryView, revoked: Set<WriterID>, now: UInt64, times: DecisionTimes, rules: Hash256? = nil
    ) -> [PrunePlan.Candidate] {
        let sightings = Sightings(in: view, revoked: revoked, now: now)
        return view.points.sorted(by: PointArgument.isOlder).map { point in
            let record = point.record
            let sighting = sightings[point]
            var known = RetainedPoint(
                id: record.identifier, takenAt: record.takenAt, firstSeen: sighting.firstSeen)
            known.lastMissed = sighting.lastMissed
            known.isDistrusted =
                revoked.contains(point.writer) || view.said.isDamaged(record.identifier)
            known.tags = Set(record.tags)
            known.isHeld = !view.said.holds(of: record.identifier).isEmpty
            known.lockedUntil = view.said.lock(of: record, at: times)
            known.isVerified = view.said.verified(record.identifier) != nil
            known.isTakenBack = view.said.isTakenBack(record.identifier)
            var candidate = PrunePlan.Candidate(
                point: known, guest: record.guest, label: record.label, storedAt: record.endedAt)
            candidate.policy = record.origin.flatMap { $0.policy.isEmpty ? nil : $0.policy }
            let forget = view.said.forget(of: record.identifier)
            // What waits for persons by hand or by other rules is forgotten by these as well, once.
            candidate.isForgotten =
                forget.map { !view.said.waits(record.identifier, at: times) || $0.rules?.hash == rules } ?? false
            return candidate
        }
    }
}
