import Glibc

/// Seconds of CPU that the stages of one pass used on the calling thread.
struct StageClock {
    /// The stages in the order in which data passes through them.
    enum Stage: String, CaseIterable {
        case passphrase
        case read, cut, identity, compress, seal, checksum, packHash, write
        case readStored, open, decompress, identityBack, writeBack
    }

    private(set) var seconds: [Stage: Double] = [:]
    private(set) var bytes: [Stage: UInt64] = [:]

    private static var now: Double {
        var time = timespec()
        // Safety: the structure is ours.
        _ = unsafe clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }

    /// Runs a stage over some bytes and counts what it cost.
    mutating func measure<Result>(_ stage: Stage, _ count: Int, _ work: () throws -> Result) rethrows -> Result {
        let began = StageClock.now
        defer {
            seconds[stage, default: 0] += StageClock.now - began
            bytes[stage, default: 0] += UInt64(count)
        }
        return try work()
    }
}
