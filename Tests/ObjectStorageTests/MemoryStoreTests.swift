import Effects
import ObjectStorage
import TestKit
import Testing

@Suite("a store in memory, and how it misbehaves (design §4.13)")
struct MemoryStoreTests {
    private func name(_ text: String) throws -> ObjectName { try #require(ObjectName(text)) }

    /// Calls with one fault that always happens (chance 255 of 256, so a few tries).
    private func store(_ change: (inout StoreFaults) -> Void) -> MemoryStore {
        let store = MemoryStore(randomness: .seeded(3))
        var faults = StoreFaults.none
        change(&faults)
        store.misbehave(faults)
        return store
    }

    @Test("without faults it keeps the contract")
    func contract() async throws {
        try await StoreContract.check(MemoryStore())
        try await StoreContract.race(MemoryStore())
    }

    @Test("an answer may be lost with the effect or without; asking again with the same bytes decides")
    func lostAnswers() async throws {
        let name = try name("log/1")
        let without = store { $0.answerLostBefore = 255 }
        guard case .unknown = try await without.putIfAbsent(name, [1]) else { throw Unexpected() }
        #expect(try await without.get(name) == nil)
        let with = store { $0.answerLostAfter = 255 }
        guard case .unknown = try await with.putIfAbsent(name, [1]) else { throw Unexpected() }
        #expect(try await with.get(name) == [1])
        with.misbehave(.none)
        #expect(try await with.putIfAbsent(name, [1]) == .mine)
        #expect(try await with.putIfAbsent(name, [2]) == .theirs([1]))
    }

    @Test("a failure may come before the effect or behind it")
    func failures() async throws {
        let name = try name("log/1")
        let before = store { $0.failureBefore = 255 }
        await #expect(throws: StorageError.self) { try await before.putIfAbsent(name, [1]) }
        before.misbehave(.none)
        #expect(try await before.get(name) == nil)
        let after = store { $0.failureAfter = 255 }
        await #expect(throws: StorageError.self) { try await after.putIfAbsent(name, [1]) }
        #expect(try await after.get(name) == [1])
    }

    @Test("a put that arrives late never takes a name from somebody else")
    func late() async throws {
        let name = try name("log/1")
        var arrivals = 0
        for seed in UInt64(0)..<32 {
            let store = MemoryStore(randomness: .seeded(seed))
            var faults = StoreFaults.none
            faults.arrivalDelayed = 255
            store.misbehave(faults)
            guard case .unknown = try await store.putIfAbsent(name, [1]) else { continue }
            store.misbehave(.none)
            switch try await store.putIfAbsent(name, [2]) {
            case .mine: break
            case .theirs(let winner):
                #expect(winner == [1])
                arrivals += 1
            case .unknown: throw Unexpected()
            }
            let decided = try await store.get(name)
            store.restart()
            #expect(try await store.get(name) == decided)
        }
        #expect((1..<32).contains(arrivals))
    }

    @Test("listings lag in both directions, reads do not")
    func lag() async throws {
        let store = store { $0.listingLag = 200 }
        let names = try (0..<6).map { try name("packs/\($0)") }
        for name in names { #expect(try await store.putIfAbsent(name, [7]) == .mine) }
        try await store.delete(names[0])
        var lacked = false
        var showedDeleted = false
        for _ in 0..<20 {
            let listed = try await store.list(prefix: "packs/")
            lacked = lacked || !listed.contains(names[5])
            showedDeleted = showedDeleted || listed.contains(names[0])
        }
        #expect(lacked && showedDeleted)
        #expect(try await store.get(names[5]) == [7])
        #expect(try await store.get(names[0]) == nil)
    }

    @Test("it goes down at the call it was told, and comes back with what it had")
    func crash() async throws {
        let store = MemoryStore(randomness: .seeded(5))
        let (first, second) = (try name("a"), try name("b"))
        store.crash(after: 1)
        #expect(try await store.putIfAbsent(first, [1]) == .mine)
        await #expect(throws: StorageError.self) { try await store.putIfAbsent(second, [2]) }
        await #expect(throws: StorageError.self) { try await store.get(first) }
        store.restart()
        #expect(try await store.get(first) == [1])
        let found = try await store.get(second)
        #expect(found == nil || found == [2])
    }

    @Test("it goes back to what it held, and hides its tail while puts still meet it")
    func history() async throws {
        let store = MemoryStore()
        let (first, second) = (try name("a"), try name("b"))
        _ = try await store.putIfAbsent(first, [1])
        let before = store.snapshot()
        _ = try await store.putIfAbsent(second, [2])
        store.hideTail(1)
        #expect(try await store.get(second) == nil)
        #expect(try await store.byteCount(of: second) == nil)
        #expect(try await store.list(prefix: "") == [first])
        #expect(try await store.putIfAbsent(second, [3]) == .theirs([2]))
        store.rollBack(to: before)
        #expect(try await store.putIfAbsent(second, [3]) == .mine)
    }

    private struct Unexpected: Error {}
}
