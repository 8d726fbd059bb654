package import Effects

/// How full the repositories of a host were, a sample a day: what ``GrowthForecast`` is made of. Lies in a folder of
/// its own beside ``RunArchive``, and is kept as long.
package struct CapacityArchive: Sendable {
    /// How full a repository and its file system were.
    package struct Sample: Hashable, Sendable {
        /// Nanoseconds since 1970.
        package let instant: UInt64
        /// The absolute path of the repository's folder, by which it is known here.
        package let location: String
        /// Bytes of the repository's objects; `nil` when nobody counted them.
        package let size: UInt64?
        /// Bytes in use on its file system, by whomever.
        package let used: UInt64
        /// Bytes that may still be written there.
        package let free: UInt64

        /// - Parameters: see the properties.
        package init(instant: UInt64, location: String, size: UInt64?, used: UInt64, free: UInt64) {
            self.instant = instant
            self.location = location
            self.size = size
            self.used = used
            self.free = free
        }

        /// For ``GrowthForecast``.
        package var growth: GrowthForecast.Sample { GrowthForecast.Sample(instant: instant, used: used) }
    }

    /// Most bytes of all samples, and of a day.
    package static let bounds = DayLog.Bounds(total: 16 << 20, day: 256 << 10)

    private let log: DayLog

    /// - Parameter folder: absolute, `<state>/agent/capacity`; made when the first sample is kept.
    package init(folder: String) { log = DayLog(folder: folder, bounds: CapacityArchive.bounds) }

    /// Keeps a sample, durably. Several of a day may be kept; the last of each repository counts.
    ///
    /// - Parameter now: nanoseconds since 1970; what is older than ``RunArchive/longestKeeping`` days is dropped.
    /// - Throws: ``FileError``.
    package func keep(_ sample: Sample, at now: UInt64) throws(FileError) {
        let document = JSONDocument.members(
            ("at", .count(sample.instant)), ("location", .text(sample.location)),
            ("size", sample.size.map { .count($0) }), ("used", .count(sample.used)), ("free", .count(sample.free)))
        try log.append(
            document.encoded, day: CivilTime(sample.instant).date, oldest: RunArchive.oldestDay(at: now),
            condense: { lines in
                var last: [String: ArraySlice<UInt8>] = [:]
                for line in lines { if let sample = CapacityArchive.sample(line) { last[sample.location] = line } }
                return last.sorted { $0.key < $1.key }.map(\.value)
            })
    }

    private static func sample(_ line: ArraySlice<UInt8>) -> Sample? {
        guard let document = try? JSONDocument(decoding: Array(line)), let instant = document["at"]?.count,
            let location = document["location"]?.text, let used = document["used"]?.count,
            let free = document["free"]?.count
        else { return nil }
        return Sample(
            instant: instant, location: location, size: document["size"]?.count, used: used, free: free)
    }

    /// The samples of a repository, the last of each day, oldest first. Lines that make no sense are passed over.
    ///
    /// - Parameter location: as it was kept.
    /// - Throws: ``FileError``.
    package func samples(of location: String) throws(FileError) -> [Sample] {
        var samples: [Sample] = []
        for day in try log.days().suffix(GrowthForecast.mostDays + 1) {
            if let last = try log.lines(of: day).lazy.compactMap(CapacityArchive.sample).last(
                where: { $0.location == location })
            {
                samples.append(last)
            }
        }
        return samples
    }
}
