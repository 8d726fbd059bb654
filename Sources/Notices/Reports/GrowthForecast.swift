/// When a file system will be full, by how full it was: a line through daily samples that a few odd days do not bend.
///
/// The slope is the median of the slopes between all pairs of samples (Theil 1950, Sen 1968): up to 29 % of them may be
/// anything. Its range is Sen's, in which it lies with a probability of 90 % when days depend on nothing but the time;
/// they do depend on each other, so that the range is rather too narrow. A jump that came three times at most, such as
/// a large guest's first full, is part of the level and not of the growth. The level is that of the highest of the last
/// days: what is swept once a week fills up on the day before, not on average.
package struct GrowthForecast: Hashable, Sendable {
    /// How full it was.
    package struct Sample: Hashable, Sendable {
        /// Nanoseconds since 1970.
        package let instant: UInt64
        /// Bytes in use.
        package let used: UInt64

        /// - Parameters: see the properties.
        package init(instant: UInt64, used: UInt64) {
            self.instant = instant
            self.used = used
        }
    }

    /// What is foreseen.
    package enum Outcome: Hashable, Sendable {
        /// Nothing: the history is too short, or has too few days.
        case tooLittle
        /// It does not grow, or so slowly that ``farthest`` days are not enough.
        case steady
        /// It is full then, nanoseconds since 1970: probably, at the earliest, and at the latest; `nil` when it may as
        /// well not grow at all.
        case full(at: UInt64, earliest: UInt64, latest: UInt64?)
    }

    /// Fewest daily samples that say anything…
    package static let fewestDays = 10
    /// …and fewest days from the first to the last.
    package static let shortestSpan = 14
    /// Newest daily samples that count; those before say little about what is kept today.
    package static let mostDays = 90
    /// Days ahead that are looked: ten years.
    package static let farthest = 3650
    /// Samples of so many last days set the level: a week, and a day for a sweep that came late.
    private static let levelDays = 8.0
    /// Of the normal distribution, for 90 % on two sides.
    private static let deviations = 1.645
    /// More jumps than these are how it grows.
    private static let mostJumps = 3
    /// A jump is so many times as large as the usual day, and so many deviations from it.
    private static let jump = 6.0

    /// Daily samples that were taken into account.
    package let dayCount: Int
    /// Days from the first to the last of them.
    package let span: Int
    /// Bytes a day: probably, at least, at most; `nil` when the history is too short.
    package let growth: (probable: Int64, least: Int64, most: Int64)?
    /// What is foreseen.
    package let outcome: Outcome

    package static func == (left: GrowthForecast, right: GrowthForecast) -> Bool {
        left.dayCount == right.dayCount && left.span == right.span && left.outcome == right.outcome
            && left.growth?.probable == right.growth?.probable && left.growth?.least == right.growth?.least
            && left.growth?.most == right.growth?.most
    }

    package func hash(into hasher: inout Hasher) {
        hasher.combine(dayCount)
        hasher.combine(span)
        hasher.combine(outcome)
        hasher.combine(growth?.probable)
    }

    private static let day = 86_400.0 * 1_000_000_000

    /// Looks ahead.
    ///
    /// - Parameters:
    ///   - samples: in any order; of several of one day the last counts, and none from more than a day ahead of `now`.
    ///   - used: bytes in use now.
    ///   - free: bytes that may still be written.
    ///   - now: nanoseconds since 1970.
    package init(_ samples: [Sample], used: UInt64, free: UInt64, at now: UInt64) {
        let days = GrowthForecast.daily(samples, at: now)
        dayCount = days.count
        let points = days.map { sample in
            (x: (Double(sample.instant) - Double(now)) / GrowthForecast.day, y: Double(sample.used))
        }
        let length = points.isEmpty ? 0 : points[points.count - 1].x - points[0].x
        span = Int(length.rounded())
        guard dayCount >= GrowthForecast.fewestDays, span >= GrowthForecast.shortestSpan else {
            growth = nil
            outcome = .tooLittle
            return
        }
        let offsets = GrowthForecast.jumps(points)
        let smooth = zip(points, offsets).map { (x: $0.x, y: $0.y - $1) }
        var slopes: [Double] = []
        slopes.reserveCapacity(points.count * (points.count - 1) / 2)
        for (index, later) in smooth.enumerated() {
            for earlier in smooth[..<index] where later.x > earlier.x {
                slopes.append((later.y - earlier.y) / (later.x - earlier.x))
            }
        }
        slopes.sort()
        let slope = GrowthForecast.median(slopes)
        let n = Double(points.count)
        let spread = GrowthForecast.deviations * (n * (n - 1) * (2 * n + 5) / 18).squareRoot()
        let lower = Int(((Double(slopes.count) - spread) / 2).rounded(.down)).clamped(to: 0...(slopes.count - 1))
        let (least, most) = (slopes[lower], slopes[slopes.count - 1 - lower])
        growth = (
            Int64(clamping: Int(slope.rounded())), Int64(clamping: Int(least.rounded())),
            Int64(clamping: Int(most.rounded()))
        )
        let recent = points.filter { $0.x > points[points.count - 1].x - GrowthForecast.levelDays }
        let level = max(Double(used), recent.map { $0.y - slope * $0.x }.max() ?? 0)
        let room = max(0, Double(used) + Double(free) - level)
        func full(_ slope: Double) -> UInt64? {
            guard slope > 0, room / slope <= Double(GrowthForecast.farthest) else { return nil }
            return later(now, by: UInt64(room / slope * GrowthForecast.day))
        }
        if let probable = full(slope) {
            outcome = .full(at: probable, earliest: full(most) ?? probable, latest: full(least))
        } else {
            outcome = .steady
        }
    }

    /// The last sample of each of the newest days, ascending.
    private static func daily(_ samples: [Sample], at now: UInt64) -> [Sample] {
        var last: [UInt64: Sample] = [:]
        for sample in samples where sample.instant <= later(now, by: Absence.clockTolerance) {
            let day = sample.instant / UInt64(day)
            if last[day].map({ $0.instant <= sample.instant }) ?? true { last[day] = sample }
        }
        return last.sorted { $0.key < $1.key }.suffix(mostDays).map(\.value)
    }

    /// What jumps have added up to, for each point; nothing when there are so many that they are how it grows.
    private static func jumps(_ points: [(x: Double, y: Double)]) -> [Double] {
        let differences = zip(points, points.dropFirst()).map { ($1.y - $0.y) / max($1.x - $0.x, 0.5) }
        let usual = median(differences.sorted())
        // 1.4826 times the median deviation is the standard deviation of what is normally distributed.
        let deviation = 1.4826 * median(differences.map { abs($0 - usual) }.sorted())
        let least = jump * max(deviation, abs(usual))
        let isJump = differences.map { abs($0 - usual) > least }
        guard isJump.count(where: \.self) <= mostJumps else { return points.map { _ in 0 } }
        var sum = 0.0
        return [0]
            + zip(points, points.dropFirst()).enumerated().map { index, pair in
                if isJump[index] { sum += pair.1.y - pair.0.y - usual * (pair.1.x - pair.0.x) }
                return sum
            }
    }

    private static func median(_ sorted: [Double]) -> Double {
        let middle = sorted.count / 2
        return sorted.count.isMultiple(of: 2) ? (sorted[middle - 1] + sorted[middle]) / 2 : sorted[middle]
    }

    /// As ``Absence`` takes it: a problem when it is nearer than `warning`.
    ///
    /// - Parameters:
    ///   - subject: the repository, and its file system as the object.
    ///   - free: bytes that are free now.
    ///   - warning: how long before somebody wants to know, nanoseconds.
    package func room(_ subject: NoticeSubject, free: UInt64, warning: UInt64) -> RoomForecast {
        var fullAt: UInt64?
        if case .full(let instant, _, _) = outcome { fullAt = instant }
        return RoomForecast(subject: subject, freeBytes: free, fullAt: fullAt, warning: warning)
    }

    /// For people, in a few words.
    package var words: String {
        switch outcome {
        case .tooLittle:
            return "too little history: \(dayCount) day\(dayCount == 1 ? "" : "s") of \(GrowthForecast.fewestDays), "
                + "over \(span) of \(GrowthForecast.shortestSpan)"
        case .steady: return "does not fill up, by \(dayCount) days"
        case .full(let at, let earliest, let latest):
            let end = latest.map { CivilTime($0).date } ?? "never"
            return "full on \(CivilTime(at).date) (\(CivilTime(earliest).date) to \(end)), by \(dayCount) days"
        }
    }

    /// For machines.
    package var document: JSONDocument {
        var (word, full, earliest, latest): (String, UInt64?, UInt64?, UInt64?) = ("too-little-history", nil, nil, nil)
        switch outcome {
        case .tooLittle: break
        case .steady: word = "steady"
        case .full(let at, let first, let last): (word, full, earliest, latest) = ("full", at, first, last)
        }
        return .members(
            ("outcome", .text(word)), ("full-at", full.map { .count($0) }), ("earliest", earliest.map { .count($0) }),
            ("latest", latest.map { .count($0) }), ("bytes-per-day", growth.map { .number($0.probable) }),
            ("least-bytes-per-day", growth.map { .number($0.least) }),
            ("most-bytes-per-day", growth.map { .number($0.most) }), ("days", .number(Int64(dayCount))),
            ("span-days", .number(Int64(span))))
    }
}

extension Comparable {
    fileprivate func clamped(to range: ClosedRange<Self>) -> Self {
        min(max(self, range.lowerBound), range.upperBound)
    }
}
