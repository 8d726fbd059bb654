import BackupModel
import GuestMemory
import GuestSource
import Testing

/// What a parser holds is bounded, however large the guest and however scattered its pages.
@Suite("large streams of memory")
struct LargeStreamTests {
    /// A stream of which only the first bytes are anywhere: the others follow from their place.
    private final class Endless: PositionedBytes {
        let path = "the stream"
        let byteCount: UInt64
        private let head: [UInt8]
        private let rest: @Sendable (UInt64) -> UInt8

        init(head: [UInt8], byteCount: UInt64, rest: @escaping @Sendable (UInt64) -> UInt8) {
            self.head = head
            self.byteCount = byteCount
            self.rest = rest
        }

        func read(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws(SourceError) {
            for index in 0..<buffer.count {
                let place = offset + UInt64(index)
                // Safety: the index lies inside of the buffer.
                unsafe buffer[index] = place < UInt64(head.count) ? head[Int(place)] : rest(place)
            }
        }

        func confirmUnchanged() throws(SourceError) {}
    }

    @Test("16 GiB in one piece are one stretch and a few bytes of skeleton")
    func contiguous() async throws {
        let size = 16 << 30
        // The head says where the bytes lie; nobody reads them.
        let head = Array(
            StreamSample.core(seed: 1, loads: [.init(address: 0, byteCount: 4096)]).prefix(64 + 2 * 56 + 64 + 88))
        var longer = head
        let length = (0..<8).map { UInt8(truncatingIfNeeded: size >> (8 * $0)) }
        longer.replaceSubrange(64 + 56 + 32..<64 + 56 + 40, with: length)
        let stream = try MemoryStream(
            parsing: Endless(head: longer, byteCount: UInt64(longer.count + size)) { _ in 1 })
        #expect(stream.format == .elfCore && stream.notes.isEmpty)
        #expect(stream.pageCount == UInt64(size / 4096))
        #expect(stream.memory.byteCount == UInt64(size))
        #expect(try #require(stream.skeleton).byteCount < 1000)
        let extents = try await stream.memory.extents(in: Extent(start: 0, length: UInt64(size)))
        #expect(extents.count == 1)
    }

    @Test("pages in more stretches than are held: stored as bytes, and says so")
    func scattered() throws {
        let count: UInt64 = 4_300_000
        // The tables of a Xen core file of few pages, made longer; page numbers are all even, so that no two join.
        var head = Array(StreamSample.xenCore(seed: 1, numbers: [0, 2], isPaired: false).prefix(4096))
        let names = Array("\0.shstrtab\0.xen_pages\0.xen_pfn\0.xen_p2m\0".utf8)
        let pagesEnd = 4096 + count * 4096
        let tableEnd = pagesEnd + count * 8
        func put(_ value: UInt64, _ place: Int) {
            head.replaceSubrange(place..<place + 8, with: (0..<8).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) })
        }
        put(tableEnd, 64 + 64 + 24)
        put(count * 4096, 64 + 128 + 32)
        put(pagesEnd, 64 + 192 + 24)
        put(count * 8, 64 + 192 + 32)
        let stream = try MemoryStream(
            parsing: Endless(head: head, byteCount: tableEnd + UInt64(names.count)) { place in
                if place >= tableEnd { return names[Int(place - tableEnd)] }
                guard place >= pagesEnd else { return 1 }
                let inside = place - pagesEnd
                return UInt8(truncatingIfNeeded: (inside / 8 * 2) >> (8 * (inside % 8)))
            })
        #expect(stream.format == .stream && stream.skeleton == nil)
        #expect(stream.notes.count == 1 && stream.notes[0].contains("stretches"), "\(stream.notes)")
        #expect(stream.memory.byteCount == tableEnd + UInt64(names.count))
    }
}
