package import BackupModel
import Glibc

// Cutting a region anew after a change
// ------------------------------------
// The result is what a whole cut of the new bytes gives (format page §8), reached by reading only around the changes.
// It stands on two facts about a whole cut:
//
// * A zero run that neither holds a changed page nor touches one is what it was: a hole, or data too short for one. So
//   only runs at the edges of changes are followed, to the first page that is not zero.
// * Where a chunk ends depends on the bytes from its first page on and on where its segment ends. So an earlier chunk
//   that begins where a chunk begins now, whose bytes did not change and whose end was not forced by a segment end that
//   has moved, is a chunk now. It is kept without being read.
//
// Everything else is cut from bytes, chunk by chunk, until a new boundary meets the beginning of such a chunk.

/// A piece of a region that was cut anew.
package struct RecutPiece: Hashable, Sendable {
    /// Its place in the region.
    package let piece: RegionPiece
    /// Position, in the earlier cut, of the chunk that this one is, byte for byte; its bytes need not have been read.
    /// `nil` for a hole, and for a chunk whose bytes are in the region's buffer and have to be looked at.
    package let kept: Int?

    /// A piece, kept or new.
    package init(piece: RegionPiece, kept: Int?) {
        self.piece = piece
        self.kept = kept
    }
}

extension RegionChunker {
    /// Cuts a region of which only some bytes changed since it was cut before; the pieces equal those of ``chunk``.
    ///
    /// - Parameters:
    ///   - region: as long as the region was before; nothing in it needs to be read yet. Afterwards the bytes of every
    ///     new chunk are true; all others are unspecified.
    ///   - earlier: the pieces of the earlier cut, whole, by equal parameters and keys. What it says is believed: an
    ///     earlier cut of other bytes or parameters gives a map that is wrong or not canonical.
    ///   - changed: what may differ, in bytes from the region's start, in any order; may overlap.
    ///   - pieces: only appended to; ascending, covering the region exactly.
    ///   - read: fills the given bytes of the region, whole pages but for a short last one, each at most once. Its
    ///     error is passed on, and `pieces` is then meaningless.
    ///   - encryptBlocks: as in ``chunk``; called once for each stretch of pages that had to be read.
    package func recut(
        _ region: UnsafeMutableRawBufferPointer, earlier: [RegionPiece], changed: [Extent],
        into pieces: inout [RecutPiece], read: (Range<Int>) async throws -> Void,
        encryptBlocks: (UnsafeMutableRawBufferPointer) throws -> Void
    ) async throws {
        precondition(
            region.count > 0 && region.count <= parameters.regionSize, "a region has 1 … regionSize bytes")
        var end: UInt32 = 0
        for piece in earlier {
            precondition(piece.offset == end && piece.length > 0, "an earlier cut covers its region without gaps")
            end = piece.end
        }
        precondition(Int(end) == region.count, "a region is as long as when it was cut before")
        // Safety: the caller's buffer and closures live for the call.
        var recut = unsafe Recut(chunker: self, region: region, earlier: earlier, changed: changed)
        try await recut.readChanges(read)
        try await recut.followZeroRuns(read)
        recut.findHoles()
        try unsafe await recut.cut(into: &pieces, read: read, encryptBlocks: encryptBlocks)
    }
}

/// One recut in progress. Pages are counted from the region's start.
// Safety: the buffer outlives the call that made this value, and every page number below is less than `pageCount`, for
// which the chunker's marks and blocks have room.
@safe private struct Recut {
    private static let pageSize = ChunkerParameters.pageSize

    private let chunker: RegionChunker
    private let base: UnsafeMutableRawPointer
    private let byteCount: Int
    private let pageCount: Int
    private let earlier: [RegionPiece]
    /// Ascending, apart from each other.
    private let changed: [Range<Int>]
    /// For each earlier piece whether a page of it changed.
    private let isChanged: [Bool]
    /// Pages whose values stand in the chunker's blocks.
    private var valued = 0..<0

    init(
        chunker: RegionChunker, region: UnsafeMutableRawBufferPointer, earlier: [RegionPiece], changed: [Extent]
    ) {
        self.chunker = chunker
        guard let base = region.baseAddress else { preconditionFailure("a region with bytes has an address") }
        // Safety: see the type.
        unsafe self.base = unsafe base
        byteCount = region.count
        let pageCount = ChunkerParameters.pageCount(ofBytes: region.count)
        self.pageCount = pageCount
        self.earlier = earlier
        let changed = Recut.pages(of: changed, regionByteCount: region.count)
        self.changed = changed
        var flags = [Bool](repeating: false, count: earlier.count)
        var index = 0
        for range in changed {
            while index < earlier.count, Recut.pages(of: earlier[index]).upperBound <= range.lowerBound { index += 1 }
            var hit = index
            while hit < earlier.count, Recut.pages(of: earlier[hit]).lowerBound < range.upperBound {
                flags[hit] = true
                hit += 1
            }
        }
        isChanged = flags
        for piece in earlier {
            let pages = Recut.pages(of: piece)
            unsafe (chunker.marks + pages.lowerBound).update(
                repeating: piece.isHole ? .knownZero : .unread, count: pages.count)
        }
    }

