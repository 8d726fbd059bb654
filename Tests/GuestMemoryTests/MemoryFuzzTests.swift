import GuestMemory
import GuestSource
import TestKit
import Testing

/// Whatever a stream says, it is taken apart and comes back byte for byte, or it is refused; and whatever a skeleton
/// says, it emits what its header promises, or it is refused.
@Suite("seeded mutations of streams of memory")
struct MemoryFuzzTests {
    /// Runs the emission without waiting: everything that it reads lies in memory.
    private static func fault(_ bytes: [UInt8]) throws -> String? {
        let stream = try MemoryStream(parsing: BytesOfTest(bytes))
        guard let skeleton = stream.skeleton else {
            return stream.memory.byteCount == bytes.count ? nil : "a stream of another length"
        }
        return try replay(skeleton: read(skeleton, 0, Int(skeleton.byteCount)), memory: stream.memory, expected: bytes)
    }

    private static func read(_ source: AssembledSource, _ start: UInt64, _ count: Int) throws -> [UInt8] {
        let room = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 8)
        // Safety: allocated here, filled by the source, copied before it goes.
        defer { unsafe room.deallocate() }
        try unsafe source.fill(room, at: start)
        return unsafe Array(room)
    }

    /// The plain definition of what the steps emit. - Parameter expected: `nil` when nobody knows; then only the length
    /// is compared.
    private static func replay(skeleton: [UInt8], memory: AssembledSource, expected: [UInt8]?) throws -> String? {
        let front = Array(skeleton.prefix(SkeletonHeader.byteCount))
        let header = try SkeletonHeader(parsing: front, skeletonByteCount: UInt64(skeleton.count))
        var literal = SkeletonHeader.byteCount + Int(header.operationByteCount)
        var steps = try SkeletonSteps(
            header, operations: Array(skeleton[SkeletonHeader.byteCount..<literal]),
            memoryByteCount: memory.byteCount)
        var made: [UInt8] = []
        var length: UInt64 = 0
        while let step = try steps.next() {
            let isKnown = expected != nil
            switch step {
            case .literal(let count):
                if isKnown { made += skeleton[literal..<literal + Int(count)] }
                literal += Int(count)
                length += count
            case .pages(let first, let count):
                length += count * 4096
                if isKnown { made += try read(memory, first * 4096, Int(count) * 4096) }
            case .counted(let template, let value, let count, let page):
                length += count * UInt64(template.byteCount)
                guard isKnown else { continue }
                for index in 0..<count {
                    let number = value &+ index &* template.step
                    let bytes = (0..<8).map { UInt8(truncatingIfNeeded: number >> UInt64(8 * $0)) }
                    made += (template.isBigEndian ? bytes.reversed() : bytes) + template.trailer
                    if template.hasPage { made += try read(memory, (page + index) * 4096, 4096) }
                }
            }
        }
        if length != header.streamByteCount || literal != skeleton.count { return "a length that nobody promised" }
        return expected == nil || made == expected ? nil : "other bytes"
    }

    private static let samples = StreamSample.small(seed: 11).map(\.bytes)

    @Test("streams of every format")
    func streams() {
        Mutator.run("streams of memory", Self.samples, refusedBy: MemoryError.self) { try Self.fault($0) }
    }

    @Test("heads of every format, behind which something else goes on")
    func heads() {
        // The mutator strikes anywhere, and most of a stream are pages. Here it gets what is not.
        let fronts = Self.samples.map { Array($0.prefix(600)) }
        Mutator.run("heads of streams of memory", fronts, refusedBy: MemoryError.self) {
            try Self.fault($0 + Self.samples[0])
        }
    }

    @Test("skeletons")
    func skeletons() throws {
        var originals: [[UInt8]] = []
        for sample in Self.samples {
            let skeleton = try #require(try MemoryStream(parsing: BytesOfTest(sample)).skeleton)
            originals.append(try Self.read(skeleton, 0, Int(skeleton.byteCount)))
        }
        let memory = try MemoryStream(parsing: BytesOfTest(StreamSample.core(seed: 1))).memory
        Mutator.run("skeletons", originals, refusedBy: MemoryError.self) {
            try Self.replay(skeleton: $0, memory: memory, expected: nil)
        }
    }
}
