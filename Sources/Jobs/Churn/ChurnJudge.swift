package import BackupModel
package import Notices

/// Whether a guest has begun to write what looks encrypted, by its own history: a pure function of what its runs met
/// (`docs/design/0018-churn-watch.md`).
///
/// Of each disk it looks at the bytes of new chunks that did not compress. A guest that always writes such
/// (photographs, archives, disks that it encrypts itself) is measured by what it always writes. What becomes new
/// besides and does compress (a reindexed database, an upgrade) speaks against it.
package struct ChurnJudge: Sendable {
    /// How a disk came to be suspect.
    package enum Manner: String, Hashable, Sendable {
        /// Much more at once than ever.
        case sudden
        /// More than before, run after run.
        case slow
        /// All of the disk is new, and it compresses no more, as it did before.
        case whole
    }

    /// What speaks against a disk.
    package struct Finding: Hashable, Sendable {
        /// The disk.
        package let disk: String
        /// How.
        package let manner: Manner
        /// Bytes that did not compress, in this run or, of `slow`, in the runs that count.
        package let byteCount: UInt64
        /// What this guest's runs have at most of them otherwise.
        package let usualByteCount: UInt64
        /// Where those of this run lie.
        package let ranges: [Extent]
    }

    /// What is thought of a run.
    package enum Verdict: Hashable, Sendable {
        /// As this guest does.
        case usual
        /// So many runs or days are known, and more are needed.
        case learning(known: Int)
        /// It looks encrypted; with the last point before it began, if there is one.
        case encryptionLike([Finding], lastClean: ChurnSample?)
    }

    /// Runs, or days of runs that come more often than twice a day, that must be known of a disk.
    package static let leastHistory = 8
    /// Newest of them that count.
    package static let mostHistory = 35
    /// Less than this is nothing, bytes: 8 MiB…
    package static let floor: UInt64 = 8 << 20
    /// …nor is less than this part of the disk, as far as one run has read it.
    package static let floorPart: UInt64 = 256
    /// Of what is new beyond the usual, so much must be incompressible.
    package static let leastShare = 0.7
    /// What had so much of it sets what there was before.
    private static let precedentShare = 0.5
    /// So many times as much as the largest before; and of a disk that always writes such.
    package static let (times, timesOfSuch) = (2.0, 4.0)
    /// A disk always writes such when at least this much of what is usually new is incompressible.
    package static let shareOfSuch = 0.5
    /// Deviations from the usual that are much at once, and that are more than before.
    private static let (suddenDeviations, slowDeviations) = (6.0, 3.0)
    /// Runs or days, this one among them, over which slow encryption is looked for…
    package static let slowLength = 7
    /// …and in so many of which there must be more than before.
    private static let slowCount = 3
    /// Of the bytes of a disk, so much new is a new full.
    private static let wholeShare = 0.5
    /// A suspect run counts as usual when so much time has passed, nanoseconds: two weeks.
    package static let suspicion: UInt64 = 14 * day
    private static let day: UInt64 = 86_400 * 1_000_000_000

    private let now: ChurnSample
    /// Runs with points before it, oldest first.
    private let before: [ChurnSample]

    /// - Parameters:
    ///   - sample: the run, with what runs had stored that were stopped before it (``ChurnSample/adding(_:)``).
    ///   - history: samples of the guest, oldest first; those without a point do not count.
    package init(_ sample: ChurnSample, history: [ChurnSample]) {
        now = sample
        before = history.filter { $0.point != nil && $0.instant <= sample.instant && $0.guest == sample.guest }
    }

    /// Runs of a guest that were stopped after its last point.
    package static func unfinished(_ history: [ChurnSample]) -> [ChurnSample] {
        Array(history.suffix(while: { $0.point == nil }))
    }

    /// What is thought of it.
    package var verdict: Verdict {
        var findings: [(finding: Finding, since: UInt64)] = []
        var known = Int.max
        for churn in now.disks {
            let history = DiskHistory(churn, at: now.instant, before: before)
            known = min(known, history.base.count)
            if let found = history.finding { findings.append(found) }
        }
        if !findings.isEmpty {
            let since = findings.map(\.since).min() ?? now.instant
            return .encryptionLike(
                findings.map(\.finding),
                lastClean: before.last { $0.instant < since && $0.judgement != .suspect })
        }
        return known < ChurnJudge.leastHistory ? .learning(known: known) : .usual
    }

    /// What became new of a disk in a run, or in all runs of a day.
    private struct Amount {
        var instant: UInt64
        var new: Double
        var incompressible: Double
        /// Whether a run of it was told of, and whether that was in the last two weeks.
        var (wasSuspect, isSuspect) = (false, false)

        init(_ churn: DiskChurn, at instant: UInt64) {
            self.instant = instant
            new = Double(churn.new.byteCount)
            incompressible = Double(churn.new.incompressibleByteCount)
        }

        mutating func add(_ other: Amount) {
            new += other.new
            incompressible += other.incompressible
            wasSuspect = wasSuspect || other.wasSuspect
            isSuspect = isSuspect || other.isSuspect
        }
    }

    /// A disk and what is known of it.
    private struct DiskHistory {
        let churn: DiskChurn
        let current: Amount
        /// The usual, oldest first.
        let base: [Amount]
        /// Bytes of the disk, as far as one run has read them.
        let largestRead: UInt64
        /// The share that did not compress when the disk was new last; `nil` when that is not known.
        let wholeShare: Double?

        init(_ churn: DiskChurn, at instant: UInt64, before: [ChurnSample]) {
            self.churn = churn
            var amounts: [Amount] = []
            var (read, share): (UInt64, Double?) = (0, nil)
            for sample in before {
                guard let earlier = sample.churn(of: churn.disk) else { continue }
                if DiskHistory.isWhole(earlier, largestRead: read) {
                    share = DiskHistory.share(earlier)
                } else {
                    var amount = Amount(earlier, at: sample.instant)
                    amount.wasSuspect = sample.judgement == .suspect
                    amount.isSuspect = amount.wasSuspect && instant - sample.instant < ChurnJudge.suspicion
                    amounts.append(amount)
                }
                read = max(read, earlier.read)
            }
            (largestRead, wholeShare) = (read, share)
            let groups = DiskHistory.grouped(amounts, Amount(churn, at: instant))
            current = groups.current
            base = Array(groups.base.filter { !$0.isSuspect }.suffix(ChurnJudge.mostHistory))
        }

        /// Runs as they are; or by days, counted back from this one, when they come more often than twice a day.
        private static func grouped(_ amounts: [Amount], _ this: Amount) -> (base: [Amount], current: Amount) {
            guard let first = amounts.first else { return ([], this) }
            let days = Double(this.instant - first.instant) / Double(day)
            guard Double(amounts.count) > 2 * max(days, 1) else { return (amounts, this) }
            var current = this
            var groups: [UInt64: Amount] = [:]
            for amount in amounts {
                let number = (this.instant - amount.instant) / day
                if number == 0 {
                    // What is suspect already is not suspect once more.
                    guard !amount.isSuspect else { continue }
                    // It may have begun with the first of them.
                    current.instant = min(current.instant, amount.instant)
                    current.add(amount)
                } else if groups[number] == nil {
                    groups[number] = amount
                } else {
                    groups[number]?.add(amount)
                }
            }
            return (groups.sorted { $0.key > $1.key }.map(\.value), current)
        }

        /// Bytes below which nothing is told.
        private var floor: Double { Double(max(ChurnJudge.floor, largestRead / ChurnJudge.floorPart)) }

        /// Whether so much of it is new that it is the first full, or another one.
        private static func isWhole(_ churn: DiskChurn, largestRead: UInt64) -> Bool {
            largestRead == 0 || Double(churn.new.byteCount) >= ChurnJudge.wholeShare * Double(largestRead)
        }

        private static func share(_ churn: DiskChurn) -> Double? {
            churn.new.byteCount == 0
                ? nil : Double(churn.new.incompressibleByteCount) / Double(churn.new.byteCount)
        }

        /// What speaks against it, and since when.
        var finding: (finding: Finding, since: UInt64)? {
            if DiskHistory.isWhole(churn, largestRead: largestRead) { return whole }
            guard base.count >= ChurnJudge.leastHistory else { return nil }
            return sudden ?? slow
        }

        private func finding(_ manner: Manner, _ bytes: Double, usual: Double) -> Finding {
            Finding(
                disk: churn.disk, manner: manner, byteCount: UInt64(bytes), usualByteCount: UInt64(usual),
                ranges: churn.new.ranges)
        }

        private var whole: (Finding, UInt64)? {
            guard let before = wholeShare, let share = DiskHistory.share(churn), share >= ChurnJudge.leastShare,
                before < share / 2, Double(churn.new.incompressibleByteCount) >= floor
            else { return nil }
            let bytes = Double(churn.new.incompressibleByteCount)
            return (finding(.whole, bytes, usual: before * bytes), current.instant)
        }

        /// Much at once.
        private var sudden: (Finding, UInt64)? {
            let usual = Usual(base)
            // An upgrade that brought as much and much else besides is no precedent.
            let largest = base.filter { usual.isPrecedent($0) }.map(\.incompressible).max() ?? 0
            let limit = max(
                usual.incompressible + ChurnJudge.suddenDeviations * usual.deviation,
                (usual.writesSuch ? ChurnJudge.timesOfSuch : ChurnJudge.times) * largest)
            guard current.incompressible > limit, usual.isExcess([current], floor: floor) else { return nil }
            return (finding(.sudden, current.incompressible, usual: largest), current.instant)
        }

        /// More than before, again and again.
        private var slow: (Finding, UInt64)? {
            let window = base.suffix(ChurnJudge.slowLength - 1) + [current]
            let older = Array(base.dropLast(ChurnJudge.slowLength - 1))
            guard older.count >= ChurnJudge.leastHistory else { return nil }
            let usual = Usual(older)
            guard !usual.writesSuch else { return nil }
            // What was told of and went on for two weeks is not told of again for being a little more.
            let accustomed = base.filter(\.wasSuspect).map(\.incompressible).max() ?? 0
            let limit = max(
                usual.incompressible + ChurnJudge.slowDeviations * usual.deviation, ChurnJudge.times * accustomed,
                floor / 8)
            let more = window.filter { !$0.wasSuspect && $0.incompressible > limit }
            // What usually becomes new differs from night to night by more than a slow attack writes.
            let allowance = usual.newDeviation * Double(more.count).squareRoot()
            guard more.count >= ChurnJudge.slowCount, more.last?.instant == current.instant,
                usual.isExcess(more, floor: floor, allowance: allowance)
            else { return nil }
            // No week before had as much.
            let sum = window.reduce(0) { $0 + $1.incompressible }
            let largest =
                older.indices.map { start in
                    older[start..<min(start + ChurnJudge.slowLength, older.count)].reduce(0) { $0 + $1.incompressible }
                }.max() ?? 0
            guard sum > ChurnJudge.times * largest else { return nil }
            return (finding(.slow, sum, usual: largest), more.first?.instant ?? current.instant)
        }
    }

    /// What is usual of a disk.
    private struct Usual {
        /// Medians.
        let (new, incompressible): (Double, Double)
        /// Of the incompressible and of all new bytes, as a standard deviation; by the median, which a few odd nights
        /// do not move.
        let (deviation, newDeviation): (Double, Double)
        /// Whether the disk always writes what does not compress.
        let writesSuch: Bool

        init(_ amounts: [Amount]) {
            (new, newDeviation) = Usual.spread(amounts.map(\.new))
            (incompressible, deviation) = Usual.spread(amounts.map(\.incompressible))
            let shares = amounts.filter { $0.new > 0 }.map { $0.incompressible / $0.new }
            writesSuch = !shares.isEmpty && Usual.median(shares) >= ChurnJudge.shareOfSuch
        }

        /// The median and the deviation from it.
        private static func spread(_ values: [Double]) -> (Double, Double) {
            let middle = median(values)
            return (middle, 1.4826 * median(values.map { abs($0 - middle) }))
        }

        private static func median(_ values: [Double]) -> Double {
            let sorted = values.sorted()
            guard !sorted.isEmpty else { return 0 }
            let middle = sorted.count / 2
            return sorted.count.isMultiple(of: 2) ? (sorted[middle - 1] + sorted[middle]) / 2 : sorted[middle]
        }

        /// Whether what it has beyond the usual looked like encryption too, in doubt yes.
        func isPrecedent(_ amount: Amount) -> Bool {
            amount.incompressible - incompressible
                >= ChurnJudge.precedentShare * (amount.new - new - 2 * newDeviation)
        }

        /// Whether what is beyond the usual is enough, and mostly incompressible.
        ///
        /// - Parameter allowance: so much of what is new beyond the usual is left out of account.
        func isExcess(_ amounts: [Amount], floor: Double, allowance: Double = 0) -> Bool {
            let incompressible = amounts.reduce(0) { $0 + $1.incompressible - self.incompressible }
            let new = amounts.reduce(0) { $0 + $1.new - self.new } - allowance
            return incompressible >= floor && incompressible >= ChurnJudge.leastShare * new
        }
    }
}