    private static func pages(of piece: RegionPiece) -> Range<Int> {
        Int(piece.offset) / pageSize..<ChunkerParameters.pageCount(ofBytes: Int(piece.end))
    }

    /// The pages that extents touch, ascending and joined.
    private static func pages(of extents: [Extent], regionByteCount: Int) -> [Range<Int>] {
        let whole = Extent(start: 0, length: UInt64(regionByteCount))
        var ranges: [Range<Int>] = []
        for extent in extents.compactMap({ $0.intersection(whole) }).sorted(by: { $0.start < $1.start }) {
            let pages = Int(extent.start) / pageSize..<ChunkerParameters.pageCount(ofBytes: Int(extent.end))
            if let last = ranges.last, pages.lowerBound <= last.upperBound {
                ranges[ranges.count - 1] = last.lowerBound..<max(last.upperBound, pages.upperBound)
            } else {
                ranges.append(pages)
            }
        }
        return ranges
    }

    private func mark(_ page: Int) -> RegionChunker.Mark { unsafe chunker.marks[page] }

    private func byteRange(_ pages: Range<Int>) -> Range<Int> {
        pages.lowerBound * Recut.pageSize..<min(pages.upperBound * Recut.pageSize, byteCount)
    }

    // MARK: Reading

    /// Reads pages and marks what they are.
    private func fill(_ pages: Range<Int>, _ read: (Range<Int>) async throws -> Void) async throws {
        try await read(byteRange(pages))
        for page in pages {
            let range = byteRange(page..<page + 1)
            // Safety: the page lies in the region, which has the bytes of its range.
            let isZero = unsafe ZeroTest.isZero(base + range.lowerBound, count: range.count)
            unsafe chunker.marks[page] = isZero ? .zero : .data
        }
    }

    /// Reads everything that may have changed.
    func readChanges(_ read: (Range<Int>) async throws -> Void) async throws {
        for range in changed { try await fill(range, read) }
    }

    /// Reads what is unread of the earlier chunk around a page, from that page on or up to it.
    private func settle(_ page: Int, _ read: (Range<Int>) async throws -> Void) async throws {
        var low = 0
        var high = earlier.count
        while low < high {
            let middle = (low + high) / 2
            if Recut.pages(of: earlier[middle]).upperBound <= page { low = middle + 1 } else { high = middle }
        }
        let chunk = Recut.pages(of: earlier[low])
        var from = page
        var to = page + 1
        while from > chunk.lowerBound, mark(from - 1) == .unread { from -= 1 }
        while to < chunk.upperBound, mark(to) == .unread { to += 1 }
        try await fill(from..<to, read)
    }

    /// Follows zero runs at the edges of changes until a page that is not zero.
    func followZeroRuns(_ read: (Range<Int>) async throws -> Void) async throws {
        for range in changed {
            var page = range.lowerBound
            while page > 0, mark(page) != .data {
                if mark(page - 1) == .unread {
                    // In front of an earlier hole stands a page that is not zero, or the hole would be longer.
                    if mark(page) == .knownZero { break }
                    try await settle(page - 1, read)
                }
                page -= 1
            }
            page = range.upperBound - 1
            while page + 1 < pageCount, mark(page) != .data {
                if mark(page + 1) == .unread {
                    if mark(page) == .knownZero { break }
                    try await settle(page + 1, read)
                }
                page += 1
            }
        }
    }

    // MARK: Cutting

    /// Marks the zero runs that are long enough. An unread page counts as not zero: should it be, its run is short.
    func findHoles() {
        var page = 0
        while page < pageCount {
            guard mark(page) == .zero || mark(page) == .knownZero else {
                page += 1
                continue
            }
            var end = page + 1
            while end < pageCount, mark(end) == .zero || mark(end) == .knownZero { end += 1 }
            if byteRange(page..<end).count >= chunker.parameters.zeroRunMinimum {
                // Safety: both page numbers are at most the page count.
                unsafe (chunker.marks + page).update(repeating: .hole, count: end - page)
            }
            page = end
        }
    }

