package import Notices

extension AgentConfiguration {
    /// What the policies promise for each guest that is known by name, and how it stands by the records of runs alone.
    ///
    /// Guests that a set names count whether they ever ran or not; those that a pattern or a tag chooses count once a
    /// run was recorded of them. Due times are not among it: this says how old points are, not which runs were missed.
    ///
    /// - Parameters:
    ///   - newest: the newest record of each subject.
    ///   - points: the newest record of each subject that made a point.
    ///   - since: from when on there are records, nanoseconds since 1970: a guest without a point has had none since.
    package func promises(
        newest: [NoticeSubject: RunRecord], points: [NoticeSubject: RunRecord], since: UInt64
    ) -> [RunPromise] {
        policies.sorted { $0.key < $1.key }.flatMap { name, policy in
            let sets = policy.guests.compactMap { guests[$0] }
            var known = Set(sets.flatMap(\.names))
            for subject in newest.keys where subject.policy == name {
                guard let guest = subject.guest else { continue }
                let isChosen = sets.contains { set in
                    !set.tags.isEmpty || set.selects(guest, set.connection, tags: [])
                }
                if isChosen { known.insert(guest) }
            }
            return known.sorted().map { guest in
                let subject = NoticeSubject(guest: guest, repository: policy.repository, policy: name)
                let last = newest[subject]
                return RunPromise(
                    subject: subject, since: since, objective: UInt64(policy.rpo) * 1_000_000_000,
                    lastStart: last?.began, isRunning: last?.outcome == .running, lastPoint: points[subject]?.began)
            }
        }
    }
}
