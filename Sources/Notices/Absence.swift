/// What did not happen although it should have: found by looking at promises and the time, and at nothing that anybody
/// reports. So it is noticed too when the scheduler stands, a policy was taken away or nobody ever set one up.
///
/// All of it is pure: the same promises and the same now give the same problems.
package struct Absence: Sendable {
    /// What policies promise, one for each guest and policy. Here and below `nil` says that nobody could look: nothing
    /// of it is a problem then, and none is over.
    package var runs: [RunPromise]?
    /// Guests without a policy.
    package var uncovered: [UncoveredGuest]?
    /// How long a guest may be without one, nanoseconds.
    package var uncoveredPatience: UInt64 = 0
    /// Agents.
    package var heartbeats: [Heartbeat]?
    /// What is to be read again.
    package var verifications: [VerificationPromise]?
    /// Stores that fill up.
    package var rooms: [RoomForecast]?
    /// Nights that may be too short.
    package var windows: [WindowForecast]?

    /// Nobody has looked at anything.
    package init() {}

    /// How far in the future a point or start may lie before that says something about the clock, nanoseconds: a day.
    package static let clockTolerance: UInt64 = 86_400 * 1_000_000_000

    /// Kinds of the problems that were looked for. What is not found of these is over.
    package var kinds: Set<NoticeKind> {
        var kinds: Set<NoticeKind> = []
        if runs != nil { kinds.formUnion([.missed, .late, .objectiveMissed]) }
        if uncovered != nil { kinds.insert(.unprotected) }
        if heartbeats != nil { kinds.insert(.agentStopped) }
        if verifications != nil { kinds.insert(.unverified) }
        if rooms != nil { kinds.insert(.storageFull) }
        if windows != nil { kinds.insert(.windowOverrun) }
        return kinds
    }

    /// All that is amiss at an instant, in no particular order; one notice for a kind and subject.
    ///
    /// - Parameter now: nanoseconds since 1970.
    package func problems(at now: UInt64) -> [Notice] {
        var found: [Notice] = []
        for run in runs ?? [] {
            found += [run.runProblem(at: now), run.objectiveProblem(at: now), run.clockProblem(at: now)].compactMap(
                \.self)
        }
        found += (uncovered ?? []).filter { passed($0.since, now) >= uncoveredPatience }.map { $0.problem(at: now) }
        found += (heartbeats ?? []).compactMap { $0.problem(at: now) }
        found += (verifications ?? []).compactMap { $0.problem(at: now) }
        found += (rooms ?? []).compactMap { $0.problem(at: now) }
        found += (windows ?? []).compactMap { $0.problem(at: now) }
        // Two expectations of one subject are the configuration's mistake; the worse one is told.
        var worst: [NoticeKey: Notice] = [:]
        var order: [NoticeKey] = []
        for notice in found {
            if let other = worst[notice.key] {
                if notice.severity > other.severity { worst[notice.key] = notice }
            } else {
                order.append(notice.key)
                worst[notice.key] = notice
            }
        }
        return order.compactMap { worst[$0] }
    }
}

/// Nanoseconds from one instant to another; none when it lies behind it.
func passed(_ from: UInt64, _ to: UInt64) -> UInt64 { to > from ? to - from : 0 }

/// A sum that ends at the last instant there is.
func later(_ instant: UInt64, by nanoseconds: UInt64) -> UInt64 {
    let (sum, overflows) = instant.addingReportingOverflow(nanoseconds)
    return overflows ? .max : sum
}

extension RunPromise {
    private var guestText: String { "guest \(subject.guest ?? "of the policy")" }
    private var policyText: String { subject.policy.map { "policy \($0)" } ?? "its policy" }

