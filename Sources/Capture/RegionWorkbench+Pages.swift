import BackupModel
import ChunkEncryption
import Chunking
import GuestSource
import Repository
import RepositoryFormat

// Pages of memory in chunks of disks
// ----------------------------------
// What a guest has read of its disks lies in its memory, page by page, in another order than on the disk. Chunks know
// nothing of that: a chunk of memory holds other neighbours. So while disks are read, a log on the host notes for each
// chunk the values of its pages; and before memory is read, each chunk whose pages all lie somewhere in the memory is
// put together from them and compared with its id. What is equal is then named by the memory's map as slices of that
// chunk. The id decides, by 256 bits: no key that opens old content is needed, and no value of the log is believed.

/// The memory of one page, as far as it matters for looking it up.
private struct Candidate {
    var value: UInt64
    var page: UInt32
    /// Number of the chunk it was found in and one; 0 while it was not.
    var chunk: UInt32 = 0
    var index: UInt32 = 0
}

/// What was found so far.
private struct Found {
    var chunks: [Hash256] = []
    var newByteCount: UInt64 = 0
}

extension RegionWorkbench {
    /// Pages of memory that are looked for, at most: of 16 GiB that are not zero, 24 bytes each, 96 MiB.
    static let mostCandidates = 4 << 20

    /// The cipher behind the values of a guest's log; whoever has it has the boundary key.
    static func pageCipher(_ session: WritingSession, guest: GuestID) throws -> BoundaryCipher {
        BoundaryCipher(
            key: KeyDerivation.derive(
                key: try session.keys.boundaryKey(), label: "dozo/1 page log", context: guest.bytes,
                byteCount: BoundaryCipher.keyByteCount))
    }

    /// Notes the values of a chunk's pages, when it consists of whole ones and is not noted yet.
    ///
    /// - Parameter block: number of its first page among those that the chunker has hashed for this cut; `nil` when it
    ///   has not.
    func note(_ piece: RegionPiece, identifier: Hash256, block: Int? = nil) {
        guard let logging, logging.log.needs(identifier), piece.length % 4096 == 0,
            Int(piece.length) / 4096 <= PageLog.pageLimit
        else { return }
        // Safety: pieces lie inside the region that was cut.
        let bytes = unsafe UnsafeRawBufferPointer(rebasing: region[Int(piece.offset)..<Int(piece.end)])
        logging.log.append(
            PageLog.Record(chunk: identifier, values: unsafe values(of: bytes, by: logging.cipher, block: block)))
    }

    /// The values of whole pages: what decides boundaries, encrypted once more under the guest's own key.
    private func values(
        of pages: UnsafeRawBufferPointer, by cipher: BoundaryCipher, block: Int? = nil
    ) -> [UInt64] {
        let count = pages.count / ChunkerParameters.pageSize
        let blocks = UnsafeMutableRawBufferPointer.allocate(
            byteCount: count * BoundaryCipher.blockByteCount, alignment: 16)
        // Safety: allocated here, used by nobody else; it has a block for each page.
        defer { unsafe blocks.deallocate() }
        if let block {
            unsafe chunker.copyBlocks(from: block, count: count, into: blocks)
        } else {
            unsafe chunker.hashPages(pages, into: blocks)
            unsafe boundary.encrypt(inPlace: blocks)
        }
        unsafe cipher.encrypt(inPlace: blocks)
        return (0..<count).map { index in
            // Safety: as above.
            UInt64(
                littleEndian: unsafe blocks.load(
                    fromByteOffset: index * BoundaryCipher.blockByteCount, as: UInt64.self))
        }
    }

    /// Looks for the pages of memory in the chunks that a log names. Reads the memory once, and again what it finds.
    ///
    /// - Parameter memory: pages by address; whole ones.
    /// - Throws: what reading and storing throw. A chunk that was swept away since it was noted is stored again.
    func matches(of memory: any ImageSource, in log: PageLog, by cipher: BoundaryCipher) async throws -> PageMatches {
        log.flush()
        guard !log.records(from: 0).records.isEmpty else { return .none }
        let zero = [UInt8](repeating: 0, count: ChunkerParameters.pageSize)
        // Safety: the array lives through the call.
        let zeroValue = unsafe zero.withUnsafeBytes { unsafe values(of: $0, by: cipher)[0] }
        var candidates = try await candidates(of: memory, zeroValue: zeroValue, by: cipher)
        candidates.sort { $0.value < $1.value }
        var found = Found()
        var place: UInt64 = 0
        while true {
            let (records, end) = log.records(from: place)
            guard end > place else { break }
            place = end
            for record in records {
                try Task.checkCancellation()
                try await match(record, zeroValue: zeroValue, memory: memory, candidates: &candidates, into: &found)
            }
        }
        return PageMatches(
            chunks: found.chunks,
            found: candidates.compactMap { $0.chunk == 0 ? nil : ($0.page, $0.chunk - 1, $0.index) },
            newByteCount: found.newByteCount)
    }

