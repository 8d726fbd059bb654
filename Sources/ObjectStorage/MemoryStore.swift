package import Effects
import RepositoryFormat
import Synchronization

/// A store in memory for tests: it keeps the contract to the letter and, when told so, uses all the freedom that the
/// contract leaves a real store, and more.
///
/// What it may do wrong is decided by ``StoreFaults`` and a source of random bytes, so that a run repeats from its
/// seed. It is stricter than a real store: whatever a caller may not do is a precondition failure.
package final class MemoryStore: SweepableStore {
    /// Everything a store holds, in the order it came.
    package struct Snapshot: Sendable {
        fileprivate var objects: [ObjectName: [UInt8]] = [:]
        fileprivate var order: [ObjectName] = []
        fileprivate init() {}
    }

    private struct State {
        var content: Snapshot
        var faults = StoreFaults.none
        /// Names deleted lately, which a lagging listing may still show.
        var deleted: [ObjectName] = []
        /// Puts that have not arrived yet.
        var late: [(name: ObjectName, bytes: [UInt8])] = []
        var hidden: Set<ObjectName> = []
        var callsUntilCrash = Int.max
        var isDown = false
    }

    /// So many of the newest changes may be missing from a listing.
    private static let lagCount = 8

    private let state: Mutex<State>
    private let randomness: Randomness

    /// An empty store.
    ///
    /// - Parameter randomness: decides which faults happen; asked only while there are any.
    package convenience init(randomness: Randomness = .system) {
        self.init(Snapshot(), randomness: randomness)
    }

    /// A store that holds what another one held.
    package init(_ snapshot: Snapshot, randomness: Randomness = .system) {
        state = Mutex(State(content: snapshot))
        self.randomness = randomness
    }

    // MARK: Misbehaving

    /// From now on these faults happen.
    package func misbehave(_ faults: StoreFaults) { state.withLock { $0.faults = faults } }

    /// The `calls`-th call from now fails, carried out or not, and so do all later ones until ``restart()``.
    package func crash(after calls: Int) { state.withLock { $0.callsUntilCrash = calls } }

    /// Answers again, without faults. Puts that had not arrived yet arrive now or never.
    package func restart() {
        state.withLock { state in
            for put in state.late where happens(128) { _ = MemoryStore.put(put.name, put.bytes, in: &state) }
            state.late = []
            state.faults = .none
            state.callsUntilCrash = .max
            state.isDown = false
        }
    }

    /// What it holds now.
    package func snapshot() -> Snapshot { state.withLock { $0.content } }

    /// Holds what it held before, as a store does that was put back from a copy.
    package func rollBack(to snapshot: Snapshot) {
        state.withLock { state in
            state.content = snapshot
            state.deleted = []
            state.late = []
            state.hidden = []
        }
    }

    /// Does not show the `count` newest objects any more; a put still meets them. 0 shows everything again.
    package func hideTail(_ count: Int) { state.withLock { $0.hidden = Set($0.content.order.suffix(count)) } }

    private func happens(_ chance: UInt8) -> Bool { chance > 0 && randomness.bytes(1)[0] < chance }

    /// - Returns: whether this is the call during which the store crashes.
    private func enter(_ state: inout State, _ what: String) throws(StorageError) -> Bool {
        guard !state.isDown else { throw StorageError(code: .failed, sentence: "the store is down at \(what)") }
        state.callsUntilCrash -= 1
        if state.callsUntilCrash < 0 { state.isDown = true }
        // A put on its way arrives at any time; whoever came first has the name.
        if !state.late.isEmpty, happens(64) {
            let put = state.late.removeFirst()
            _ = MemoryStore.put(put.name, put.bytes, in: &state)
        }
        if happens(state.faults.failureBefore) {
            throw StorageError(code: .failed, sentence: "the store failed at \(what)")
        }
        return state.isDown
    }

    private func crashed(_ what: String) -> StorageError {
        StorageError(code: .failed, sentence: "the store went down at \(what)")
    }

    private static func put(_ name: ObjectName, _ bytes: [UInt8], in state: inout State) -> PutAnswer {
        if let winner = state.content.objects[name] { return winner == bytes ? .mine : .theirs(winner) }
        state.content.objects[name] = bytes
        state.content.order.append(name)
        return .mine
    }

    // MARK: ObjectStore

    package func putIfAbsent(_ name: ObjectName, _ bytes: [UInt8]) async throws(StorageError) -> PutAnswer {
        precondition(bytes.count <= FormatLimits.objectByteCount, "an object stays within the object limit")
        return try state.withLock { state throws(StorageError) in
            if try enter(&state, name.text) {
                if happens(128) { _ = MemoryStore.put(name, bytes, in: &state) }
                throw crashed(name.text)
            }
            if happens(state.faults.answerLostBefore) { return .unknown("the store did not answer") }
            if happens(state.faults.arrivalDelayed) {
                state.late.append((name, bytes))
                return .unknown("the store did not answer yet")
            }
            let answer = MemoryStore.put(name, bytes, in: &state)
            if happens(state.faults.failureAfter) {
                throw StorageError(code: .failed, sentence: "the store failed behind \(name)")
            }
            return happens(state.faults.answerLostAfter) ? .unknown("the store's answer was lost") : answer
        }
    }

    package func get(_ name: ObjectName, offset: UInt64, count: Int) async throws(StorageError) -> [UInt8]? {
        precondition(count >= 0, "a count of bytes is not negative")
        return try state.withLock { state throws(StorageError) in
            if try enter(&state, name.text) { throw crashed(name.text) }
            guard !state.hidden.contains(name), let bytes = state.content.objects[name] else { return nil }
            return Array(bytes[Int(min(offset, UInt64(bytes.count)))...].prefix(count))
        }
    }

    package func byteCount(of name: ObjectName) async throws(StorageError) -> UInt64? {
        try state.withLock { state throws(StorageError) in
            if try enter(&state, name.text) { throw crashed(name.text) }
            return state.hidden.contains(name) ? nil : state.content.objects[name].map { UInt64($0.count) }
        }
    }

    package func list(prefix: String) async throws(StorageError) -> [ObjectName] {
        try state.withLock { state throws(StorageError) in
            if try enter(&state, prefix) { throw crashed(prefix) }
            var shown = Set(state.content.order)
            for name in state.content.order.suffix(MemoryStore.lagCount) where happens(state.faults.listingLag) {
                shown.remove(name)
            }
            for name in state.deleted.suffix(MemoryStore.lagCount) where happens(state.faults.listingLag) {
                shown.insert(name)
            }
            return shown.subtracting(state.hidden).filter { $0.text.hasPrefix(prefix) }.sorted()
        }
    }

    package func delete(_ name: ObjectName) async throws(StorageError) {
        try state.withLock { state throws(StorageError) in
            let isCrash = try enter(&state, name.text)
            if !isCrash || happens(128), state.content.objects.removeValue(forKey: name) != nil {
                state.content.order.removeAll { $0 == name }
                state.deleted.append(name)
            }
            if isCrash { throw crashed(name.text) }
            if happens(state.faults.failureAfter) {
                throw StorageError(code: .failed, sentence: "the store failed behind \(name)")
            }
        }
    }
}