    /// A run that is missed, or late to begin or to end.
    package func runProblem(at now: UInt64) -> Notice? {
        guard !isPaused else { return nil }
        if isRunning, let begun = lastStart { return overdueRun(begun: begun, at: now) }
        // A start in the far future is no start: the clock was put back since, and all due times would seem met.
        let start = lastStart.flatMap { $0 > later(now, by: Absence.clockTolerance) ? nil : $0 }
        let open = dueTimes.filter { $0 <= now && $0 >= since && $0 > start ?? 0 }.sorted()
        guard let first = open.first, let last = open.last else { return nil }
        let waited = passed(first, now)
        guard waited >= patience else { return nil }
        var details = [NoticeDetail("due", CivilTime(first).stamp), NoticeDetail("due-count", "\(open.count)")]
        details.append(NoticeDetail("last-start", lastStart.map { CivilTime($0).stamp } ?? "never"))
        let begun = lastStart.map { "the last one began \(CivilTime($0).readable)" } ?? "none ever began"
        if open.count > 1 || waited >= missedAfter {
            let runs = open.count > 1 ? "\(open.count) runs" : "the run"
            return Notice(
                .missed, .error, subject, at: now, since: first,
                "\(guestText) was not backed up: \(runs) of \(policyText) due "
                    + (open.count > 1
                        ? "from \(CivilTime(first).readable) to \(CivilTime(last).readable)"
                        : "at \(CivilTime(first).readable)") + " never began; \(begun)",
                remedy:
                    "look whether the agent runs (dozo status) and why the run did not begin, then start it by hand",
                details: details)
        }
        return Notice(
            .late, .warning, subject, at: now, since: first,
            "\(guestText) waits for its backup: the run of \(policyText) due at \(CivilTime(first).readable) has not "
                + "begun after \(PlainText.duration(waited)); \(begun)",
            remedy: "look what the agent is busy with (dozo status)", details: details)
    }

    private func overdueRun(begun: UInt64, at now: UInt64) -> Notice? {
        guard let longestRun, passed(begun, now) > longestRun else { return nil }
        return Notice(
            .late, .warning, subject, at: now, since: later(begun, by: longestRun),
            "the backup of \(guestText) by \(policyText) that began at \(CivilTime(begun).readable) is still running "
                + "after \(PlainText.duration(passed(begun, now))); it may take \(PlainText.duration(longestRun))",
            remedy: "look how far it is (dozo status); the guest goes on meanwhile",
            details: [NoticeDetail("begun", CivilTime(begun).stamp)])
    }

    /// A last point that is older than was promised, by its class.
    func objectiveProblem(at now: UInt64) -> Notice? {
        guard let objective, objective > 0 else { return nil }
        // A point from the far future proves nothing about the time before it; it is told as a matter of the clock.
        let point = lastPoint.flatMap { $0 > later(now, by: Absence.clockTolerance) ? nil : $0 }
        let from = point ?? since
        let age = passed(from, now)
        let grade = ObjectiveClass(age: age, target: objective)
        guard let severity = grade.severity else { return nil }
        let what =
            point.map { "the last good point of \(guestText) is of \(CivilTime($0).readable)" }
            ?? "\(guestText) has no good point at all"
        return Notice(
            .objectiveMissed, severity, subject, at: now, since: later(from, by: objective),
            "\(what), \(PlainText.duration(age)) \(point == nil ? "after \(policyText) began to hold" : "ago"); "
                + "\(policyText) promises one of the last \(PlainText.duration(objective)) (class \(grade.rawValue))",
            remedy: "see why its runs failed or did not begin (dozo report nightly), and back it up by hand",
            details: [
                NoticeDetail("objective-class", grade.rawValue), NoticeDetail("age-seconds", "\(age / 1_000_000_000)"),
                NoticeDetail("objective-seconds", "\(objective / 1_000_000_000)"),
                NoticeDetail("last-point", point.map { CivilTime($0).stamp } ?? "none"),
            ])
    }

    /// A point or a start that lies in the future: one of two clocks was wrong.
    func clockProblem(at now: UInt64) -> Notice? {
        guard let ahead = [lastPoint, lastStart].compactMap(\.self).max(),
            ahead > later(now, by: Absence.clockTolerance)
        else { return nil }
        return .clockJumped(
            by: passed(now, ahead), isBackward: true, host: subject.object ?? "this host", at: now,
            because: "the last run of \(guestText) is of \(CivilTime(ahead).readable)")
    }
}

extension UncoveredGuest {
    func problem(at now: UInt64) -> Notice {
        Notice(
            .unprotected, .error, NoticeSubject(guest: name, object: place), at: now, since: since,
            "guest \(name)\(place.map { " of \($0)" } ?? "") is not backed up: no policy covers it since it was first "
                + "seen at \(CivilTime(since).readable)",
            remedy: "put it into a policy, or name it among those that are left out on purpose")
    }
}

