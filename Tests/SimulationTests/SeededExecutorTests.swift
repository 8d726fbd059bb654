import Synchronization
import TestKit
import Testing

@Suite("a seeded executor")
struct SeededExecutorTests {
    /// The order in which four tasks of five steps each went on, and most that were between two pauses at once.
    private func order(seed: UInt64) async -> (order: [Int], atOnce: Int) {
        let log = Log()
        let executor = SeededExecutor(seed: seed)
        await executor.run {
            await withTaskGroup(of: Void.self) { group in
                for task in 0..<4 {
                    group.addTask {
                        for _ in 0..<5 {
                            log.step(of: task)
                            await executor.pause()
                        }
                    }
                }
            }
        }
        return log.read()
    }

    @Test("the same seed gives the same order, one job at a time", arguments: UInt64(0)..<50)
    func repeats(seed: UInt64) async {
        let first = await order(seed: seed)
        #expect(first.order.count == 20)
        #expect(first.atOnce == 1)
        #expect(await order(seed: seed).order == first.order)
    }

    @Test("other seeds give other orders")
    func varies() async {
        var orders = Set<[Int]>()
        for seed in UInt64(0)..<50 { orders.insert(await order(seed: seed).order) }
        #expect(orders.count > 45)
    }

    @Test("a pause outside of a run passes at once")
    func outside() async {
        await SeededExecutor(seed: 1).pause()
    }
}

/// Who went on, and whether anybody else was running meanwhile.
private final class Log: Sendable {
    private let order = Mutex<[Int]>([])
    private let running = Mutex((now: 0, most: 0))

    func step(of task: Int) {
        running.withLock { $0 = ($0.now + 1, max($0.most, $0.now + 1)) }
        order.withLock { $0.append(task) }
        running.withLock { $0.now -= 1 }
    }

    func read() -> (order: [Int], atOnce: Int) { (order.withLock { $0 }, running.withLock { $0.most }) }
}
