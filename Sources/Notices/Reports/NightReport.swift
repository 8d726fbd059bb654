/// What a night came to: one model, which is rendered as text, as JSON and as a page.
package struct NightReport: Hashable, Sendable {
    /// How a guest stands when the report is made.
    package struct Standing: Hashable, Sendable {
        /// Guest, repository and policy.
        package let subject: NoticeSubject
        /// How old its last point may be, nanoseconds; `nil` when nothing is promised.
        package let objective: UInt64?
        /// Its last good point; `nil` when there is none.
        package let lastPoint: UInt64?
        /// How old that is, nanoseconds; since the promise holds when there is none.
        package let age: UInt64
        /// How that compares; `nil` when nothing is promised.
        package let grade: ObjectiveClass?

        /// The standing of a promise at an instant; a point from the far future proves nothing.
        package init(_ promise: RunPromise, at now: UInt64) {
            subject = promise.subject
            objective = promise.objective.flatMap { $0 > 0 ? $0 : nil }
            lastPoint = promise.lastPoint.flatMap { $0 > later(now, by: Absence.clockTolerance) ? nil : $0 }
            let age = passed(lastPoint ?? promise.since, now)
            self.age = age
            grade = objective.map { ObjectiveClass(age: age, target: $0) }
        }
    }

    /// Most runs that are told one by one; of more the least interesting are left out, and counted.
    package static let mostRuns = 2000

    /// Name of the host.
    package let host: String
    /// Beginning and end of the night, nanoseconds since 1970.
    package let night: Range<UInt64>
    /// When the report was made.
    package let made: UInt64
    /// Runs, the ones that want a look first, then by their beginning.
    package let runs: [RunRecord]
    /// Runs that are not told one by one.
    package let unlisted: Int
    /// Guests, the worst first.
    package let standings: [Standing]
    /// Problems that go on, the worst first.
    package let problems: [Notice]
    /// Sums over all runs.
    package let sizes: RunRecord.Sizes
    /// How many runs ended how, by the words of outcomes.
    package let counts: [String: Int]

    /// - Parameters:
    ///   - host: name of the host.
    ///   - night: its beginning and end, nanoseconds since 1970.
    ///   - runs: those of it.
    ///   - promises: how all guests stand, as for ``Absence``.
    ///   - problems: those that go on.
    ///   - now: when it is made.
    package init(
        host: String, night: Range<UInt64>, runs: [RunRecord], promises: [RunPromise], problems: [Notice],
        at now: UInt64
    ) {
        self.host = PlainText.line(host, limit: 64)
        self.night = night
        made = now
        let sorted = runs.enumerated().sorted {
            let (left, right) = ($0.element, $1.element)
            return (NightReport.rank(left.outcome), left.began, $0.offset)
                < (NightReport.rank(right.outcome), right.began, $1.offset)
        }.map(\.element)
        self.runs = Array(sorted.prefix(NightReport.mostRuns))
        unlisted = runs.count - self.runs.count
        standings = promises.map { Standing($0, at: now) }.enumerated().sorted {
            let (left, right) = ($0.element, $1.element)
            let (first, second) = (left.grade ?? .kept, right.grade ?? .kept)
            if first != second { return first > second }
            return (left.subject.guest ?? "", $0.offset) < (right.subject.guest ?? "", $1.offset)
        }.map(\.element)
        self.problems = problems.sorted { ($1.severity, $0.key) < ($0.severity, $1.key) }
        sizes = runs.reduce(RunRecord.Sizes()) { $0 + $1.sizes }
        counts = runs.reduce(into: [:]) { $0[$1.outcome.word, default: 0] += 1 }
    }

    private static func rank(_ outcome: RunRecord.Outcome) -> Int {
        switch outcome {
        case .failed: 0
        case .skipped: 1
        case .stopped: 2
        case .partial: 3
        case .running: 4
        case .complete: 5
        }
    }

    /// Words of outcomes in the order of the report.
    static let words = ["failed", "skipped", "stopped", "partial", "running", "complete"]

    /// Guests whose promise is broken.
    package var brokenCount: Int { standings.filter { $0.grade.map { $0 > .kept } ?? false }.count }

    /// One line: how it was.
    package var headline: String {
        let words = NightReport.words.compactMap { word in counts[word].map { "\($0) \(word)" } }
        let runs = words.isEmpty ? "no run at all" : words.joined(separator: ", ")
        let pointless = standings.count { $0.lastPoint == nil }
        let kept =
            pointless == 0
            ? "every promise is kept" : "no promise is broken yet, \(pointless) of \(standings.count) have no point"
        let broken = brokenCount == 0 ? kept : "\(brokenCount) of \(standings.count) promises broken"
        return standings.isEmpty ? runs : "\(runs); \(broken)"
    }

    /// The notice that the night is over: information after a good night, else a notice, for what was bad has been told
    /// by itself. Whoever asks for it is told every night, and misses it when nobody is left to tell anything.
    package var notice: Notice {
        let broken = standings.filter { $0.grade.map { $0 > .kept } ?? false }
        let isGood =
            broken.isEmpty && problems.allSatisfy { $0.severity == .information } && !runs.isEmpty
            && counts.keys.allSatisfy { $0 == "complete" }
        let named = broken.prefix(NightReport.mostNamed).map { standing in
            NoticeDetail("broken-promise", "\(standing.subject.guest ?? "?") \(standing.grade?.rawValue ?? "")")
        }
        return Notice(
            .night, isGood ? .information : .notice, NoticeSubject(object: "\(host) \(CivilTime(made).date)"), at: made,
            "the night of \(host) that ended \(CivilTime(night.upperBound).readable): \(headline)",
            remedy: isGood ? nil : "see dozo report nightly",
            details: [
                NoticeDetail("bytes-read", "\(sizes.read)"), NoticeDetail("bytes-stored", "\(sizes.stored)"),
                NoticeDetail("open-problems", "\(problems.count)"), NoticeDetail("broken-promises", "\(broken.count)"),
            ] + named)
    }

    /// Guests with a broken promise that its notice names.
    private static let mostNamed = 24

    /// For machines.
    package var document: JSONDocument {
        .members(
            ("format", .text("dozo-nightly-1")), ("host", .text(host)), ("from", .count(night.lowerBound)),
            ("until", .count(night.upperBound)), ("made", .count(made)), ("headline", .text(headline)),
            ("counts", .object(NightReport.words.map { .init($0, .number(Int64(counts[$0] ?? 0))) })),
            ("bytes-read", .count(sizes.read)), ("bytes-read-again", .count(sizes.readAgain)),
            ("bytes-changed", .count(sizes.changed)), ("bytes-new", .count(sizes.new)),
            ("bytes-stored", .count(sizes.stored)), ("runs", .list(runs.map(\.document))),
            ("unlisted-runs", .number(Int64(unlisted))),
            (
                "guests",
                .list(
                    standings.map { standing in
                        .members(
                            ("guest", standing.subject.guest.map { .text($0) }),
                            ("repository", standing.subject.repository.map { .text($0) }),
                            ("policy", standing.subject.policy.map { .text($0) }),
                            ("objective", standing.objective.map { .count($0) }),
                            ("last-point", standing.lastPoint.map { .count($0) }), ("age", .count(standing.age)),
                            ("objective-class", standing.grade.map { .text($0.rawValue) }))
                    })
            ), ("problems", .list(problems.map(\.document))))
    }
}
