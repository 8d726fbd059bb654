/// Refuses an image whose tables name places behind the end of its file: QEMU reads them as zeros and says nothing.
///
/// The tables of the disk as it is now are read once, 1/16384 to 1/8192 of the data they map at the usual sizes; QEMU
/// reads them as well. What lies behind the end of the disk need not be there. Two limits: a raw disk has no tables,
/// and neither has a raw file an image stands on; and a file that ends inside the very last sector of a compressed
/// qcow2 cluster is as QEMU itself leaves it, so that a cut of fewer than 512 bytes there goes unseen.
package struct TruncationCheck {
    let bytes: HeaderBytes
    /// Bytes of tables that were named so far.
    private var tableByteCount: UInt64 = 0

    /// Checks a file that ``ImageHeader`` understood as `format`.
    ///
    /// - Throws: `damagedHeader` when it was cut short or its tables contradict themselves.
    package static func check(_ bytes: HeaderBytes, as format: ImageFormat) throws(SourceError) {
        var check = TruncationCheck(bytes: bytes)
        switch format {
        case .raw: return
        case .qcow2: try check.checkQcow2()
        case .vmdk: try check.checkVMDK()
        case .vhd: try check.checkVHD()
        case .vhdx: try check.checkVHDX()
        case .vdi: try check.checkVDI()
        }
    }

    init(bytes: HeaderBytes) { self.bytes = bytes }

    /// Throws unless the file holds `count` bytes at `start`.
    func require(_ start: UInt64, _ count: UInt64) throws(SourceError) {
        let end = try bytes.sum(start, count)
        guard end <= bytes.size else { throw .cutShort(bytes.path, endsAt: bytes.size, needs: end) }
    }

    /// Throws unless the file holds a table of `count` bytes at `start`, besides all the tables before. A forged image
    /// that names one table again and again is not followed for longer than its file is.
    mutating func requireTable(_ start: UInt64, _ count: UInt64) throws(SourceError) {
        try require(start, count)
        tableByteCount = try bytes.sum(tableByteCount, count)
        guard tableByteCount <= bytes.size else {
            throw .damaged(bytes.path, "its tables have more bytes than the file, so some are named twice")
        }
    }

    /// Least of `block` and what is left of a disk of `size` bytes at its block number `index`.
    static func needed(_ block: UInt64, _ index: UInt64, of size: UInt64) -> UInt64 {
        let (start, overflows) = index.multipliedReportingOverflow(by: block)
        return overflows || start >= size ? 0 : min(block, size - start)
    }

    private mutating func checkVHD() throws(SourceError) {
        var footer = try bytes.some(at: 0, count: 512)
        if !footer.starts(with: "conectix".utf8), bytes.size >= 512 {
            footer = try bytes.exactly(512, at: bytes.size - 512)
        }
        let fields = HeaderBytes(footer, path: bytes.path)
        guard try fields.big32(60) == 3 else { return try require(try fields.big64(48), 512) }
        let header = try fields.big64(16)
        guard try bytes.some(at: header, count: 8) == Array("cxsparse".utf8) else {
            throw .damaged(bytes.path, "the header of a dynamic VHD is missing")
        }
        let table = try bytes.big64(try bytes.sum(header, 16))
        let count = UInt64(try bytes.big32(try bytes.sum(header, 28)))
        let block = UInt64(try bytes.big32(try bytes.sum(header, 32)))
        try requireTable(table, count * 4)
        // A block begins with a bit for each of its sectors, in whole sectors.
        let stored = (block / 4096 + 511) / 512 * 512 + block
        let check = self
        try bytes.numbers(UInt32.self, .big, at: table, count: count) { (_, sector) throws(SourceError) in
            if sector != 0xffff_ffff { try check.require(sector * 512, stored) }
        }
    }

    /// QEMU compares the table of a VHDX with the file's size itself, but in whole sectors.
    private func checkVHDX() throws(SourceError) {
        try require(0, (bytes.size + 511) / 512 * 512)
    }

    private mutating func checkVDI() throws(SourceError) {
        let table = UInt64(try bytes.little32(340))
        let data = UInt64(try bytes.little32(344))
        let size = try bytes.little64(368)
        let block = UInt64(try bytes.little32(376))
        let count = UInt64(try bytes.little32(384))
        try requireTable(table, count * 4)
        let check = self
        try bytes.numbers(UInt32.self, .little, at: table, count: count) { (index, number) throws(SourceError) in
            // The two largest numbers: never written, and given back.
            guard number < 0xffff_fffe else { return }
            let (place, overflows) = number.multipliedReportingOverflow(by: block)
            if overflows { throw .damaged(check.bytes.path, "an offset lies past 2^64") }
            try check.require(
                try check.bytes.sum(data, place), TruncationCheck.needed(block, index, of: size))
        }
    }
}
