import BackupModel
import ChunkEncryption
import RepositoryFormat
import Testing

@Suite("index runs (format page §9)")
struct IndexRunTests {
    @Test("what was built is read, sorted", arguments: [1, 2, 49, 50, 51, 100, 101, 503])
    func roundTrip(count: Int) throws {
        let run = IndexRunSample(count: count)
        let (fence, entries) = try IndexRunSample.read(run.bytes)
        #expect(entries == run.entries.sorted())
        #expect(fence.packs == run.packs && fence.merged == run.merged && fence.parts == [] && !fence.isPart)
        #expect(fence.blocks.entryCount == count)
        #expect(
            fence.blocks.prefixes == stride(from: 0, to: count, by: 50).map { entries[$0].identifier.leadingWord })
        if count > 90 { #expect(Set(entries.map(\.identifier)).count < count, "some ids stand in two places") }
        // Blocks adjoin from the header to the fence; all but the last are full.
        var position = 96
        for block in 0..<fence.blocks.count {
            let range = fence.blocks.byteRange(ofBlock: block)
            #expect(range.lowerBound == position)
            #expect(range.count == min(50, count - block * 50) * 40 + 16)
            position = range.upperBound
        }
        #expect(position + 16 + 3 * 36 + 2 * 32 + fence.blocks.count * 8 + 16 + 128 == run.bytes.count)
        try ObjectSeal.check(
            run.bytes, hash: run.hash, label: ObjectSeal.runLabel, footerByteCount: IndexRunLayout.footerByteCount,
            signedBy: Sample.signer.publicKey, name: "runs/x")
    }

    @Test("entries given twice count once, in whatever order they come")
    func repeated() throws {
        let run = IndexRunSample(count: 500)
        let twice = IndexRunSample(
            entries: (run.entries + run.entries).reversed(), randomness: [UInt8](repeating: 1, count: 32))
        #expect(twice.bytes == run.bytes)
    }

    @Test("one id over a whole block and more")
    func oneIdentifier() throws {
        let entries = (0..<125).map {
            IndexEntry(identifier: Sample.hash(7), pack: UInt32($0 % 3), ordinal: UInt32($0))
        }
        let (fence, read) = try IndexRunSample.read(IndexRunSample(entries: entries).bytes)
        #expect(read == entries.sorted())
        #expect(fence.blocks.prefixes == [UInt64](repeating: Sample.hash(7).leadingWord, count: 3))
        #expect(fence.blocks.candidates(for: Sample.hash(7)) == 0..<3)
        #expect(fence.blocks.candidates(for: Sample.hash(8)) == 2..<3)
        #expect(fence.blocks.candidates(for: Sample.hash(6)) == 0..<0)
    }

    @Test("every byte stands where the page says")
    func byHand() throws {
        let run = IndexRunSample(count: 101)
        let bytes = run.bytes
        let footer = bytes.count - 64
        #expect(bytes.number(footer + 32, 4) == 3 && bytes.number(footer + 36, 4) == 101)
        let sorted = run.entries.sorted().map {
            joined($0.identifier.bytes, .little(UInt64($0.pack), 4), .little(UInt64($0.ordinal), 4))
        }
        var plain = PlainRun(Array(sorted[..<50]))
        plain.blocks += [sorted[50..<100].flatMap { $0 }, sorted[100]]
        plain.fence = PlainRun.fence(
            packs: 3, merged: 2, firsts: [0, 50, 100].map { Array(sorted[$0][..<8]) })
        plain.blockCount = 3
        plain.entryCount = 101
        plain.salt = Array(bytes[footer..<(footer + 32)])
        #expect(plain.bytes == bytes)
    }

