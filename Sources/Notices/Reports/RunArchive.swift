package import Effects

/// The records of runs that a host keeps, in a folder of its own: one line of JSON for each time a run is told of.
///
/// A run is told of when it begins and again when it has ended; the last line of a run counts. Several processes may
/// write and read at once. What cannot be read of it is passed over and counted, and costs nothing but itself.
package struct RunArchive: Sendable {
    /// Days after which a record is dropped.
    package static let longestKeeping: UInt64 = 400
    /// Most bytes of all records; beyond them the oldest days go.
    package static let mostBytes: UInt64 = 256 << 20
    /// Most bytes of the records of one day, some 40,000 runs.
    package static let mostBytesOfDay: UInt64 = 32 << 20
    /// How long before a range of time a run may have begun that is found in it, nanoseconds: 8 days.
    package static let longestRun: UInt64 = 8 * RunArchive.day

    private static let day: UInt64 = 86_400 * 1_000_000_000
    private let log: DayLog

    /// - Parameters:
    ///   - folder: absolute, `<state>/agent/runs`; made when the first record is kept.
    ///   - bounds: how much is kept; the usual when left out.
    package init(
        folder: String, bounds: DayLog.Bounds = DayLog.Bounds(total: mostBytes, day: mostBytesOfDay)
    ) {
        log = DayLog(folder: folder, bounds: bounds)
    }

    /// What was found, and how many lines of it made no sense: mostly none, one after a crash.
    package struct Found: Hashable, Sendable {
        /// The records.
        package var records: [RunRecord] = []
        /// Lines that were passed over.
        package var damagedLines = 0

        /// Nothing.
        package init() {}
    }

    // MARK: Writing

    /// Keeps a record, durably; of a run that is kept already, this one counts from now on.
    ///
    /// - Parameters:
    ///   - record: of a run that begins, goes on or has ended; its beginning stays what it was at first.
    ///   - now: nanoseconds since 1970; what is older than ``longestKeeping`` days is dropped.
    /// - Throws: ``FileError``; the record is then not kept.
    package func keep(_ record: RunRecord, at now: UInt64) throws(FileError) {
        try log.append(
            record.document.encoded, day: CivilTime(record.began).date, oldest: RunArchive.oldestDay(at: now),
            condense: RunArchive.condensed)
    }

    /// The day of an instant, as ``DayLog`` has it.
    package static func day(of instant: UInt64) -> String { CivilTime(instant).date }

    /// The oldest day of which anything is kept at an instant.
    package static func oldestDay(at now: UInt64) -> String {
        let keeping = longestKeeping * day
        return CivilTime(now > keeping ? now - keeping : 0).date
    }

    private static func record(_ line: ArraySlice<UInt8>) -> RunRecord? {
        (try? JSONDocument(decoding: Array(line))).flatMap { RunRecord(document: $0) }
    }

    /// The last line of each run, in the order of their first.
    private static func condensed(_ lines: [ArraySlice<UInt8>]) -> [ArraySlice<UInt8>] {
        var order: [String] = []
        var last: [String: ArraySlice<UInt8>] = [:]
        for line in lines {
            guard let record = record(line) else { continue }
            if last.updateValue(line, forKey: record.run) == nil { order.append(record.run) }
        }
        return order.compactMap { last[$0] }
    }

    // MARK: Reading

    /// The runs that began on a day, in the order they were told of first.
    private func runs(of day: String, damaged: inout Int) throws(FileError) -> [RunRecord] {
        var order: [String] = []
        var last: [String: RunRecord] = [:]
        for line in try log.lines(of: day) {
            guard let record = RunArchive.record(line) else {
                damaged += 1
                continue
            }
            if last.updateValue(record, forKey: record.run) == nil { order.append(record.run) }
        }
        return order.compactMap { last[$0] }
    }

    /// Runs that were under way in a range of time, by their beginning; one that goes on is under way until now. Runs
    /// that began more than ``longestRun`` before the range are not looked for.
    ///
    /// - Parameter range: nanoseconds since 1970.
    /// - Throws: ``FileError``.
    package func records(in range: Range<UInt64>) throws(FileError) -> Found {
        var found = Found()
        guard !range.isEmpty else { return found }
        let first = CivilTime(range.lowerBound > RunArchive.longestRun ? range.lowerBound - RunArchive.longestRun : 0)
        let last = CivilTime(range.upperBound - 1).date
        for day in try log.days() where day >= first.date && day <= last {
            found.records += try runs(of: day, damaged: &found.damagedLines).filter { record in
                record.began < range.upperBound && record.end >= range.lowerBound
            }
        }
        found.records = found.records.enumerated().sorted {
            ($0.element.began, $0.offset) < ($1.element.began, $1.offset)
        }.map(\.element)
        return found
    }

    /// Goes from the newest run to the oldest.
    ///
    /// - Parameter body: is given each run once; returns whether to go on.
    private func walkBack(_ body: (RunRecord) -> Bool) throws(FileError) {
        var damaged = 0
        for day in try log.days().reversed() {
            let runs = try runs(of: day, damaged: &damaged).enumerated().sorted {
                ($1.element.began, $1.offset) < ($0.element.began, $0.offset)
            }
            for run in runs where !body(run.element) { return }
        }
    }

    /// The newest record of each guest under each policy and repository.
    ///
    /// - Parameters:
    ///   - wanted: subjects that are looked for, all when left out: then every day is read. Objects do not count.
    ///   - isFit: which records count; all when left out.
    /// - Throws: ``FileError``.
    package func newest(
        of wanted: Set<NoticeSubject>? = nil, where isFit: (RunRecord) -> Bool = { _ in true }
    ) throws(FileError) -> [NoticeSubject: RunRecord] {
        var newest: [NoticeSubject: RunRecord] = [:]
        let wanted = wanted.map { Set($0.map(\.withoutObject)) }
        if let wanted, wanted.isEmpty { return newest }
        try walkBack { record in
            let subject = record.subject.withoutObject
            if newest[subject] == nil, wanted?.contains(subject) ?? true, isFit(record) { newest[subject] = record }
            return wanted.map { newest.count < $0.count } ?? true
        }
        return newest
    }

    /// When the first run that is kept began; `nil` of none.
    ///
    /// - Throws: ``FileError``.
    package func first() throws(FileError) -> UInt64? {
        var damaged = 0
        for day in try log.days() {
            if let first = try runs(of: day, damaged: &damaged).map(\.began).min() { return first }
        }
        return nil
    }

    /// Days that ``storedPerDay(repository:at:)`` looks back.
    private static let daysOfStoring: UInt64 = 28

    /// Bytes a day that runs have stored in a repository over the last four weeks, or since the first run that is kept,
    /// a day at least; `nil` when no run of that time names it.
    ///
    /// - Parameters:
    ///   - repository: as the subjects of runs call it.
    ///   - now: nanoseconds since 1970.
    /// - Throws: ``FileError``.
    package func storedPerDay(repository: String, at now: UInt64) throws(FileError) -> UInt64? {
        let length = RunArchive.daysOfStoring * RunArchive.day
        let begin = now > length ? now - length : 0
        let runs = try records(in: begin..<max(now, begin + 1)).records.filter {
            $0.subject.repository == repository && $0.began >= begin
        }
        guard let first = runs.map(\.began).min() else { return nil }
        let stored = runs.reduce(UInt64(0)) { later($0, by: $1.sizes.stored) }
        return UInt64(Double(stored) * Double(RunArchive.day) / Double(max(passed(first, now), RunArchive.day)))
    }

    /// The last runs of a guest under a policy that went to their end, oldest first: what forecasts are made of.
    ///
    /// - Parameter count: at most so many.
    /// - Throws: ``FileError``.
    package func history(
        guest: String, policy: String?, last count: Int
    ) throws(FileError) -> [RunRecord] {
        guard count > 0 else { return [] }
        var runs: [RunRecord] = []
        try walkBack { record in
            if record.subject.guest == guest, record.subject.policy == policy, record.isWhole { runs.append(record) }
            return runs.count < count
        }
        return runs.reversed()
    }
}

extension RunRecord {
    /// Whether it made a point, whole or in part.
    package var hasPoint: Bool { isWhole && point != nil }

    /// Whether it went to its end: neither stopped, failed, skipped nor under way.
    package var isWhole: Bool {
        switch outcome {
        case .complete, .partial: ended != nil
        case .running, .failed, .stopped, .skipped: false
        }
    }

    /// Seconds that it took, rounded; `nil` while it goes on. What ``Jobs`` takes as history.
    package var seconds: Int? { ended.map { Int(clamping: (passed(began, $0) + 500_000_000) / 1_000_000_000) } }

    /// When it ended; the last instant there is while it goes on, and its beginning for one that ended before that.
    var end: UInt64 { max(began, ended ?? (outcome == .running ? .max : began)) }
}

extension NoticeSubject {
    /// Guest, repository and policy alone.
    var withoutObject: NoticeSubject { NoticeSubject(guest: guest, repository: repository, policy: policy) }
}