    private func candidates(
        of memory: any ImageSource, zeroValue: UInt64, by cipher: BoundaryCipher
    ) async throws -> [Candidate] {
        var found: [Candidate] = []
        let page = UInt64(ChunkerParameters.pageSize)
        for extent in try await memory.extents(in: Extent(start: 0, length: memory.byteCount))
        where extent.kind == .data {
            var position = extent.extent.start
            while position < extent.extent.end, found.count < RegionWorkbench.mostCandidates {
                try Task.checkCancellation()
                let count = min(UInt64(parameters.regionByteCount), extent.extent.end - position)
                // Safety: a region has room for it.
                let bytes = unsafe UnsafeMutableRawBufferPointer(rebasing: region[..<Int(count)])
                try await unsafe memory.read(at: position, into: bytes)
                for (index, value) in unsafe values(of: UnsafeRawBufferPointer(bytes), by: cipher).enumerated()
                where value != zeroValue {
                    found.append(Candidate(value: value, page: UInt32(position / page) + UInt32(index)))
                }
                position += count
            }
        }
        return found
    }

    private func match(
        _ record: PageLog.Record, zeroValue: UInt64, memory: any ImageSource, candidates: inout [Candidate],
        into found: inout Found
    ) async throws {
        let page = ChunkerParameters.pageSize
        let length = record.values.count * page
        guard length <= Int(parameters.regionByteCount), unsafe length <= packed.count else { return }
        var firsts: [Int?] = []
        var isNews = false
        for value in record.values {
            guard value != zeroValue else {
                firsts.append(nil)
                continue
            }
            let first = RegionWorkbench.first(of: candidates, value: value)
            guard first < candidates.count, candidates[first].value == value else { return }
            firsts.append(first)
            isNews = isNews || candidates[first].chunk == 0
        }
        // All of them were found in another chunk.
        guard isNews else { return }
        for (index, first) in firsts.enumerated() {
            // Safety: the chunk has room in the region.
            let room = unsafe UnsafeMutableRawBufferPointer(rebasing: region[index * page..<(index + 1) * page])
            if let first {
                try await unsafe memory.read(at: UInt64(candidates[first].page) * UInt64(page), into: room)
            } else {
                unsafe room.initializeMemory(as: UInt8.self, repeating: 0)
            }
        }
        let piece = RegionPiece(offset: 0, length: UInt32(length), isHole: false)
        guard hash(piece) == record.chunk else { return }
        // It is there, or is now: the map may lean on it.
        if try await keep(piece).isNew { found.newByteCount += UInt64(length) }
        found.chunks.append(record.chunk)
        for (index, first) in firsts.enumerated() {
            guard let first else { continue }
            var next = first
            while next < candidates.count, candidates[next].value == record.values[index] {
                if candidates[next].chunk == 0,
                    try await isEqual(candidates[next], to: index, of: memory, next == first)
                {
                    candidates[next].chunk = UInt32(found.chunks.count)
                    candidates[next].index = UInt32(index)
                }
                next += 1
            }
        }
    }

    /// Whether another page of the same value is the one that stands in the region; the room behind the largest chunk
    /// holds it meanwhile.
    private func isEqual(
        _ candidate: Candidate, to index: Int, of memory: any ImageSource, _ isItself: Bool
    ) async throws -> Bool {
        if isItself { return true }
        let page = ChunkerParameters.pageSize
        // Safety: `packed` is at least a page long, as chunks are, and nothing is being packed.
        let room = unsafe UnsafeMutableRawBufferPointer(rebasing: packed[..<page])
        try await unsafe memory.read(at: UInt64(candidate.page) * UInt64(page), into: room)
        return unsafe room.elementsEqual(region[index * page..<(index + 1) * page])
    }

    /// Number of the first candidate whose value is not below another.
    private static func first(of candidates: [Candidate], value: UInt64) -> Int {
        var low = 0
        var high = candidates.count
        while low < high {
            let middle = (low + high) / 2
            if candidates[middle].value < value { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// Lays a hole of the cut into leaves: what was found elsewhere as slices, the rest as it is.
    ///
    /// - Returns: whether there were slices.
    func append(
        hole piece: RegionPiece, of region: Extent, _ matches: PageMatches, to leaves: inout LeafSplitter
    ) -> Bool {
        guard !matches.isEmpty else {
            leaves.appendHole(piece.length)
            return false
        }
        var hasSlices = false
        var open: (chunk: Hash256?, skip: UInt32, length: UInt32) = (nil, 0, 0)
        func close() {
            guard open.length > 0 else { return }
            if let chunk = open.chunk {
                leaves.append(chunk, skip: open.skip, length: open.length)
                hasSlices = true
            } else {
                leaves.appendHole(open.length)
            }
        }
        var position = piece.offset
        while position < piece.end {
            let length = min(4096, piece.end - position)
            let place = matches.place(of: UInt32((region.start + UInt64(position)) / 4096))
            let continues = open.chunk == place?.chunk && (place.map { $0.skip == open.skip + open.length } ?? true)
            if open.length > 0, continues {
                open.length += length
            } else {
                close()
                open = (place?.chunk, place?.skip ?? 0, length)
            }
            position += length
        }
        close()
        return hasSlices
    }
}
