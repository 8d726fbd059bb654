/// How long a run will probably take, by those before it.
package struct RunEstimate: Hashable, Sendable {
    /// In seconds, 1 at least.
    package let seconds: Int
    /// Whether it was taken from other guests, because this one has no history.
    package let isGuess: Bool

    /// Runs that count: the newest of a history; those before say little about a guest that grows.
    static let runsThatCount = 10
    /// What a run takes of which nothing is known, and of no other either: an hour.
    static let unknown = 3600

    /// The upper quartile of the newest runs: three nights in four are not longer. What a mean says is broken every
    /// other night.
    ///
    /// - Parameters:
    ///   - history: seconds of the guest's whole runs, oldest first; runs that were cut off are left out.
    ///   - others: estimates of the other guests.
    init(history: [Int], others: [Int]) {
        if let own = RunEstimate.upperQuartile(history.suffix(RunEstimate.runsThatCount)) {
            seconds = max(1, own)
            isGuess = false
        } else {
            seconds = max(1, RunEstimate.upperQuartile(others[...]) ?? RunEstimate.unknown)
            isGuess = true
        }
    }

    /// The least value that three in four do not exceed; `nil` of none.
    static func upperQuartile(_ values: ArraySlice<Int>) -> Int? {
        values.isEmpty ? nil : values.sorted()[(values.count * 3 + 3) / 4 - 1]
    }
}
