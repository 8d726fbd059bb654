import Glibc

/// Leaves the host's page cache as it was found: what a read brought in is dropped again, what was there stays.
///
/// A backup reads everything once; without this it would push out what the running guests need.
enum PageCache {
    // More alternations than this in one read are not worth a system call each.
    private static let mostRuns = 64

    /// Byte ranges of `start ..< start + count` whose pages are not in the cache now; empty when that cannot be told.
    ///
    /// The kernel answers "all cached" to a user who could not write the file; nothing is dropped then.
    static func absent(_ descriptor: CInt, start: UInt64, count: Int) -> [Range<UInt64>] {
        let page = UInt64(getpagesize())
        let first = start / page * page
        let length = Int(start - first) + count
        guard count > 0 else { return [] }
        // Safety: the mapping is never touched, only asked about, and is unmapped here.
        guard let map = unsafe mmap(nil, length, PROT_READ, MAP_SHARED, descriptor, off_t(clamping: first)),
            unsafe map != MAP_FAILED
        else { return [] }
        defer { unsafe munmap(map, length) }
        var flags = [UInt8](repeating: 1, count: (length + Int(page) - 1) / Int(page))
        // Safety: mincore writes one byte for each page of the mapping.
        guard unsafe mincore(map, length, &flags) == 0 else { return [] }
        var runs: [Range<UInt64>] = []
        for (index, flag) in flags.enumerated() where flag & 1 == 0 {
            let from = first + UInt64(index) * page
            if let last = runs.last, last.upperBound == from {
                runs[runs.count - 1] = last.lowerBound..<(from + page)
            } else {
                runs.append(from..<(from + page))
                if runs.count > mostRuns { return [] }
            }
        }
        return runs
    }

    static func drop(_ descriptor: CInt, _ runs: [Range<UInt64>]) {
        for run in runs {
            posix_fadvise(
                descriptor, off_t(clamping: run.lowerBound), off_t(run.upperBound - run.lowerBound), POSIX_FADV_DONTNEED
            )
        }
    }

    /// Larger read-ahead, for a file read from front to back.
    static func expectSequentialReads(_ descriptor: CInt) {
        posix_fadvise(descriptor, 0, 0, POSIX_FADV_SEQUENTIAL)
    }
}

/// What reading does to the host's page cache.
package enum CacheUse: Sendable {
    /// Pages that were not cached before are dropped after the read.
    case leaveAsFound
    /// Whatever was read stays cached, as for any program.
    case keep
}
