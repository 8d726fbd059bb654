import BackupModel
import Glibc

extension HostFile {
    // Linux values; the header hides them behind a feature macro.
    private static let seekData: CInt = 3
    private static let seekHole: CInt = 4

    /// Whether the file system tells holes from data for this file.
    var tellsHoles: Bool {
        guard !isBlockDevice, size > 0 else { return false }
        return lseek(descriptor, 0, HostFile.seekHole) >= 0
    }

    /// Data and holes of `range`, which lies inside the file; one step per change, however large a hole is.
    func extents(in range: Extent) throws(SourceError) -> [SourceExtent] {
        var list = ExtentList(covering: range)
        while !list.isComplete {
            let data = try seek(list.position, HostFile.seekData, orWhenNone: range.end)
            list.append(.hole, upTo: data)
            if list.isComplete { break }
            let hole = try seek(list.position, HostFile.seekHole, orWhenNone: range.end)
            // A file that changes under us may answer a hole where data was just found: then read a page.
            list.append(.data, upTo: max(hole, list.position + 4096))
        }
        return list.extents
    }

    private func seek(_ offset: UInt64, _ what: CInt, orWhenNone end: UInt64) throws(SourceError) -> UInt64 {
        let found = lseek(descriptor, off_t(clamping: offset), what)
        if found >= 0 { return max(UInt64(found), offset) }
        switch errno {
        case ENXIO: return end
        // The file system does not know: everything is data.
        case EINVAL, EOPNOTSUPP, ENOSYS: return what == HostFile.seekData ? offset : end
        default: throw .system("looking for holes", path, errno)
        }
    }
}

/// Builds the extents of a range in order, joining neighbours of a kind.
struct ExtentList {
    private(set) var extents: [SourceExtent] = []
    /// Where the next extent starts.
    private(set) var position: UInt64
    private let end: UInt64

    init(covering range: Extent) {
        position = range.start
        end = range.end
    }

    var isComplete: Bool { position >= end }

    /// Goes on to `limit` (cut at the end of the range; nothing happens when it is not ahead).
    mutating func append(_ kind: SourceExtent.Kind, upTo limit: UInt64) {
        let limit = min(limit, end)
        guard limit > position else { return }
        var start = position
        if let last = extents.last, last.kind == kind {
            start = last.extent.start
            extents.removeLast()
        }
        extents.append(SourceExtent(extent: Extent(start: start, length: limit - start), kind: kind))
        position = limit
    }
}
