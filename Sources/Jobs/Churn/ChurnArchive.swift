package import Effects
import Notices

/// What runs met of the guests' disks, kept on the host for each repository: a guest's own history, by which its next
/// run is judged. Losing it costs the time in which that is learnt anew.
///
/// It does not stand in the repository: whoever writes opens nothing old there, so that a run could not read it.
package struct ChurnArchive: Sendable {
    /// Most bytes of all samples, and of a day.
    package static let bounds = DayLog.Bounds(total: 64 << 20, day: 8 << 20)
    /// Days of a guest's history that are read.
    package static let daysRead = 60

    private let log: DayLog

    /// - Parameter folder: absolute; made when the first sample is kept.
    package init(folder: String) { log = DayLog(folder: folder, bounds: ChurnArchive.bounds) }

    /// Keeps a sample, durably.
    ///
    /// - Parameter now: nanoseconds since 1970; what is older than ``RunArchive/longestKeeping`` days is dropped.
    /// - Throws: ``FileError``.
    package func keep(_ sample: ChurnSample, at now: UInt64) throws(FileError) {
        try log.append(
            sample.document.encoded, day: RunArchive.day(of: sample.instant), oldest: RunArchive.oldestDay(at: now))
    }

    /// The samples of a guest on the last ``daysRead`` days that have any, oldest first. Lines that make no sense are
    /// passed over.
    ///
    /// - Parameter guest: its id in hexadecimal.
    /// - Throws: ``FileError``.
    package func samples(of guest: String) throws(FileError) -> [ChurnSample] {
        var samples: [ChurnSample] = []
        for day in try log.days().suffix(ChurnArchive.daysRead) {
            samples += try log.lines(of: day).compactMap { line in
                (try? JSONDocument(decoding: Array(line))).flatMap { ChurnSample(document: $0) }
            }.filter { $0.guest == guest }
        }
        return samples.enumerated().sorted {
            ($0.element.instant, $0.offset) < ($1.element.instant, $1.offset)
        }.map(\.element)
    }
}
