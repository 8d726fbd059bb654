import Synchronization

/// Counts from any thread.
final class Counter: Sendable {
    private let number = Atomic(0)
    var value: Int { number.load(ordering: .relaxed) }
    /// - Returns: the new count.
    func add() -> Int { number.wrappingAdd(1, ordering: .relaxed).newValue }
}
