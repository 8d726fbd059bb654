import Synchronization

/// Connections to one server, each lent to one user at a time.
final class ConnectionPool: Sendable {
    private struct State {
        var free: [NBDConnection]
        var waiting: [CheckedContinuation<NBDConnection?, Never>] = []
        var isStopped = false
    }

    private let path: String
    private let state: Mutex<State>

    init(_ connections: [NBDConnection], path: String) {
        self.path = path
        state = Mutex(State(free: connections))
    }

    /// A connection nobody else uses; waits for one. Every one is given back.
    func borrow() async throws(SourceError) -> NBDConnection {
        let connection = await withCheckedContinuation { continuation in
            let answer: NBDConnection?? = state.withLock { state in
                if state.isStopped { return .some(nil) }
                if let free = state.free.popLast() {
                    return free
                }
                state.waiting.append(continuation)
                return nil
            }
            if let answer { continuation.resume(returning: answer) }
        }
        guard let connection else { throw .closed(path) }
        return connection
    }

    func giveBack(_ connection: NBDConnection) {
        let next = state.withLock { state -> CheckedContinuation<NBDConnection?, Never>? in
            if !state.waiting.isEmpty, !state.isStopped { return state.waiting.removeFirst() }
            if !state.isStopped { state.free.append(connection) }
            return nil
        }
        next?.resume(returning: connection)
    }

    /// Lends nothing any more, and tells those who wait. May be called twice.
    ///
    /// - Returns: the connections nobody uses.
    @discardableResult
    func stop() -> [NBDConnection] {
        let last = state.withLock { state in
            let last = state
            state = State(free: [], isStopped: true)
            return last
        }
        for continuation in last.waiting { continuation.resume(returning: nil) }
        return last.free
    }
}
