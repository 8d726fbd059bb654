/// Whether all that is due will fit into its window, who comes when, and where it leaves those who do not come: a pure
/// function of what is due, the history and the clock.
package struct WindowForecast: Sendable {
    /// A run that is due, and what is known of it.
    package struct Candidate: Hashable, Sendable {
        /// The run and its place in the queue.
        package let run: DueRun
        /// Before this it does not begin: when it is due, or its window opens; seconds since 1970.
        package let earliest: Int
        /// When its window closes; seconds since 1970.
        package let end: Int
        /// Seconds of the guest's whole runs under this policy, oldest first.
        package let history: [Int]
        /// The instant of the guest's newest point; `nil` when there is none.
        package let newest: Int?
        /// The policy's RPO, in seconds, above 0.
        package let rpo: Int

        /// A run that is due.
        package init(run: DueRun, earliest: Int, end: Int, history: [Int], newest: Int?, rpo: Int) {
            self.run = run
            self.earliest = earliest
            self.end = end
            self.history = history
            self.newest = newest
            self.rpo = rpo
        }
    }

    /// What becomes of a run.
    package enum Outcome: Hashable, Sendable {
        /// It is done in its window.
        case done(start: Int, end: Int)
        /// It begins, and the window closes before it is done; it lacks so many seconds.
        case cutOff(start: Int, lacks: Int)
        /// Its turn does not come.
        case notBegun
    }

    /// A run, how long it was taken to last, and what becomes of it.
    package struct Expectation: Hashable, Sendable {
        /// The run.
        package let run: DueRun
        /// How long it will probably take.
        package let estimate: RunEstimate
        /// What becomes of it.
        package let outcome: Outcome
        /// Where its guest stands when the window closes.
        package let rpoClass: RPOClass
    }

    /// For each run what is expected, in the order of the queue.
    package let expectations: [Expectation]

    /// Whether every run is done in its window.
    package var isWhole: Bool { shortfall.isEmpty }
    /// Runs that are not, in the order of the queue.
    package var shortfall: [Expectation] {
        expectations.filter {
            guard case .done = $0.outcome else { return true }
            return false
        }
    }
    /// How many seconds of work do not fit.
    package var lackingSeconds: Int {
        expectations.reduce(0) { sum, one in
            switch one.outcome {
            case .done: sum
            case .cutOff(_, let lacks): sum + lacks
            case .notBegun: sum + one.estimate.seconds
            }
        }
    }

    /// Looks ahead.
    ///
    /// Whoever is first in the queue and may begin, begins: nobody waits for a place that is kept free. One guest is
    /// never run twice at once.
    ///
    /// - Parameters:
    ///   - candidates: in any order; a guest once for each policy.
    ///   - now: seconds since 1970.
    ///   - concurrency: runs at once on this host, 1 at least.
    ///   - limits: runs at once of a policy, by its name; others have no limit of their own.
    package init(_ candidates: [Candidate], now: Int, concurrency: Int, limits: [String: Int] = [:]) {
        let queue = candidates.sorted { $0.run < $1.run }
        let known = queue.compactMap { candidate in
            RunEstimate.upperQuartile(candidate.history.suffix(RunEstimate.runsThatCount))
        }
        let estimates = queue.map { RunEstimate(history: $0.history, others: known) }
        var night = Night(
            queue: queue, estimates: estimates, concurrency: max(1, concurrency), limits: limits, time: now)
        let outcomes = night.pass()
        expectations = queue.indices.map { index in
            let candidate = queue[index]
            var newest = candidate.newest
            if case .done(let start, _) = outcomes[index] { newest = max(start, newest ?? start) }
            return Expectation(
                run: candidate.run, estimate: estimates[index], outcome: outcomes[index],
                rpoClass: RPOClass(newest: newest, at: candidate.end, rpo: candidate.rpo))
        }
    }
}

/// The hours to come, from one event to the next.
private struct Night {
    let queue: [WindowForecast.Candidate]
    let estimates: [RunEstimate]
    let concurrency: Int
    let limits: [String: Int]
    var time: Int
    /// When each run that is under way leaves its place.
    var running: [Int: Int] = [:]

    mutating func pass() -> [WindowForecast.Outcome] {
        var outcomes = [WindowForecast.Outcome](repeating: .notBegun, count: queue.count)
        var waiting = Array(queue.indices)
        while true {
            running = running.filter { $0.value > time }
            waiting.removeAll { queue[$0].end <= time }
            var begun: Set<Int> = []
            for index in waiting {
                guard running.count < concurrency else { break }
                guard mayBegin(index) else { continue }
                let whole = time + estimates[index].seconds
                let end = queue[index].end
                outcomes[index] =
                    whole <= end ? .done(start: time, end: whole) : .cutOff(start: time, lacks: whole - end)
                running[index] = min(whole, end)
                begun.insert(index)
            }
            waiting.removeAll(where: begun.contains)
            let next = (Array(running.values) + waiting.map { queue[$0].earliest }).filter { $0 > time }.min()
            guard !waiting.isEmpty, let next else { return outcomes }
            time = next
        }
    }

    private func mayBegin(_ index: Int) -> Bool {
        let run = queue[index].run
        guard queue[index].earliest <= time else { return false }
        let others = running.keys.map { queue[$0].run }
        guard !others.contains(where: { $0.guest == run.guest }) else { return false }
        return limits[run.policy].map { limit in others.count { $0.policy == run.policy } < max(1, limit) } ?? true
    }
}