    @Test("every flipped bit of a small run shows in the name, and is refused or means the same without it")
    func flipped() throws {
        let run = IndexRunSample(count: 5)
        let whole = try IndexRunSample.read(run.bytes)
        var wrong: [Int] = []
        for bit in 0..<run.bytes.count * 8 {
            let bytes = run.bytes.flipping(bit: bit)
            let named = refusalCode {
                try ObjectSeal.check(
                    bytes, hash: run.hash, label: ObjectSeal.runLabel,
                    footerByteCount: IndexRunLayout.footerByteCount, signedBy: nil, name: "runs/x")
            }
            if named != .damaged { wrong.append(bit) }
            guard let read = try? IndexRunSample.read(bytes) else { continue }
            // Only the signature and the flags that are not critical lie outside the seals.
            let inside =
                bit / 8 < 84 || (88..<run.bytes.count - 128).contains(bit / 8) || bit / 8 >= run.bytes.count - 64
            if inside || read.entries != whole.entries || read.fence.packs != run.packs
                || read.fence.merged != run.merged
            {
                wrong.append(bit)
            }
        }
        #expect(wrong == [])
    }

    @Test("every truncation and every appended byte is refused")
    func length() {
        let bytes = IndexRunSample(count: 5).bytes
        let accepted = (0..<bytes.count).filter { count in
            refusalCode { try IndexRunSample.fence(Array(bytes[..<count])) } == nil
        }
        #expect(accepted == [])
        #expect(refusalCode { try IndexRunSample.fence(bytes + [0]) } != nil)
        #expect(refusalCode { try IndexRunFence.tailByteCount(footer: bytes.suffix(63), name: "runs/x") } != nil)
        // A tail that is too short for the fence.
        let tail = 16 + 3 * 36 + 2 * 32 + 8 + 16 + 128
        for (count, code) in [(tail, nil), (tail - 1, .damaged), (64, .damaged), (0, .damaged)]
            as [(Int, FormatError.Code?)]
        {
            let found = refusalCode {
                try IndexRunFence(
                    front: bytes[..<96], tail: bytes.suffix(count), runByteCount: bytes.count,
                    repository: Sample.repository, indexKey: Sample.indexKey, name: "runs/x")
            }
            #expect(found == code)
        }
    }

    @Test("blocks and fences exchanged between two runs, or within one, are refused")
    func exchanged() throws {
        let one = IndexRunSample(count: 101, seed: 1)
        let two = IndexRunSample(count: 101, seed: 2)
        let fences = try [one, two].map { try IndexRunSample.fence($0.bytes) }
        #expect(one.bytes.count == two.bytes.count)
        for block in 0..<3 {
            let foreign = Array(two.bytes[fences[1].blocks.byteRange(ofBlock: block)])
            #expect(refusalCode { try fences[0].blocks.open(block: block, foreign, packCount: 3) } == .damaged)
        }
        let first = Array(one.bytes[fences[0].blocks.byteRange(ofBlock: 0)])
        let second = Array(one.bytes[fences[0].blocks.byteRange(ofBlock: 1)])
        #expect(refusalCode { try fences[0].blocks.open(block: 1, first, packCount: 3) } == .damaged)
        #expect(refusalCode { try fences[0].blocks.open(block: 0, second, packCount: 3) } == .damaged)
        #expect(refusalCode { try fences[0].blocks.open(block: 0, [], packCount: 3) } == .damaged)
        #expect(refusalCode { try fences[0].blocks.open(block: 0, Array(first.dropLast()), packCount: 3) } == .damaged)
        // The other run's fence, with and without its salt.
        let start = fences[0].blocks.byteRange(ofBlock: 2).upperBound
        let footer = one.bytes.count - 64
        let fence = one.bytes.replacing(start, Array(two.bytes[start..<(footer - 64)]))
        #expect(refusalCode { try IndexRunSample.fence(fence) } == .damaged)
        let whole = one.bytes.replacing(start, Array(two.bytes[start...]))
        let mixed = try IndexRunSample.fence(whole)
        #expect(refusalCode { try mixed.blocks.open(block: 0, first, packCount: 3) } == .damaged)
    }

