package import BackupModel
import Glibc

/// Cuts whole regions into chunks and holes.
///
/// The cut depends on the region's bytes, the parameters and the two secret keys alone:
///
/// 1. Maximal runs of zero pages of at least `zeroRunMinimum` bytes are holes; they split the region into segments.
/// 2. Each segment is cut alone. A boundary follows a page when the chunk has reached `minimum` and the page's value is
///    below `threshold`; it is forced where the chunk reaches `maximum`, and at the segment's end.
/// 3. Shorter zero runs are data.
///
/// A page's value is the first eight bytes, little-endian, of the encrypted 16-byte ``PageHash``. The region's last
/// page may be short; it has no value, and needs none: a boundary is forced behind it.
///
/// Holds scratch for one region, so each worker has its own; it is not for use by two tasks at once. Cutting allocates
/// nothing once `pieces` has grown.
// Safety: the pointers are private, sized for one region at creation and freed once.
@safe package final class RegionChunker {
    /// How regions are cut; checked, and fixed for the life of the chunker.
    package let parameters: ChunkerParameters

    let hash: PageHash
    /// One per page of a region: what is known of it.
    let marks: UnsafeMutablePointer<Mark>
    /// One per hashed page, in page order: 16 bytes, first the hash, then its encryption.
    let blocks: UnsafeMutableRawPointer

    /// What is known of a page.
    enum Mark: UInt8 {
        /// Read (or, for a whole cut, to be looked at), and not known to be zero.
        case data
        /// Read, and all zero.
        case zero
        /// All zero, without having been read.
        case knownZero
        /// Part of a hole of the new cut.
        case hole
        /// Unchanged bytes of an earlier chunk, not read.
        case unread
    }

    /// - Parameter pageHashKey: 4096 secret bytes (copied, and wiped on release).
    /// - Throws: ``ChunkingError`` when the parameters are out of range or not writable, or the key's length is wrong.
    package init(parameters: ChunkerParameters, pageHashKey: UnsafeRawBufferPointer) throws(ChunkingError) {
        try parameters.validateForWriting()
        self.parameters = parameters
        unsafe hash = try PageHash(key: pageHashKey)
        let pages = parameters.regionSize / ChunkerParameters.pageSize
        unsafe marks = .allocate(capacity: pages)
        // Safety: Mark is a trivial type; the memory just allocated is initialised whole.
        unsafe marks.initialize(repeating: .data, count: pages)
        unsafe blocks = .allocate(byteCount: pages * PageHash.outputSize, alignment: 16)
    }

    deinit {
        unsafe marks.deallocate()
        unsafe blocks.deallocate()
    }

    /// Cuts one region and appends its pieces: ascending, covering it exactly.
    ///
    /// - Parameters:
    ///   - region: 1 … `regionSize` bytes from the region's start. Zeros are written where a known hole turned out to
    ///     be part of a chunk; afterwards every byte of a data piece is true. Bytes of holes are unspecified.
    ///   - knownHoles: ranges known to be zero, in bytes from the region's start, in any order; their bytes need not
    ///     have been read and are not looked at. The result is the same as with zeros read.
    ///   - pieces: only appended to; at most one piece a page.
    ///   - encryptBlocks: encrypts the 16-byte blocks in place with AES-256 under the second key, each alone. Called
    ///     once, or not at all when no page needs a value; its error is passed on, and then nothing was appended.
    package func chunk<Failure: Error>(
        _ region: UnsafeMutableRawBufferPointer, knownHoles: [Extent] = [], into pieces: inout [RegionPiece],
        encryptBlocks: (UnsafeMutableRawBufferPointer) throws(Failure) -> Void
    ) throws(Failure) {
        precondition(
            region.count > 0 && region.count <= parameters.regionSize, "a region has 1 … regionSize bytes")
        guard let bytes = region.baseAddress else { preconditionFailure("a region with bytes has an address") }
        let pageCount = ChunkerParameters.pageCount(ofBytes: region.count)
        unsafe mark(knownHoles, in: bytes, count: region.count)
        unsafe scan(bytes, count: region.count)
        let hashed = unsafe hashSegments(bytes, count: region.count)
        if hashed > 0 {
            // Safety: `blocks` has room for a hash of every page; the first `hashed` are initialised.
            let filled = unsafe UnsafeMutableRawBufferPointer(start: blocks, count: hashed * PageHash.outputSize)
            try unsafe encryptBlocks(filled)
        }
        pieces.reserveCapacity(pieces.count + 64)
        var page = 0
        var block = 0
        while page < pageCount {
            let isHole = unsafe marks[page] == .hole
            var end = page + 1
            while end < pageCount, unsafe (marks[end] == .hole) == isHole { end += 1 }
            if isHole {
                pieces.append(RegionPiece(pages: page..<end, isHole: true, regionLength: region.count))
            } else {
                cut(pages: page..<end, firstBlock: block, regionLength: region.count, into: &pieces)
                block += end - page
            }
            page = end
        }
    }

    /// Copies the encrypted hashes of pages of the region that was cut last, 16 bytes each.
    ///
    /// - Parameter first: number of the first page, counted over the pages of all its chunks in their order.
    /// - Precondition: so many pages lie in chunks; ``chunk`` cut it, and nothing was cut since.
    package func copyBlocks(from first: Int, count: Int, into output: UnsafeMutableRawBufferPointer) {
        let pages = parameters.regionSize / ChunkerParameters.pageSize
        precondition(
            first >= 0 && count >= 0 && first + count <= pages && output.count >= count * PageHash.outputSize,
            "the pages lie in a region, and there is room for their hashes")
        // Safety: `blocks` has a hash for every page of a region, and the output room for as many as are copied.
        unsafe output.copyMemory(
            from: UnsafeRawBufferPointer(
                start: blocks + first * PageHash.outputSize, count: count * PageHash.outputSize))
    }

    /// Hashes whole pages, apart from any region: 16 bytes each, not encrypted yet.
    ///
    /// - Precondition: `output` has room for a hash of each whole page.
    package func hashPages(_ pages: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer) {
        let count = pages.count / ChunkerParameters.pageSize
        precondition(output.count >= count * PageHash.outputSize, "there is room for the hashes")
        guard count > 0, let bytes = pages.baseAddress, let room = output.baseAddress else { return }
        // Safety: that many pages are there, and room for as many hashes.
        unsafe hash.hash(bytes, count: count, into: room)
    }

    /// Marks the pages that lie wholly in known holes, all others as data, and writes the zeros of pages partly
    /// covered.
    private func mark(_ knownHoles: [Extent], in bytes: UnsafeMutableRawPointer, count: Int) {
        let pageSize = ChunkerParameters.pageSize
        let pageCount = ChunkerParameters.pageCount(ofBytes: count)
        // Safety: `pageCount` is at most the capacity, and Mark is trivial.
        unsafe marks.update(repeating: .data, count: pageCount)
        let whole = Extent(start: 0, length: UInt64(count))
        for extent in knownHoles {
            guard let hole = extent.intersection(whole) else { continue }
            let start = Int(hole.start)
            let end = Int(hole.end)
            let firstPage = (start + pageSize - 1) / pageSize
            let endPage = end == count ? pageCount : end / pageSize
            if firstPage < endPage {
                // Safety: both page numbers are at most `pageCount`; all byte offsets below are at most `count`.
                unsafe (marks + firstPage).update(repeating: .knownZero, count: endPage - firstPage)
                unsafe _ = memset(bytes + start, 0, firstPage * pageSize - start)
                unsafe _ = memset(bytes + min(endPage * pageSize, end), 0, max(0, end - endPage * pageSize))
            } else {
                // Safety: start … end lies in the region.
                unsafe _ = memset(bytes + start, 0, end - start)
            }
        }
    }

    /// Finds the zero pages among those marked as data.
    private func scan(_ bytes: UnsafeMutableRawPointer, count: Int) {
        let pageSize = ChunkerParameters.pageSize
        let wholePages = count / pageSize
        for page in 0..<wholePages {
            // Safety: `page` is below the number of whole pages, so 4096 bytes follow and the mark exists.
            guard unsafe marks[page] == .data else { continue }
            if unsafe ZeroTest.isZero(bytes + page &* pageSize, count: pageSize) { unsafe marks[page] = .zero }
        }
        let rest = count - wholePages * pageSize
        // Safety: the short page has `rest` bytes, and a mark.
        if rest > 0, unsafe marks[wholePages] == .data,
            unsafe ZeroTest.isZero(bytes + wholePages * pageSize, count: rest)
        {
            unsafe marks[wholePages] = .zero
        }
    }

    /// Turns long zero runs into holes and hashes every other page; the pages hashed, the short last one included
    /// (its block is there but means nothing).
    private func hashSegments(_ bytes: UnsafeMutableRawPointer, count: Int) -> Int {
        let pageSize = ChunkerParameters.pageSize
        let pageCount = ChunkerParameters.pageCount(ofBytes: count)
        let wholePages = count / pageSize
        var hashed = 0
        var page = 0
        while page < pageCount {
            let isZero = unsafe marks[page] != .data
            var end = page &+ 1
            // Safety: `page` and `end` are below `pageCount` where a mark is read.
            while end < pageCount, unsafe (marks[end] != .data) == isZero { end &+= 1 }
            let length = min(end * pageSize, count) - page * pageSize
            if isZero && length >= parameters.zeroRunMinimum {
                unsafe (marks + page).update(repeating: .hole, count: end - page)
            } else {
                // Safety: there is one block for every page of a region.
                let output = unsafe blocks + hashed * PageHash.outputSize
                if isZero {
                    unsafe storeZeroRun(page..<end, of: bytes, count: count, into: output)
                } else {
                    let whole = min(end, wholePages) - page
                    // Safety: `whole` pages of the region follow from `page`.
                    unsafe hash.hash(bytes + page * pageSize, count: whole, into: output)
                    if end > wholePages {
                        unsafe PageHash.store((0, 0), at: output + whole * PageHash.outputSize)
                    }
                }
                hashed += end - page
            }
            page = end
        }
        return hashed
    }

    /// Hashes a short zero run, which is data, without reading it; writes the zeros where nobody has read them.
    private func storeZeroRun(
        _ pages: Range<Int>, of bytes: UnsafeMutableRawPointer, count: Int, into output: UnsafeMutableRawPointer
    ) {
        let pageSize = ChunkerParameters.pageSize
        for page in pages {
            // Safety: `output` has a block for every page of the run; the page's bytes end at or before `count`.
            unsafe PageHash.store(hash.ofZeroPage, at: output + (page - pages.lowerBound) * PageHash.outputSize)
            if unsafe marks[page] == .knownZero {
                unsafe _ = memset(bytes + page * pageSize, 0, min(pageSize, count - page * pageSize))
            }
        }
    }

    /// Cuts one segment; the block of its first page is `firstBlock`.
    private func cut(pages: Range<Int>, firstBlock: Int, regionLength: Int, into pieces: inout [RegionPiece]) {
        let minimum = parameters.minimum / ChunkerParameters.pageSize
        let maximum = parameters.maximum / ChunkerParameters.pageSize
        let threshold = parameters.threshold
        var start = pages.lowerBound
        while start < pages.upperBound {
            let forced = min(start + maximum, pages.upperBound) - 1
            var last = min(start + minimum - 1, forced)
            // Safety: `last` lies in the segment, whose blocks are initialised from `firstBlock` on.
            var block = unsafe blocks + (firstBlock + last - pages.lowerBound) * PageHash.outputSize
            while last < forced, unsafe UInt64(littleEndian: block.load(as: UInt64.self)) >= threshold {
                last &+= 1
                unsafe block += PageHash.outputSize
            }
            pieces.append(RegionPiece(pages: start..<last + 1, isHole: false, regionLength: regionLength))
            start = last + 1
        }
    }
}

extension ChunkerParameters {
    /// Number of pages that hold `count` bytes; the last may be short.
    static func pageCount(ofBytes count: Int) -> Int { (count + pageSize - 1) / pageSize }
}

extension RegionPiece {
    /// The piece made of whole pages, cut at the region's end.
    init(pages: Range<Int>, isHole: Bool, regionLength: Int) {
        let start = pages.lowerBound * ChunkerParameters.pageSize
        let end = min(pages.upperBound * ChunkerParameters.pageSize, regionLength)
        self.init(offset: UInt32(start), length: UInt32(end - start), isHole: isHole)
    }
}
