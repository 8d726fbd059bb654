import Glibc

/// The universal hash of a page: NH over 64-bit words, under a secret key of one page.
///
/// H = Σ over even i of (m[i] + k[i] mod 2^64) · (m[i+1] + k[i+1] mod 2^64), mod 2^128, with the page and the key each
/// read as 512 little-endian words. The sum alone is not secret-keeping: it becomes a page's *value* only after one AES
/// block under another key, which the caller of the chunker supplies.
// Safety: the key pointer is private, of fixed size, and freed once.
@safe final class PageHash {
    /// Bytes of one hash.
    static let outputSize = 16
    private static let wordCount = ChunkerParameters.pageSize / 8

    private let key: UnsafeMutablePointer<UInt64>
    /// The hash of a page of zeros.
    let ofZeroPage: (UInt64, UInt64)

    init(key bytes: UnsafeRawBufferPointer) throws(ChunkingError) {
        guard bytes.count == ChunkerParameters.pageSize else {
            throw .keyLength(found: bytes.count, expected: ChunkerParameters.pageSize)
        }
        unsafe key = .allocate(capacity: PageHash.wordCount)
        var sum: UInt128 = 0
        for index in 0..<PageHash.wordCount {
            let word = unsafe bytes.loadUnaligned(fromByteOffset: index * 8, as: UInt64.self)
            // Safety: `index` is below the capacity allocated above.
            unsafe (key + index).initialize(to: UInt64(littleEndian: word))
        }
        for index in stride(from: 0, to: PageHash.wordCount, by: 2) {
            sum = unsafe sum &+ PageHash.product(key[index], key[index + 1])
        }
        ofZeroPage = PageHash.stored(sum)
    }

    deinit {
        // Safety: `key` holds one page, initialised whole; explicit_bzero is not optimised away.
        unsafe explicit_bzero(key, ChunkerParameters.pageSize)
        unsafe key.deallocate()
    }

    /// Hashes `count` consecutive pages at `pages` into 16 bytes each at `output`: low word, then high word.
    ///
    /// - Precondition: `pages` holds `count` whole pages and `output` room for `count` hashes.
    func hash(_ pages: UnsafeRawPointer, count: Int, into output: UnsafeMutableRawPointer) {
        for index in 0..<count {
            // Safety: by the precondition both offsets are inside their buffers.
            let sum = unsafe hashPage(pages + index * ChunkerParameters.pageSize)
            unsafe PageHash.store(PageHash.stored(sum), at: output + index * PageHash.outputSize)
        }
    }

    /// Writes one hash as 16 bytes at `output`.
    static func store(_ hash: (UInt64, UInt64), at output: UnsafeMutableRawPointer) {
        // Safety: callers pass 16 writable bytes.
        unsafe output.storeBytes(of: hash.0, as: UInt64.self)
        unsafe output.storeBytes(of: hash.1, toByteOffset: 8, as: UInt64.self)
    }

    /// Four sums run independently: each addition would otherwise wait for the carry of the one before it.
    @inline(__always)
    private func hashPage(_ page: UnsafeRawPointer) -> UInt128 {
        var sum0: UInt128 = 0
        var sum1: UInt128 = 0
        var sum2: UInt128 = 0
        var sum3: UInt128 = 0
        var index = 0
        while index < PageHash.wordCount {
            // Safety: `index` + 7 is below the 512 words of the page and of the key.
            unsafe sum0 = sum0 &+ pair(page, index)
            unsafe sum1 = sum1 &+ pair(page, index &+ 2)
            unsafe sum2 = sum2 &+ pair(page, index &+ 4)
            unsafe sum3 = sum3 &+ pair(page, index &+ 6)
            index &+= 8
        }
        return (sum0 &+ sum1) &+ (sum2 &+ sum3)
    }

    @inline(__always)
    private func pair(_ page: UnsafeRawPointer, _ index: Int) -> UInt128 {
        // Safety: `index` and `index + 1` are below 512 (see the caller).
        let first = unsafe UInt64(littleEndian: page.loadUnaligned(fromByteOffset: index &* 8, as: UInt64.self))
        let second = unsafe UInt64(littleEndian: page.loadUnaligned(fromByteOffset: index &* 8 &+ 8, as: UInt64.self))
        return unsafe PageHash.product(first &+ key[index], second &+ key[index &+ 1])
    }

    @inline(__always)
    private static func product(_ left: UInt64, _ right: UInt64) -> UInt128 {
        let full = left.multipliedFullWidth(by: right)
        return UInt128(truncatingIfNeeded: full.high) &<< 64 | UInt128(truncatingIfNeeded: full.low)
    }

    private static func stored(_ sum: UInt128) -> (UInt64, UInt64) {
        (UInt64(truncatingIfNeeded: sum).littleEndian, UInt64(truncatingIfNeeded: sum &>> 64).littleEndian)
    }
}