extension ChurnJudge.Verdict {
    /// How it is kept.
    package var judgement: ChurnSample.Judgement {
        switch self {
        case .usual: .usual
        case .learning: .learning
        case .encryptionLike: .suspect
        }
    }

    /// What people are told, a notice for each disk; none unless it looks encrypted.
    ///
    /// - Parameters:
    ///   - subject: guest, repository and policy.
    ///   - run: the run's id.
    ///   - isHeld: whether the last clean point is held.
    ///   - now: nanoseconds since 1970.
    package func notices(_ subject: NoticeSubject, run: String, isHeld: Bool, at now: UInt64) -> [Notice] {
        guard case .encryptionLike(let findings, let clean) = self else { return [] }
        let last = clean.flatMap { sample in sample.point.map { (point: $0, instant: sample.instant) } }
        return findings.map { finding in
            var subject = subject
            subject.object = finding.disk
            return .encryptionLike(
                subject, run: run, at: now, disk: finding.disk,
                ranges: finding.ranges.map { $0.start..<$0.end }, lastClean: last, isHeld: isHeld)
        }
    }
}

extension Array {
    /// The elements at the end that are all fit.
    fileprivate func suffix(while isFit: (Element) -> Bool) -> ArraySlice<Element> {
        let start = lastIndex { !isFit($0) }.map { $0 + 1 } ?? startIndex
        return self[start...]
    }
}
