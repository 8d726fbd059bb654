import Synchronization

/// Runs the jobs of structured tasks one at a time, each time choosing by dice which of those that wait goes on.
///
/// The same seed gives the same order as long as all waiting is for tasks of the same ``run(_:)`` or for
/// ``pause()``: nothing else may resume them. `Task.yield` is no such thing, it goes through the global pool.
package final class SeededExecutor: TaskExecutor {
    private enum Step {
        case job(UnownedJob)
        case pause(CheckedContinuation<Void, Never>, times: Int)
    }

    private struct State {
        var dice: Dice
        var steps: [Step] = []
        var isRunning = false
        var choices: UInt64 = 0
        var fingerprint: UInt64 = 0
    }

    private let state: Mutex<State>

    /// An executor whose order follows from the seed.
    package init(seed: UInt64) { state = Mutex(State(dice: Dice(seed: seed))) }

    /// How often more than one job could have gone on, and a number that depends on what was chosen each time.
    package var trace: (choices: UInt64, fingerprint: UInt64) { state.withLock { ($0.choices, $0.fingerprint) } }

    /// Runs `body` and all its child tasks here.
    package func run<Result: Sendable>(_ body: @Sendable () async throws -> Result) async rethrows -> Result {
        try await withTaskExecutorPreference(self, operation: body)
    }

    /// Lets the dice decide who goes on: the caller or another task that waits.
    ///
    /// - Parameter times: how often they have to decide for the caller, as long as another waits: a slow one.
    package func pause(times: Int = 1) async {
        await withCheckedContinuation { continuation in
            // Outside of a run there is nobody to choose from.
            let isQueued = state.withLock { state in
                if state.isRunning { state.steps.append(.pause(continuation, times: times)) }
                return state.isRunning
            }
            if !isQueued { continuation.resume() }
        }
    }

    package func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        let begins = state.withLock { state in
            state.steps.append(.job(job))
            defer { state.isRunning = true }
            return !state.isRunning
        }
        // The first job comes from outside, on a thread that has nothing else to do until the run is over; every
        // later one comes from inside of this loop.
        guard begins else { return }
        // Whoever waits for the run may drop this executor on another thread once the last job is done, and that is
        // before the loop has looked for one more.
        // Safety: released once, below.
        let held = unsafe Unmanaged.passRetained(self)
        runAll()
        unsafe held.release()
    }

    private func runAll() {
        while let step = next() {
            switch step {
            case .job(let job): unsafe job.runSynchronously(on: asUnownedTaskExecutor())
            case .pause(let continuation, _): continuation.resume()
            }
        }
    }

    private func next() -> Step? {
        state.withLock { state in
            guard !state.steps.isEmpty else {
                state.isRunning = false
                return nil
            }
            guard state.steps.count > 1 else { return state.steps.removeLast() }
            while true {
                let choice = Int(state.dice.roll(below: UInt64(state.steps.count)))
                state.choices += 1
                state.fingerprint = (state.fingerprint ^ UInt64(choice + 1)) &* 0x100_0000_01B3
                guard case .pause(let continuation, let times) = state.steps[choice], times > 1 else {
                    return state.steps.remove(at: choice)
                }
                state.steps[choice] = .pause(continuation, times: times - 1)
            }
        }
    }
}
