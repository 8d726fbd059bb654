import GuestMemory
import TestKit
import Testing

/// A skeleton is believed as far as its header goes, and not a byte further.
@Suite("skeletons of streams of memory")
struct SkeletonTests {
    private func header(stream: UInt64, operations: Int, literals: UInt64, version: UInt8 = 1) -> [UInt8] {
        func number(_ value: UInt64, _ count: Int) -> [UInt8] {
            (0..<count).map { UInt8(truncatingIfNeeded: value >> UInt64(8 * $0)) }
        }
        let words = [stream, UInt64(operations), literals].flatMap { number($0, 8) }
        return Array("MEMSKEL\n".utf8) + [version, 0, 0, 0] + number(4096, 4) + words + Array("elf-core".utf8)
            + [UInt8](repeating: 0, count: 16)
    }

    private func emit(
        stream: UInt64, operations: [UInt8], literals: [UInt8] = [], memory: [UInt8] = [], version: UInt8 = 1
    ) async throws -> [UInt8] {
        let skeleton =
            header(
                stream: stream, operations: operations.count, literals: UInt64(literals.count), version: version)
            + operations + literals
        return try await emitted(memory: StoredOfTest(memory), skeleton: StoredOfTest(skeleton))
    }

    @Test("operations emit what the page says")
    func operations() async throws {
        let pages = [UInt8](repeating: 5, count: 4096) + [UInt8](repeating: 6, count: 4096)
        // Two literal bytes; page 1, then page 0; three numbers from 9 in steps of 2, each with a byte behind it.
        let made = try await emit(
            stream: 2 + 8192 + 27,
            operations: [0, 2, 1, 1, 2, 1, 1, 3, 2, 0, 1, 2, 1, 0xEE, 0x40, 3, 18], literals: [1, 2], memory: pages)
        #expect(made.prefix(2) == [1, 2])
        #expect(Array(made[2..<8194]) == Array(pages[4096...]) + Array(pages[..<4096]))
        let words: [UInt8] = [9, 11, 13].flatMap { [0, 0, 0, 0, 0, 0, 0, $0, 0xEE] }
        #expect(Array(made[8194...]) == words)
    }

    @Test("what goes beyond the stream, the literals or the pages is refused, and so is what falls short")
    func bounds() async throws {
        let page = [UInt8](repeating: 5, count: 4096)
        let wrong: [(UInt64, [UInt8], [UInt8], [UInt8])] = [
            (3, [0, 4], [1, 2, 3], []), (3, [0, 3], [1, 2], []), (3, [0, 2], [1, 2], []), (4, [0, 2], [1, 2, 3], []),
            (4096, [1, 1, 2], [], page), (8192, [1, 2, 0], [], page), (4096, [1, 1, 1], [], page),
            (0, [0, 0], [], []), (0, [0x40, 1, 0], [], []), (0, [3], [], []), (0, [2, 1, 0, 0, 0], [], []),
            (0, [2, 0, 4, 0, 0], [], []), (0, [2, 0, 0, 0, 65], [], []), (1, [0, 0x81, 0], [7], []),
            (1, [0], [7], []), (1, [0, 0x80], [7], []), (5, [1, 1, 0], [], [1, 2, 3]),
            (.max, [2, 0, 0, 0, 0, 0x40] + [UInt8](repeating: 0xFF, count: 9) + [1, 0], [], []),
        ]
        for (stream, operations, literals, memory) in wrong {
            let error = await #expect(throws: MemoryError.self) {
                _ = try await emit(stream: stream, operations: operations, literals: literals, memory: memory)
            }
            #expect(error?.code == .malformed, "\(operations)")
        }
    }

    @Test("another version is told from damage")
    func version() async throws {
        let error = await #expect(throws: MemoryError.self) {
            _ = try await emit(stream: 0, operations: [], version: 2)
        }
        #expect(error?.code == .unsupported)
        #expect(try await emit(stream: 0, operations: []).isEmpty)
    }
}