    mutating func cut(
        into pieces: inout [RecutPiece], read: (Range<Int>) async throws -> Void,
        encryptBlocks: (UnsafeMutableRawBufferPointer) throws -> Void
    ) async throws {
        var page = 0
        var next = 0
        while page < pageCount {
            let isHole = mark(page) == .hole
            var end = page + 1
            while end < pageCount, (mark(end) == .hole) == isHole { end += 1 }
            if isHole {
                append(page..<end, isHole: true, kept: nil, to: &pieces)
                page = end
                continue
            }
            while page < end {
                while next < earlier.count, Int(earlier[next].offset) / Recut.pageSize < page { next += 1 }
                if stands(next, at: page, segmentEnd: end) {
                    let pages = Recut.pages(of: earlier[next])
                    append(pages, isHole: false, kept: next, to: &pieces)
                    page = pages.upperBound
                } else {
                    // Safety: the closure is the caller's.
                    let stop = try unsafe await boundary(
                        from: page, segmentEnd: end, read: read, encryptBlocks: encryptBlocks)
                    append(page..<stop, isHole: false, kept: nil, to: &pieces)
                    page = stop
                }
            }
        }
    }

    private func append(_ pages: Range<Int>, isHole: Bool, kept: Int?, to pieces: inout [RecutPiece]) {
        pieces.append(
            RecutPiece(
                piece: RegionPiece(pages: pages, isHole: isHole, regionLength: byteCount), kept: kept))
    }

    /// Whether the earlier chunk `index` is a chunk of the new cut, which has a boundary at `page`.
    private func stands(_ index: Int, at page: Int, segmentEnd: Int) -> Bool {
        guard index < earlier.count, !earlier[index].isHole, !isChanged[index] else { return false }
        let pages = Recut.pages(of: earlier[index])
        guard pages.lowerBound == page, pages.upperBound <= segmentEnd else { return false }
        if pages.upperBound == segmentEnd { return true }
        // Behind a chunk that its segment's end had cut off the bytes were never asked.
        let wasLast = index + 1 == earlier.count || earlier[index + 1].isHole
        return !wasLast || Int(earlier[index].length) == chunker.parameters.maximum
    }

    /// Finds where the chunk that begins at `start` ends, and reads all of it.
    private mutating func boundary(
        from start: Int, segmentEnd: Int, read: (Range<Int>) async throws -> Void,
        encryptBlocks: (UnsafeMutableRawBufferPointer) throws -> Void
    ) async throws -> Int {
        let sizes = chunker.parameters
        let forced = min(start + sizes.maximum / Recut.pageSize, segmentEnd)
        var end = min(start + sizes.minimum / Recut.pageSize, forced)
        var page = start
        while true {
            while page < end {
                try await take(page, read)
                page += 1
            }
            guard end < forced else { return end }
            // Safety: the closure is the caller's.
            let value = try unsafe value(of: end - 1, limit: forced, encryptBlocks: encryptBlocks)
            if value < sizes.threshold { return end }
            end += 1
        }
    }

    /// Makes a page's bytes true.
    private func take(_ page: Int, _ read: (Range<Int>) async throws -> Void) async throws {
        switch mark(page) {
        case .unread: try await settle(page, read)
        case .knownZero:
            let range = byteRange(page..<page + 1)
            // Safety: the page lies in the region, which has the bytes of its range.
            unsafe _ = memset(base + range.lowerBound, 0, range.count)
            unsafe chunker.marks[page] = .zero
        case .data, .zero: return
        case .hole: preconditionFailure("a chunk holds no page of a hole")
        }
    }

    /// The value of a page that was read, hashed together with those read behind it.
    private mutating func value(
        of page: Int, limit: Int, encryptBlocks: (UnsafeMutableRawBufferPointer) throws -> Void
    ) throws -> UInt64 {
        // Safety: there is a block for every page.
        let place = unsafe chunker.blocks + page * PageHash.outputSize
        if !valued.contains(page) {
            let wholePages = byteCount / Recut.pageSize
            var stop = page
            while stop < min(limit, wholePages), mark(stop) == .data || mark(stop) == .zero { stop += 1 }
            precondition(stop > page, "a page is whole and read before its value is asked for")
            unsafe chunker.hash.hash(base + page * Recut.pageSize, count: stop - page, into: place)
            try unsafe encryptBlocks(
                UnsafeMutableRawBufferPointer(start: place, count: (stop - page) * PageHash.outputSize))
            valued = page..<stop
        }
        return unsafe UInt64(littleEndian: place.load(as: UInt64.self))
    }
}
