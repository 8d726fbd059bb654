/// What is due, what is under way, and what comes next: the scheduler, as a value that touches nothing.
///
/// It is told the time, which guests there are, and how runs end, and says what to begin and what to stop. It may be
/// written down at any moment (``document``) and read again after a crash: what was due stays due, and nothing is due
/// twice. Times are seconds since 1970.
package struct Agenda: Sendable {
    /// Places for runs on this host.
    package struct Places: Hashable, Sendable {
        /// Runs at once, 1 at least. With two and more, the last one is kept for the first of the tiers: what may lose
        /// least never waits behind a night's work.
        package var host: Int
        /// Runs at once into one repository; `nil` for no limit of its own.
        package var repository: Int?

        /// - Parameters: see the properties.
        package init(host: Int, repository: Int? = nil) {
            self.host = max(1, host)
            self.repository = repository
        }
    }

    /// Seconds before a failed run is tried again, one after the other; then it waits until it is due again.
    package static let retryDelays = [300, 900]
    /// A run that begins later than this behind its time is caught up, and said to be; seconds.
    package static let catchUpAfter = 900
    /// Most jobs; what is beyond is not covered, and told.
    package static let mostJobs = 20_000

    /// The configuration that counts.
    package private(set) var configuration: AgentConfiguration
    /// Jobs, by guest and policy.
    package internal(set) var jobs: [JobKey: GuestJob] = [:]
    /// Runs that are under way, by id.
    package internal(set) var runs: [String: AgendaRun] = [:]
    /// What is put to rest, and until when; `nil` for until somebody says otherwise.
    package internal(set) var pauses: [PauseScope: Int?] = [:]
    /// Guests that were seen without any policy, and since when.
    package internal(set) var uncovered: [AgendaGuest: Int] = [:]
    /// Newest points of guests under policies that are not there any more.
    private(set) var formerPoints: [PointPlace: Int] = [:]
    /// How much may run at once.
    package var places: Places
    /// Whether nothing is begun any more, because the agent is on its way out.
    package var isClosing = false

    /// Nothing is known yet.
    package init(_ configuration: AgentConfiguration, places: Places) {
        self.configuration = configuration
        self.places = places
    }

    // MARK: What there is

    /// Takes another configuration: jobs whose policy is there keep what is known of them, and runs that are under way
    /// go on.
    package mutating func adopt(_ configuration: AgentConfiguration) {
        for (key, job) in jobs where configuration.policies[key.policy] == nil {
            // A policy that got another name has not lost its guests' points.
            guard let repository = self.configuration.policies[key.policy]?.repository, let point = job.lastPoint
            else { continue }
            remember(point, of: PointPlace(guest: key.guest, repository: repository))
        }
        self.configuration = configuration
        jobs = jobs.filter { configuration.policies[$0.key.policy] != nil }
    }

    /// Guest and repository.
    struct PointPlace: Hashable, Comparable {
        let guest: AgendaGuest
        let repository: String

        static func < (left: PointPlace, right: PointPlace) -> Bool {
            (left.guest, left.repository) < (right.guest, right.repository)
        }
    }

    /// Takes note of the newest point of a guest under a policy that is not there any more.
    mutating func remember(_ point: Int, of place: PointPlace) {
        guard formerPoints[place] != nil || formerPoints.count < Agenda.mostJobs else { return }
        formerPoints[place] = max(point, formerPoints[place] ?? point)
    }

    /// Names of guests of a connection that sets name and nobody has seen: a slip of the pen is no backup, and is
    /// missed like one.
    private func named(at connection: GuestConnection, besides guests: Set<String>) -> Set<JobKey> {
        var keys: Set<JobKey> = []
        for (policy, wanted) in configuration.policies {
            for chosen in wanted.guests.compactMap({ configuration.guests[$0] }) where chosen.connection == connection {
                for name in chosen.names where !guests.contains(name) {
                    keys.insert(JobKey(guest: AgendaGuest(connection: connection, name: name), policy: policy))
                }
            }
        }
        return keys
    }

    /// Takes note of which guests a connection has.
    ///
    /// - Parameters:
    ///   - guests: names and their tags, of all guests that the connection shows.
    ///   - now: seconds since 1970.
    /// - Returns: whether all of them found a place; see ``mostJobs``.
    @discardableResult
    package mutating func discovered(
        _ guests: [String: Set<String>], at connection: GuestConnection, now: Int
    ) -> Bool {
        var isWhole = true
        var wanted: Set<JobKey> = []
        for (name, tags) in guests {
            let guest = AgendaGuest(connection: connection, name: name)
            let policies = configuration.policies(covering: name, connection, tags: tags)
            if policies.isEmpty {
                if uncovered.count < Agenda.mostJobs { uncovered[guest] = uncovered[guest] ?? now }
            } else {
                uncovered[guest] = nil
            }
            for policy in policies { wanted.insert(JobKey(guest: guest, policy: policy)) }
        }
        for guest in uncovered.keys where guest.connection == connection && guests[guest.name] == nil {
            uncovered[guest] = nil
        }
        for key in wanted {
            if jobs[key] == nil {
                guard jobs.count < Agenda.mostJobs else {
                    isWhole = false
                    continue
                }
                jobs[key] = newJob(key, now)
            }
            jobs[key]?.isThere = true
        }
        for key in named(at: connection, besides: Set(guests.keys))
        where jobs[key] == nil && jobs.count < Agenda.mostJobs {
            jobs[key] = newJob(key, now)
            jobs[key]?.isThere = false
        }
        for (key, job) in jobs where key.guest.connection == connection && !wanted.contains(key) {
            if guests[key.guest.name] != nil {
                // The guest is there and the policy covers it no more.
                jobs[key] = nil
            } else if job.isThere {
                jobs[key]?.isThere = false
            }
        }
        return isWhole
    }

    private func newJob(_ key: JobKey, _ now: Int) -> GuestJob {
        var job = GuestJob(since: now)
        if let repository = configuration.policies[key.policy]?.repository {
            job.lastPoint = formerPoints[PointPlace(guest: key.guest, repository: repository)]
        }
        return job
    }

    /// Forgets guests that have not been there for so long that nobody expects them back.
    ///
    /// - Parameter isGone: asked for each job whose guest is not there.
    package mutating func forget(where isGone: (JobKey, GuestJob) -> Bool) {
        jobs = jobs.filter { $0.value.isThere || !isGone($0.key, $0.value) }
    }

    // MARK: The next step

    /// What is to be done now.
    ///
    /// - Parameters:
    ///   - now: seconds since 1970.
    ///   - newIdentifier: gives ids of runs.
    /// - Returns: orders; runs of ``AgendaOrder/start(_:)`` count as under way from now on.
    package mutating func advance(to now: Int, newIdentifier: () -> String) -> [AgendaOrder] {
        pauses = pauses.filter { $0.value.map { $0 > now } ?? true }
        var orders = takeDue(now)
        orders += stopOutside(now)
        guard !isClosing else { return orders }
        for due in queue(now) {
            guard let run = begin(due, now, newIdentifier) else { continue }
            orders.append(.start(run))
        }
        return orders
    }

    private mutating func takeDue(_ now: Int) -> [AgendaOrder] {
        var orders: [AgendaOrder] = []
        for key in jobs.keys.sorted() {
            guard var job = jobs[key], let clock = clock(of: key) else { continue }
            if let due = job.cursor.take(now: now, clock) {
                if job.skipsNext {
                    job.skipsNext = false
                    job.waived = due
                    orders.append(.skipped(key, due: due))
                } else if job.pending == nil {
                    job.pending = GuestJob.Pending(due: due, cause: .schedule, notBefore: due)
                }
            }
            jobs[key] = job
        }
        return orders
    }

    private mutating func stopOutside(_ now: Int) -> [AgendaOrder] {
        var orders: [AgendaOrder] = []
        for run in runs.values.sorted(by: { $0.identifier < $1.identifier }) where run.stopReason == nil {
            guard let policy = configuration.policies[run.key.policy], let window = policy.window,
                !window.isOpen(at: now, zone: policy.timeZone), !run.cause.isPerson
            else { continue }
            let reason = "its window is over"
            runs[run.identifier]?.stopReason = reason
            orders.append(.stop(run, reason: reason))
        }
        return orders
    }

    /// Runs that might begin, the first of the queue first.
    private func queue(_ now: Int) -> [(run: DueRun, key: JobKey)] {
        jobs.compactMap { key, job -> (run: DueRun, key: JobKey)? in
            guard let pending = job.pending, pending.notBefore <= now, job.isThere, isAwake(key, now, pending.cause),
                let policy = configuration.policies[key.policy], isOpen(policy, now, pending.cause)
            else { return nil }
            return (
                DueRun(tier: policy.tier, due: pending.due, guest: key.guest.name, policy: key.policy), key
            )
        }.sorted { ($0.run, $0.key) < ($1.run, $1.key) }
    }

    private mutating func begin(
        _ due: (run: DueRun, key: JobKey), _ now: Int, _ newIdentifier: () -> String
    ) -> AgendaRun? {
        guard let policy = configuration.policies[due.key.policy], let pending = jobs[due.key]?.pending,
            mayBegin(due.key, policy)
        else { return nil }
        var cause = pending.cause
        if cause == .schedule, now - pending.due > Agenda.catchUpAfter { cause = .catchUp }
        let run = AgendaRun(
            identifier: newIdentifier(), key: due.key, repository: policy.repository, tier: policy.tier,
            due: pending.due, began: now, cause: cause)
        runs[run.identifier] = run
        jobs[due.key]?.lastStart = now
        return run
    }

    private func mayBegin(_ key: JobKey, _ policy: BackupPolicy) -> Bool {
        let others = Array(runs.values)
        guard !others.contains(where: { $0.key.guest == key.guest }) else { return false }
        guard others.count(where: { $0.key.policy == key.policy }) < policy.limits.concurrency else { return false }
        if let most = places.repository, others.count(where: { $0.repository == policy.repository }) >= most {
            return false
        }
        guard others.count < places.host else { return false }
        let first = configuration.policies.values.map(\.tier).min() ?? policy.tier
        guard places.host > 1, policy.tier > first else { return true }
        return others.count(where: { $0.tier > first }) < places.host - 1
    }

    private func isAwake(_ key: JobKey, _ now: Int, _ cause: RunCause) -> Bool {
        if cause.isPerson { return true }
        return !isPaused(key)
    }

    private func isOpen(_ policy: BackupPolicy, _ now: Int, _ cause: RunCause) -> Bool {
        if cause.isPerson { return true }
        return policy.window?.isOpen(at: now, zone: policy.timeZone) ?? true
    }

    /// Whether somebody put a job to rest.
    package func isPaused(_ key: JobKey) -> Bool {
        [.all, .policy(key.policy), .guest(key.guest.name)].contains { pauses[$0] != nil }
    }

    /// When one policy is due for one guest; `nil` when there is no such policy.
    package func clock(of key: JobKey) -> ScheduleClock? {
        configuration.policies[key.policy].map { policy in
            ScheduleClock(
                schedule: policy.schedule, zone: policy.timeZone, jitter: policy.jitter, policy: key.policy,
                guest: key.guest.name)
        }
    }

    // MARK: What became of it

    /// Takes note of the end of a run.
    ///
    /// - Parameter now: seconds since 1970.
    package mutating func ended(_ identifier: String, _ end: RunEnd, now: Int) {
        guard let run = runs.removeValue(forKey: identifier), var job = jobs[run.key] else { return }
        defer { jobs[run.key] = job }
        switch end {
        case .point(let instant):
            // A part of a run says nothing about how long a whole one takes.
            if job.pending?.isUnfinished != true {
                job.durations = Array((job.durations + [max(0, now - run.began)]).suffix(GuestJob.mostDurations))
            }
            // One from a clock that was ahead must not stand for the points of years.
            let known = job.lastPoint.flatMap { $0 > now + CivilTime.secondsOfDay ? nil : $0 }
            job.lastPoint = max(instant, known ?? instant)
            job.pending = nil
        case .stopped:
            var pending = job.pending ?? GuestJob.Pending(due: run.due, cause: run.cause, notBefore: now)
            pending.isUnfinished = true
            pending.notBefore = now
            // Whoever was asked for by a person goes on by its policy's window.
            pending.cause = .schedule
            job.pending = pending
        case .failed(let mayTryAgain):
            guard var pending = job.pending else { return }
            guard mayTryAgain, pending.failures < Agenda.retryDelays.count else {
                job.pending = nil
                return
            }
            // What is due again sooner than that is tried then.
            let delay = now + Agenda.retryDelays[pending.failures]
            pending.notBefore = min(delay, clock(of: run.key)?.next(after: now) ?? delay)
            pending.failures += 1
            job.pending = pending
        }
    }

    // MARK: What people want

    /// Asks for a run of a job as soon as there is a place, whatever its schedule, window and pauses say.
    ///
    /// - Returns: whether there is such a job and its guest is there.
    package mutating func demand(_ key: JobKey, by person: String, now: Int) -> Bool {
        guard let job = jobs[key], job.isThere else { return false }
        var pending = job.pending ?? GuestJob.Pending(due: now, cause: .schedule, notBefore: now)
        pending.cause = .person(person)
        pending.notBefore = now
        jobs[key]?.pending = pending
        return true
    }

    /// Leaves out what is due of a job, or else the next time that it will be.
    ///
    /// - Returns: the due time that was given up; `nil` when it will be the next one.
    package mutating func skip(_ key: JobKey) -> Int? {
        let isRunning = runs.values.contains { $0.key == key }
        if !isRunning, let due = jobs[key]?.pending?.due {
            jobs[key]?.pending = nil
            jobs[key]?.waived = due
            return due
        }
        jobs[key]?.skipsNext = true
        return nil
    }

    /// Puts something to rest: runs that are under way go on, no other begins by itself.
    ///
    /// - Parameter until: seconds since 1970; `nil` for until it is taken back.
    package mutating func pause(_ scope: PauseScope, until: Int?) { pauses[scope] = .some(until) }

    /// Takes a pause back. - Returns: whether there was one.
    package mutating func resume(_ scope: PauseScope) -> Bool { pauses.removeValue(forKey: scope) != nil }

    /// Wants all runs to stop cleanly.
    package mutating func stopAll(reason: String) -> [AgendaOrder] {
        runs.values.sorted { $0.identifier < $1.identifier }.filter { $0.stopReason == nil }.map { run in
            runs[run.identifier]?.stopReason = reason
            return .stop(run, reason: reason)
        }
    }

    // MARK: Outlook

    /// When something will be to do by itself at the earliest, seconds since 1970; `nil` for never.
    package func nextEvent(after now: Int) -> Int? {
        var times: [Int] = []
        for (key, job) in jobs {
            if let next = clock(of: key)?.next(after: now) { times.append(next) }
            guard let pending = job.pending, let policy = configuration.policies[key.policy] else { continue }
            if pending.notBefore > now { times.append(pending.notBefore) }
            if let opening = policy.window?.opening(after: now, zone: policy.timeZone) { times.append(opening) }
        }
        for run in runs.values {
            guard let policy = configuration.policies[run.key.policy] else { continue }
            if let end = policy.window?.end(after: now, zone: policy.timeZone) { times.append(end) }
        }
        times += pauses.values.compactMap(\.self)
        return times.filter { $0 > now }.min()
    }
}

extension RunCause {
    /// Whether somebody asked for it, and waits.
    package var isPerson: Bool {
        if case .person = self { true } else { false }
    }
}

extension Agenda {
    /// Takes the runs that really go on for those that are under way. One that was written down and is not among them
    /// was lost before it had a process: it counts as failed, and is tried again.
    package mutating func reconcile(_ found: [AgendaRun]) {
        let known = Set(found.map(\.identifier))
        for run in runs.values where !known.contains(run.identifier) {
            ended(run.identifier, .failed(mayTryAgain: true), now: run.began)
        }
        for run in found { runs[run.identifier] = run }
    }
}