    @Test("another repository, index key, kind or class is refused")
    func foreign() {
        let bytes = IndexRunSample(count: 5).bytes
        #expect(refusalCode { try IndexRunSample.fence(bytes, repository: Sample.repository(0x20)) } == .misplaced)
        #expect(refusalCode { try IndexRunSample.fence(bytes, indexKey: Sample.secret(9)) } == .damaged)
        #expect(refusalCode { try IndexRunSample.fence(bytes.replacing(12, [7, 0])) } == .misplaced)
        #expect(refusalCode { try IndexRunSample.fence(bytes.replacing(14, [2])) } == .damaged)
    }

    @Test("parts of a merge: the head lists them, the others list nothing")
    func parts() throws {
        let entries = IndexRunSample(count: 150).entries
        let head = IndexRunSample(entries: entries, parts: [Sample.hash(0xE0), Sample.hash(0xE1)])
        let (fence, read) = try IndexRunSample.read(head.bytes)
        #expect(fence.parts == [Sample.hash(0xE0), Sample.hash(0xE1)] && !fence.isPart)
        #expect(fence.merged == head.merged && read == entries.sorted())
        var plain = PlainRun([PlainRun.entry(1, pack: 2), PlainRun.entry(2, pack: 70_000)])
        plain.fence = PlainRun.fence(packs: 0, merged: 0, firsts: [Array(Sample.hash(1).bytes[..<8])])
        let part = try IndexRunSample.fence(plain.bytes)
        #expect(part.isPart)
        let block = Array(plain.bytes[part.blocks.byteRange(ofBlock: 0)])
        #expect(try part.blocks.open(block: 0, block, packCount: 70_001).count == 2)
        #expect(refusalCode { try part.blocks.open(block: 0, block, packCount: 70_000) } == .damaged)
        for lists in [(1, 0), (0, 1)] {
            plain.fence = PlainRun.fence(
                packs: 0, merged: lists.0, parts: lists.1, firsts: [Array(Sample.hash(1).bytes[..<8])])
            #expect(refusalCode { try IndexRunSample.fence(plain.bytes) } == .damaged)
        }
    }

    @Test("what a careless writer sealed is refused")
    func careless() throws {
        let sorted = [PlainRun.entry(1), PlainRun.entry(2), PlainRun.entry(2, ordinal: 1)]
        func read(_ run: PlainRun) -> FormatError.Code? { refusalCode { try IndexRunSample.read(run.bytes) } }
        let good = PlainRun(sorted)
        #expect(read(good) == nil)
        #expect(read(PlainRun([sorted[0], sorted[2], sorted[1]])) == .malformed)
        #expect(read(PlainRun([sorted[0], sorted[1], sorted[1]])) == .malformed)
        #expect(read(PlainRun([PlainRun.entry(1, pack: 1)])) == .damaged)
        #expect(read(PlainRun([PlainRun.entry(1, pack: 0xFFFF_FFFF)], packs: 3)) == .damaged)
        func vary(_ change: (inout PlainRun) -> Void) -> FormatError.Code? {
            var run = good
            change(&run)
            return read(run)
        }
        #expect(vary { $0.fence.replaceSubrange(16..<17, with: [1]) } == nil)
        #expect(vary { $0.fence[0] = 2 } == .damaged)
        #expect(vary { $0.fence[4] = 1 } == .damaged)
        #expect(vary { $0.fence[8] = 2 } == .damaged)
        #expect(vary { $0.fence.replaceSubrange(0..<12, with: [UInt8](repeating: 0xFF, count: 12)) } == .damaged)
        #expect(vary { $0.fence[12] = 1 } == .damaged)
        #expect(vary { $0.fence.append(0) } == .damaged)
        #expect(vary { $0.fence[$0.fence.count - 1] ^= 9 } == .damaged, "a first word that is not the block's")
        #expect(vary { $0.fence = [] } == .damaged)
        #expect(vary { $0.entryCount = 4 } == .damaged)
        #expect(vary { $0.entryCount = 401 } == .damaged)
        #expect(vary { $0.blockCount = 2 } == .damaged)
        #expect(
            vary {
                $0.entryCount = 0xFFFF_FFFF; $0.blockCount = 0xFFFF_FFFF
            } == .damaged)
        #expect(vary { $0.blocks[0].append(0) } == .damaged)
    }
}
