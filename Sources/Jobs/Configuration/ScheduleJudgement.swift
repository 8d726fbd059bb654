/// What a schedule can promise, by the clock on the wall: the night in which it is turned back has an hour more, and no
/// policy of 24 hours is refused for that.
enum ScheduleJudgement {
    /// A Monday, 2024-01-01, before a leap day; seconds since 1970.
    private static let begin = 1_704_067_200
    private static let days = 2 * 366
    /// So many days are looked at in full, the others at the ends of their days and of the window.
    private static let daysInFull = 15

    /// The shortest and the longest time between two runs that begin, in seconds; what is due outside of the window
    /// begins when it opens. `nil` when fewer than two begin in two years.
    static func gaps(_ schedule: Schedule, window: BackupWindow?) -> ClosedRange<Int>? {
        if case .every(let seconds) = schedule, window == nil { return seconds...seconds }
        var found: ClosedRange<Int>?
        var last: Int?
        for candidate in candidates(schedule, window) {
            let time = start(of: candidate.time, in: window)
            if let last, time != last, !candidate.isOneOfFew {
                let gap = time - last
                found = min(gap, found?.lowerBound ?? gap)...max(gap, found?.upperBound ?? gap)
            }
            last = time
        }
        if case .every(let seconds) = schedule, let own = found { return min(seconds, own.lowerBound)...own.upperBound }
        return found
    }

    /// Whether it is due inside of a window at all.
    static func isEverDue(_ schedule: Schedule, in window: BackupWindow) -> Bool {
        candidates(schedule, window).contains { start(of: $0.time, in: window) == $0.time }
    }

    private static func start(of time: Int, in window: BackupWindow?) -> Int {
        let minute = time % CivilTime.secondsOfDay / 60
        guard let window, !window.contains(minute: minute) else { return time }
        return (time / 60 + (window.from - minute + 1440) % 1440) * 60
    }

    /// A time at which it is due.
    private struct Candidate {
        let time: Int
        /// Whether others of its day were left out before it, which a day that is looked at in full has shown.
        var isOneOfFew = false
    }

    /// Times at which it is due in two years, ascending; of all days but the first those that can make the longest gap.
    private static func candidates(_ schedule: Schedule, _ window: BackupWindow?) -> [Candidate] {
        switch schedule {
        case .every(let seconds):
            // Seconds make no gap that minutes do not make, but for themselves.
            let step = max(seconds, 60)
            let length = seconds < CivilTime.secondsOfDay ? daysInFull : days
            return stride(from: (begin / step + 1) * step, through: begin + length * CivilTime.secondsOfDay, by: step)
                .map { Candidate(time: $0) }
        case .calendar(let expression):
            let all = expression.minutesOfDay
            let few = ends(of: all, window)
            var found: [Candidate] = []
            var count = 0
            for day in 0..<days {
                let midnight = begin + day * CivilTime.secondsOfDay
                guard expression.isDue(onDayOf: CivilTime(wallSeconds: midnight)) else { continue }
                count += 1
                let isFull = count <= daysInFull
                for (index, minute) in (isFull ? all : few).enumerated() {
                    found.append(Candidate(time: midnight + minute * 60, isOneOfFew: !isFull && index > 0))
                }
            }
            return found
        }
    }

    /// The first and last minutes of a day, and those beside the ends of the window.
    private static func ends(of minutes: [Int], _ window: BackupWindow?) -> [Int] {
        var few: Set<Int> = []
        for bound in [0, 1440, window?.from, window?.to].compactMap(\.self) {
            if let before = minutes.last(where: { $0 < bound }) { few.insert(before) }
            if let behind = minutes.first(where: { $0 >= bound }) { few.insert(behind) }
        }
        return few.sorted()
    }
}
