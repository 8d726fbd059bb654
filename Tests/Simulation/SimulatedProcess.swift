import Effects
import Synchronization
import TestKit

/// One process on a machine: its files are those of the machine's disk until it is killed. The others of the machine go
/// on, and what was written is there; its locks go with it at once.
final class SimulatedProcess: DurableFiles {
    private struct State {
        var callsUntilKilled: Int
        var isKilled = false
        var locks: [Weak] = []
    }

    private struct Weak {
        weak var lock: ProcessLock?
    }

    /// What the process holds; nothing any more once it is killed, whoever still knows of it.
    private final class ProcessLock: HeldLock {
        private let held: Mutex<(any HeldLock)?>
        init(_ lock: any HeldLock) { held = Mutex(lock) }
        func release() { held.withLock { $0 = nil } }
    }

    private let disk: SimulatedDisk
    private let state: Mutex<State>

    /// - Parameter calls: after so many calls to its files or the store it is killed.
    init(on disk: SimulatedDisk, killedAfter calls: Int = .max) {
        self.disk = disk
        state = Mutex(State(callsUntilKilled: calls))
    }

    /// Whether it is killed.
    var isKilled: Bool { state.withLock { $0.isKilled } }

    /// Counts a call. - Returns: whether the process is there to make it.
    func calls() -> Bool {
        let released: [Weak] = state.withLock { state in
            guard !state.isKilled else { return [] }
            state.callsUntilKilled -= 1
            guard state.callsUntilKilled < 0 else { return [] }
            state.isKilled = true
            defer { state.locks = [] }
            return state.locks
        }
        for lock in released { lock.lock?.release() }
        return !isKilled
    }

    private func step(_ path: String) throws(FileError) {
        guard calls() else { throw FileError(number: 5, sentence: "killed at \(path)", remedy: .inspect) }
    }

    func lock(_ path: String) throws(FileError) -> (any HeldLock)? {
        try step(path)
        guard let lock = try disk.lock(path) else { return nil }
        let held = ProcessLock(lock)
        state.withLock { state in
            state.locks.removeAll { $0.lock == nil }
            state.locks.append(Weak(lock: held))
        }
        return held
    }

    func makeFolder(_ path: String) throws(FileError) -> Bool {
        try step(path)
        return try disk.makeFolder(path)
    }

    func writeNew(_ path: String, _ bytes: [UInt8]) throws(FileError) {
        try step(path)
        try disk.writeNew(path, bytes)
    }

    func syncFile(_ path: String) throws(FileError) {
        try step(path)
        try disk.syncFile(path)
    }

    func link(_ existing: String, to new: String) throws(FileError) -> Bool {
        try step(new)
        return try disk.link(existing, to: new)
    }

    func syncFolder(_ path: String) throws(FileError) {
        try step(path)
        try disk.syncFolder(path)
    }

    func remove(_ path: String) throws(FileError) {
        try step(path)
        try disk.remove(path)
    }

    func read(_ path: String, offset: UInt64, count: Int) throws(FileError) -> [UInt8]? {
        try step(path)
        return try disk.read(path, offset: offset, count: count)
    }

    func byteCount(_ path: String) throws(FileError) -> UInt64? {
        try step(path)
        return try disk.byteCount(path)
    }

    func isFolder(_ path: String) throws(FileError) -> Bool {
        try step(path)
        return try disk.isFolder(path)
    }

    func names(in path: String) throws(FileError) -> [String] {
        try step(path)
        return try disk.names(in: path)
    }
}
