package import Foundation
package import Notices

extension Agenda {
    /// Times at which a job was due and that nobody can have missed more of, looked at one by one.
    private static let mostDueTimes = 16
    /// What is due within this time after now is looked at for the night to come, seconds.
    private static let outlook = 86_400
    private static let second: UInt64 = 1_000_000_000

    /// What the policies promise for each guest, and what is known of how it went: whether anything is missing is
    /// found by holding this against the time, without asking whether the scheduler thinks so too.
    ///
    /// - Parameter now: nanoseconds since 1970.
    package func promises(now: UInt64) -> [RunPromise] {
        let seconds = Int(clamping: now / Agenda.second)
        let running = Set(runs.values.map(\.key))
        return jobs.sorted { $0.key < $1.key }.compactMap { key, job in
            guard let policy = configuration.policies[key.policy] else { return nil }
            return RunPromise(
                subject: NoticeSubject(guest: key.guest.name, repository: policy.repository, policy: key.policy),
                since: Agenda.nanoseconds(job.since), objective: Agenda.nanoseconds(policy.rpo),
                dueTimes: dueTimes(key, job, policy, now: seconds).map(Agenda.nanoseconds),
                longestRun: Agenda.nanoseconds(Agenda.longestRun(job)),
                lastStart: job.lastStart.map(Agenda.nanoseconds), isRunning: running.contains(key),
                lastPoint: job.lastPoint.map(Agenda.nanoseconds), isPaused: isPaused(key))
        }
    }

    /// Seconds that a run may take before somebody should look at it: three times the longest that is remembered, and
    /// an hour; without any a day, for a first one reads everything.
    static func longestRun(_ job: GuestJob) -> Int {
        guard let longest = job.durations.max() else { return 86_400 }
        return 3 * longest + 3600
    }

    private static func nanoseconds(_ seconds: Int) -> UInt64 { UInt64(max(0, seconds)) * second }

    /// Times behind the last start at which the job was due and might begin.
    private func dueTimes(_ key: JobKey, _ job: GuestJob, _ policy: BackupPolicy, now: Int) -> [Int] {
        guard let clock = clock(of: key) else { return [] }
        var times: [Int] = []
        var time = max(job.since, job.lastStart ?? 0, job.waived ?? 0)
        while times.count < Agenda.mostDueTimes, let next = clock.next(after: time), next <= now {
            times.append(opening(next, policy))
            time = next
        }
        // What was stopped or failed is due as soon as it may go on.
        if let pending = job.pending, job.lastStart ?? 0 >= pending.due {
            times.append(opening(max(pending.notBefore, (job.lastStart ?? 0) + 1), policy))
        }
        return times.filter { $0 <= now }
    }

    /// When the window is open at a time or after it.
    private func opening(_ time: Int, _ policy: BackupPolicy) -> Int {
        guard let window = policy.window, !window.isOpen(at: time, zone: policy.timeZone) else { return time }
        return window.opening(after: time, zone: policy.timeZone) ?? time
    }

    /// Whether the windows that are open, or open within a day, are long enough for what is due in them.
    ///
    /// - Parameter now: seconds since 1970.
    package func windowForecasts(now: Int) -> [Notices.WindowForecast] {
        let night = candidates(now: now)
        guard !night.isEmpty else { return [] }
        var limits: [String: Int] = [:]
        for (name, policy) in configuration.policies { limits[name] = policy.limits.concurrency }
        // The first tier has its place whatever the others do, and they have the rest.
        let first = configuration.policies.values.map(\.tier).min() ?? 0
        let others = places.host > 1 ? places.host - 1 : 1
        let shortfall = [(true, places.host), (false, others)].flatMap { isFirst, room in
            WindowForecast(
                night.filter { ($0.run.tier == first) == isFirst }, now: now, concurrency: room, limits: limits
            ).shortfall
        }
        let ends = Dictionary(night.map { ($0.run, $0.end) }, uniquingKeysWith: { first, _ in first })
        var shortfalls: [String: [WindowForecast.Expectation]] = [:]
        for one in shortfall where configuration.policies[one.run.policy]?.window != nil {
            shortfalls[one.run.policy, default: []].append(one)
        }
        return shortfalls.sorted { $0.key < $1.key }.compactMap { policy, lacking in
            guard let first = lacking.first, let end = ends[first.run] else { return nil }
            let missing = lacking.reduce(0) { sum, one in
                if case .cutOff(_, let lacks) = one.outcome { sum + lacks } else { sum + one.estimate.seconds }
            }
            return Notices.WindowForecast(
                subject: NoticeSubject(repository: configuration.policies[policy]?.repository, policy: policy),
                closesAt: Agenda.nanoseconds(end), doneAt: Agenda.nanoseconds(end + max(1, missing)),
                unfinished: lacking.map(\.run.guest))
        }
    }

    /// Runs that are due or will be within a day, and those that are under way.
    private func candidates(now: Int) -> [WindowForecast.Candidate] {
        let running = Dictionary(runs.values.map { ($0.key, $0) }, uniquingKeysWith: { first, _ in first })
        return jobs.compactMap { key, job in
            guard job.isThere, !isPaused(key), let policy = configuration.policies[key.policy],
                let clock = clock(of: key)
            else { return nil }
            let due: Int
            if let run = running[key] {
                due = run.due
            } else if let pending = job.pending {
                due = max(pending.due, pending.notBefore)
            } else if let next = clock.next(after: now), next - now <= Agenda.outlook {
                due = next
            } else {
                return nil
            }
            let earliest = max(now, opening(max(due, now), policy))
            let end = policy.window?.end(after: earliest, zone: policy.timeZone) ?? now + 2 * Agenda.outlook
            return WindowForecast.Candidate(
                run: DueRun(tier: policy.tier, due: due, guest: key.guest.name, policy: key.policy),
                earliest: earliest, end: end, history: job.durations, newest: job.lastPoint, rpo: policy.rpo)
        }
    }
}

extension ScheduleClock {
    /// One time a day. - Returns: `nil` for a minute that no day has.
    package init?(daily minute: Int, zone: TimeZone) {
        guard (0..<1440).contains(minute),
            let schedule = try? Schedule("\(minute % 60) \(minute / 60) * * *")
        else { return nil }
        self.init(schedule: schedule, zone: zone, jitter: 0, policy: "", guest: "")
    }
}
