/// How often the same is told.
package struct NoticeManners: Hashable, Sendable {
    /// Nanoseconds after which a problem that goes on is told again.
    package var reminder: UInt64
    /// The same for critical ones.
    package var criticalReminder: UInt64

    /// - Parameters: see the properties; at least a minute each.
    package init(reminder: UInt64 = day, criticalReminder: UInt64 = day / 6) {
        self.reminder = max(reminder, NoticeManners.shortest)
        self.criticalReminder = max(criticalReminder, NoticeManners.shortest)
    }

    private static let day: UInt64 = 86_400 * 1_000_000_000
    private static let shortest: UInt64 = 60 * 1_000_000_000

    func interval(_ severity: NoticeSeverity) -> UInt64 {
        severity == .critical ? min(reminder, criticalReminder) : reminder
    }
}

/// What has been told and is not over: by this the same problem is told once, again after a while, and as over.
///
/// It is a value that decides by what it is given. What it does not know any more is told as new: nothing is told too
/// seldom because it is lost.
package struct NoticeLedger: Hashable, Sendable {
    /// A problem that goes on.
    package struct OpenProblem: Hashable, Sendable {
        /// As it was seen last.
        package var notice: Notice
        /// When it was told first, nanoseconds since 1970.
        package var firstTold: UInt64
        /// When it was told last.
        package var lastTold: UInt64
        /// How often it was seen or reported.
        package var sightings: UInt64
    }

    /// Most problems that are kept; of more at once only their number is told.
    package static let mostOpen = 4096
    /// Most bytes of the problems that are kept.
    package static let mostBytes = 2 << 20
    /// Most bytes of the moments that are kept.
    private static let mostMomentBytes = 512 << 10
    /// Most moments that are kept, so that they are not told again and again.
    package static let mostMoments = 1024

    /// Problems that go on, by what they are known by.
    package private(set) var open: [NoticeKey: OpenProblem] = [:]
    /// Moments, and when they were told.
    package private(set) var moments: [NoticeKey: UInt64] = [:]
    /// Bytes of both, at most.
    private var (openBytes, momentBytes) = (0, 0)

    /// Nothing was told.
    package init() {}

    /// A ledger as it was kept.
    init(open: [OpenProblem], moments: [NoticeKey: UInt64]) {
        for problem in open where self.open[problem.notice.key] == nil && hasRoom(for: problem.notice) {
            self.open[problem.notice.key] = problem
            openBytes += problem.notice.weight
        }
        for (key, instant) in moments.sorted(by: { $0.value > $1.value }) { keepMoment(key, instant) }
    }

    /// Takes what somebody who looks at all of it has found: what is new is told, and what is not found any more is
    /// over.
    ///
    /// - Parameters:
    ///   - problems: all there are of the kinds; others may be among them.
    ///   - kinds: what was looked for.
    /// - Returns: what is to be told, good news last.
    package mutating func observe(
        _ problems: [Notice], of kinds: Set<NoticeKind>, at now: UInt64, _ manners: NoticeManners
    ) -> [Notice] {
        var told = problems.isEmpty ? [] : note(problems, at: now, manners)
        let found = Set(problems.map(\.key))
        let gone = open.keys.filter { kinds.contains($0.kind) && !found.contains($0) }.sorted()
        for key in gone {
            guard let problem = remove(key) else { continue }
            // What was late and is missed now is not over.
            let isMissed = key.kind == .late && found.contains(NoticeKey(kind: .missed, subject: key.subject))
            if !isMissed { told.append(problem.notice.over(at: now)) }
        }
        return told
    }

    /// Takes what somebody reports: a run its failure, an agent its start.
    ///
    /// - Returns: what is to be told.
    package mutating func note(_ notices: [Notice], at now: UInt64, _ manners: NoticeManners) -> [Notice] {
        var told: [Notice] = []
        var unkept = 0
        for notice in notices {
            if notice.kind.isMoment {
                if tellMoment(notice.key, at: now, manners.interval(notice.severity)) { told.append(notice) }
            } else if open[notice.key] != nil || hasRoom(for: notice) {
                if let news = take(notice, at: now, manners) { told.append(news) }
            } else {
                unkept += 1
            }
        }
        if unkept > 0 {
            let more = Notice.tooMany(unkept, "too many problems are open at once", at: now)
            if tellMoment(more.key, at: now, manners.interval(more.severity)) { told.append(more) }
        }
        return told
    }

    /// Tells again what goes on and was told long ago.
    package mutating func remind(at now: UInt64, _ manners: NoticeManners) -> [Notice] {
        open.keys.sorted().compactMap { key in
            guard let problem = open[key], isDue(problem, at: now, manners) else { return nil }
            return told(key, .reminder, at: now)
        }
    }

    /// Problems that are over because somebody knows so, such as failed runs after one that succeeded.
    ///
    /// - Returns: the good news.
    package mutating func end(at now: UInt64, where isOver: (NoticeKey) -> Bool) -> [Notice] {
        open.keys.filter(isOver).sorted().compactMap { remove($0)?.notice.over(at: now) }
    }

    /// Whether a moment is news; then it is remembered.
    private mutating func tellMoment(_ key: NoticeKey, at now: UInt64, _ interval: UInt64) -> Bool {
        // What was told in a future that a clock has left since does not keep quiet for ever.
        if let told = moments[key], told <= now, now - told < interval { return false }
        keepMoment(key, now)
        return true
    }

    private mutating func keepMoment(_ key: NoticeKey, _ instant: UInt64) {
        if moments.updateValue(instant, forKey: key) == nil { momentBytes += NoticeLedger.weight(key) }
        while moments.count > NoticeLedger.mostMoments || momentBytes > NoticeLedger.mostMomentBytes {
            guard let oldest = moments.min(by: { ($0.value, $0.key) < ($1.value, $1.key) })?.key else { return }
            moments[oldest] = nil
            momentBytes -= NoticeLedger.weight(oldest)
        }
    }

    /// Bytes of a moment in a document, at most.
    private static func weight(_ key: NoticeKey) -> Int { 150 + key.subject.weight }

    private func hasRoom(for notice: Notice) -> Bool {
        open.count < NoticeLedger.mostOpen && openBytes + notice.weight <= NoticeLedger.mostBytes
    }

    private mutating func remove(_ key: NoticeKey) -> OpenProblem? {
        guard let problem = open.removeValue(forKey: key) else { return nil }
        openBytes -= problem.notice.weight
        return problem
    }

    private mutating func take(_ notice: Notice, at now: UInt64, _ manners: NoticeManners) -> Notice? {
        let key = notice.key
        guard var problem = open[key] else {
            open[key] = OpenProblem(notice: notice, firstTold: now, lastTold: now, sightings: 1)
            openBytes += notice.weight
            return notice
        }
        let isWorse = notice.severity > problem.notice.severity
        let since = min(problem.notice.since, notice.since)
        let old = problem.notice
        let fits = openBytes - old.weight + notice.weight <= NoticeLedger.mostBytes
        // Where there is no room for new words, the old ones are kept with what is new of the matter.
        problem.notice =
            fits
            ? notice
            : Notice(
                notice.kind, notice.severity, notice.subject, at: notice.instant, run: old.run, old.sentence,
                remedy: old.remedy, details: old.details)
        problem.notice.since = since
        openBytes += problem.notice.weight - old.weight
        problem.sightings = problem.sightings == .max ? .max : problem.sightings + 1
        open[key] = problem
        if isWorse { return told(key, .worse, at: now) }
        return isDue(problem, at: now, manners) ? told(key, .reminder, at: now) : nil
    }

    private mutating func isDue(_ problem: OpenProblem, at now: UInt64, _ manners: NoticeManners) -> Bool {
        if problem.lastTold > now {
            // The clock went back: counted from here.
            open[problem.notice.key]?.lastTold = now
            return false
        }
        return now - problem.lastTold >= manners.interval(problem.notice.severity)
    }

    private mutating func told(_ key: NoticeKey, _ phase: Notice.Phase, at now: UInt64) -> Notice? {
        open[key]?.lastTold = now
        guard var notice = open[key]?.notice else { return nil }
        notice.phase = phase
        return notice
    }
}

