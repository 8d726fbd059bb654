import BackupModel

/// Pages of a guest's memory that were found, byte for byte, in chunks of its disks.
struct PageMatches: Sendable {
    /// Where a page was found.
    struct Place: Sendable {
        let chunk: Hash256
        /// Bytes of the chunk before it.
        let skip: UInt32
    }

    /// Bytes of chunks that the repository had lost since they were noted, and that were stored again.
    let newByteCount: UInt64
    private let chunks: [Hash256]
    /// Ascending.
    private let pages: [UInt32]
    /// For each page which of the chunks, and which page of it.
    private let places: [(chunk: UInt32, page: UInt32)]

    /// Nothing was found.
    static let none = PageMatches(chunks: [], found: [], newByteCount: 0)

    /// - Parameter found: in any order, no page twice.
    init(chunks: [Hash256], found: [(page: UInt32, chunk: UInt32, index: UInt32)], newByteCount: UInt64) {
        self.newByteCount = newByteCount
        self.chunks = chunks
        let sorted = found.sorted { $0.page < $1.page }
        pages = sorted.map(\.page)
        places = sorted.map { ($0.chunk, $0.index) }
    }

    var isEmpty: Bool { pages.isEmpty }

    /// Where a page was found; `nil` when it was not.
    func place(of page: UInt32) -> Place? {
        let index = first(from: page)
        guard index < pages.count, pages[index] == page else { return nil }
        let (chunk, inside) = places[index]
        return Place(chunk: chunks[Int(chunk)], skip: inside * 4096)
    }

    /// Number of the first page that is not below another.
    private func first(from page: UInt32) -> Int {
        var low = 0
        var high = pages.count
        while low < high {
            let middle = (low + high) / 2
            if pages[middle] < page { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// The pages that were found in a region, in bytes from its start.
    func extents(in region: Extent) -> [Extent] {
        guard !isEmpty else { return [] }
        let end = (region.end + 4095) / 4096
        var index = first(from: UInt32(clamping: region.start / 4096))
        var found: [Extent] = []
        while index < pages.count, UInt64(pages[index]) < end {
            let start = UInt64(pages[index]) * 4096 - region.start
            if let last = found.last, last.end == start {
                found[found.count - 1] = Extent(start: last.start, length: last.length + 4096)
            } else {
                found.append(Extent(start: start, length: 4096))
            }
            index += 1
        }
        return found
    }
}
