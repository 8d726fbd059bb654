import Effects
import Synchronization

/// What the parts of a run took, one after the other.
final class Stopwatch: Sendable {
    /// A part, as JSON.
    struct Phase: Encodable, Sendable {
        let name: String
        let seconds: Double
    }

    /// The parts; the names are frozen at the first release.
    enum Part: String {
        /// Until the instant, or until the session has begun.
        case prepare
        /// From the order to bring guests to rest until all of them go on.
        case still
        /// Until the guests before it in the same run have their points.
        case wait
        /// Until everything was read, and most of it stored.
        case read
        /// Until the point is true.
        case commit
    }

    private struct State {
        var ended: [Phase] = []
        var current: Part
        var since: UInt64
    }

    private let clock: SystemClock
    private let state: Mutex<State>

    /// Begins with ``Part/prepare``.
    init(clock: SystemClock = .system) {
        self.clock = clock
        state = Mutex(State(current: .prepare, since: clock.monotonic()))
    }

    private init(_ clock: SystemClock, _ current: State) {
        self.clock = clock
        state = Mutex(current)
    }

    /// A watch of its own for one of several guests, which shares what was until now.
    func split() -> Stopwatch { Stopwatch(clock, state.withLock { $0 }) }

    /// Ends the part that runs, and begins the next.
    func begin(_ part: Part) {
        let now = clock.monotonic()
        state.withLock { state in
            let seconds = Double(now - state.since) / 1e9
            state.ended.append(Phase(name: state.current.rawValue, seconds: seconds))
            (state.current, state.since) = (part, now)
        }
    }

    /// The parts until now, the one that runs included.
    var phases: [Phase] {
        let now = clock.monotonic()
        return state.withLock { state in
            state.ended + [Phase(name: state.current.rawValue, seconds: Double(now - state.since) / 1e9)]
        }
    }
}