extension Heartbeat {
    func problem(at now: UInt64) -> Notice? {
        guard let lastSign else {
            return Notice(
                .agentStopped, .critical, NoticeSubject(object: agent), at: now,
                "the agent of \(agent) has never given a sign of life: nothing is backed up there",
                remedy: "start it there (systemctl start dozo-agent)")
        }
        let silence = passed(lastSign, now)
        guard silence > limit else { return nil }
        return Notice(
            .agentStopped, .critical, NoticeSubject(object: agent), at: now, since: lastSign,
            "the agent of \(agent) has given no sign of life for \(PlainText.duration(silence)), since "
                + "\(CivilTime(lastSign).readable): nothing is backed up there",
            remedy: "start it there (systemctl status dozo-agent says why it ended)")
    }
}

extension VerificationPromise {
    func problem(at now: UInt64) -> Notice? {
        let age = passed(lastVerified ?? since, now)
        guard age > limit else { return nil }
        let what = [
            subject.guest.map { "points of guest \($0)" }, subject.repository.map { "repository \($0)" },
            subject.object,
        ].compactMap(\.self).joined(separator: " in ")
        let last = lastVerified.map { "since \(CivilTime($0).readable)" } ?? "ever"
        return Notice(
            .unverified, .warning, subject, at: now, since: later(lastVerified ?? since, by: limit),
            "\(what.isEmpty ? "what is stored" : what) was not verified \(last); "
                + "every \(PlainText.duration(limit)) was promised", remedy: "verify it now (dozo verify)",
            details: [NoticeDetail("last-verified", lastVerified.map { CivilTime($0).stamp } ?? "never")])
    }
}

extension RoomForecast {
    /// How long before a store is full it is an error and not a warning any more, nanoseconds: two days.
    private static let near: UInt64 = 2 * 86_400 * 1_000_000_000

    func problem(at now: UInt64) -> Notice? {
        let what = [
            subject.repository.map { "repository \($0)" }, subject.object.map { "medium \($0)" },
        ].compactMap(\.self).joined(separator: " on ")
        let details = [
            NoticeDetail("free-bytes", "\(freeBytes)"),
            NoticeDetail("full-at", fullAt.map { CivilTime($0).stamp } ?? "unknown"),
        ]
        let remedy = "make room, add a medium, or keep fewer points (dozo prune --dry-run)"
        if freeBytes == 0 {
            return Notice(
                .storageFull, .critical, subject, at: now,
                "\(what) is full: no new point can be stored; what is stored is safe", remedy: remedy, details: details)
        }
        guard let fullAt, passed(now, fullAt) <= warning else { return nil }
        let isNear = passed(now, fullAt) <= RoomForecast.near
        return Notice(
            .storageFull, isNear ? .error : .warning, subject, at: now,
            "\(what) will be full on \(CivilTime(fullAt).date) at the pace of the last weeks; "
                + "\(PlainText.size(freeBytes)) are free", remedy: remedy, details: details)
    }
}

extension WindowForecast {
    /// Most guests that are named.
    private static let mostNamed = 20

    func problem(at now: UInt64) -> Notice? {
        guard doneAt > closesAt else { return nil }
        let names = unfinished.prefix(WindowForecast.mostNamed).map { PlainText.line($0, limit: 60) }
        let more = unfinished.count - names.count
        let list = names.joined(separator: ", ") + (more > 0 ? " and \(more) more" : "")
        return Notice(
            .windowOverrun, .warning, subject, at: now,
            "the window of \(subject.policy.map { "policy \($0)" } ?? "the night") closes at "
                + "\(CivilTime(closesAt).readable) and its work would end "
                + "\(PlainText.duration(passed(closesAt, doneAt))) later"
                + (list.isEmpty ? "" : "; not done by then: \(list)"),
            remedy: "widen the window, move guests to another night, or let it be: what is left goes on the next night",
            details: [
                NoticeDetail("closes", CivilTime(closesAt).stamp), NoticeDetail("done", CivilTime(doneAt).stamp),
                NoticeDetail("unfinished", "\(unfinished.count)"),
            ])
    }
}