extension NoticeLedger {
    /// For the state folder.
    var document: JSONDocument {
        .members(
            (
                "open",
                .list(
                    open.keys.sorted().compactMap { open[$0] }.map { problem in
                        .members(
                            ("notice", problem.notice.document), ("first-told", .count(problem.firstTold)),
                            ("last-told", .count(problem.lastTold)), ("sightings", .count(problem.sightings)))
                    })
            ),
            (
                "moments",
                .list(
                    moments.sorted { $0.key < $1.key }.map { key, instant in
                        .members(
                            ("kind", .text(key.kind.rawValue)), ("guest", key.subject.guest.map { .text($0) }),
                            ("repository", key.subject.repository.map { .text($0) }),
                            ("policy", key.subject.policy.map { .text($0) }),
                            ("object", key.subject.object.map { .text($0) }), ("at", .count(instant)))
                    })
            ))
    }

    /// What was kept; what is not understood of it is passed over, and told as new should it go on.
    init(document: JSONDocument) {
        let open = (document["open"]?.elements ?? []).compactMap { entry -> OpenProblem? in
            guard let notice = entry["notice"].flatMap({ Notice(document: $0) }), !notice.kind.isMoment,
                let first = entry["first-told"]?.count, let last = entry["last-told"]?.count,
                let sightings = entry["sightings"]?.count
            else { return nil }
            return OpenProblem(notice: notice, firstTold: first, lastTold: last, sightings: sightings)
        }
        var moments: [NoticeKey: UInt64] = [:]
        for entry in document["moments"]?.elements ?? [] {
            guard let kind = entry["kind"]?.text.flatMap({ NoticeKind(rawValue: $0) }), let instant = entry["at"]?.count
            else { continue }
            moments[NoticeKey(kind: kind, subject: NoticeSubject(document: entry))] = instant
        }
        self.init(open: open, moments: moments)
    }
}
