extension TruncationCheck {
    /// The two levels of tables of a sparse extent; places and sizes in sectors of 512 bytes.
    struct Grains {
        var size: UInt64
        var grain: UInt64
        var directory: UInt64
        var directoryCount: UInt64
        var perTable: UInt64
        /// Each grain begins with its place and its compressed size.
        var isCompressed = false
        /// An entry of 1 reads as zeros.
        var hasZeroGrains = false
    }

    mutating func checkVMDK() throws(SourceError) {
        switch String(decoding: try bytes.some(at: 0, count: 4), as: UTF8.self) {
        case "KDMV": try checkGrains(try sparseGrains())
        case "COWD":
            try checkGrains(
                Grains(
                    size: UInt64(try bytes.little32(12)), grain: UInt64(try bytes.little32(16)),
                    directory: UInt64(try bytes.little32(20)), directoryCount: UInt64(try bytes.little32(24)),
                    perTable: 4096))
        // A descriptor; its extents are checked one by one.
        default: return
        }
    }

    func sparseGrains() throws(SourceError) -> Grains {
        var header: UInt64 = 0
        if try bytes.little64(56) == .max {
            // Written in one go: the header with the directory's place stands before the last sector.
            guard bytes.size >= 1536, try bytes.some(at: bytes.size - 1024, count: 4) == Array("KDMV".utf8) else {
                throw .damaged(
                    bytes.path, "it was cut short: its last kilobyte, which says where its tables are, is gone")
            }
            header = bytes.size - 1024
        }
        let flags = try bytes.little32(header + 8)
        var grains = Grains(
            size: try bytes.little64(header + 12), grain: try bytes.little64(header + 20),
            directory: try bytes.little64(header + 56), directoryCount: 0,
            perTable: UInt64(try bytes.little32(header + 44)))
        grains.isCompressed = flags & 0x1_0000 != 0
        grains.hasZeroGrains = flags & 4 != 0
        // QEMU's own bounds.
        guard (1...512).contains(grains.perTable), (1...0x20_0000).contains(grains.grain) else {
            throw .damaged(bytes.path, "grains of \(grains.grain) sectors, \(grains.perTable) in a table")
        }
        let perEntry = grains.perTable * grains.grain
        grains.directoryCount = grains.size / perEntry + (grains.size % perEntry == 0 ? 0 : 1)
        return grains
    }

    private mutating func checkGrains(_ grains: Grains) throws(SourceError) {
        guard grains.directory <= UInt64.max / 512, grains.directoryCount <= bytes.size / 4 else {
            throw .damaged(
                bytes.path, "a directory of \(grains.directoryCount) entries at sector \(grains.directory)")
        }
        try requireTable(grains.directory * 512, grains.directoryCount * 4)
        var check = self
        var last: UInt64 = 0
        try bytes.numbers(UInt32.self, .little, at: grains.directory * 512, count: grains.directoryCount) {
            (number, table) throws(SourceError) in
            guard table != 0 else { return }
            try check.requireTable(table * 512, grains.perTable * 4)
            try check.bytes.numbers(UInt32.self, .little, at: table * 512, count: grains.perTable) {
                (index, place) throws(SourceError) in
                guard place != 0, !(place == 1 && grains.hasZeroGrains) else { return }
                last = max(last, place)
                let needed = TruncationCheck.needed(
                    grains.grain, number * grains.perTable + index, of: grains.size)
                try check.require(place * 512, grains.isCompressed ? 12 : needed * 512)
            }
        }
        // Compressed grains follow each other, so the last one tells whether all are there.
        if grains.isCompressed, last != 0 {
            try require(last * 512 + 12, UInt64(try bytes.little32(last * 512 + 8)))
        }
    }

    /// Throws unless the second copy of a sparse extent's tables, which other programs may read instead, says what the
    /// first one says: whoever wrote it may have stopped between the two. Compressed extents are refused.
    static func requireEqualTables(_ bytes: HeaderBytes) throws(SourceError) {
        let flags = try bytes.little32(8)
        guard try bytes.some(at: 0, count: 4) == Array("KDMV".utf8), flags & 0x1_0000 == 0 else {
            throw .unsupported(bytes.path, "it is no plain sparse extent, which a restored image is")
        }
        guard flags & 2 != 0 else { return }
        let grains = try TruncationCheck(bytes: bytes).sparseGrains()
        let second = try bytes.little64(48)
        guard grains.directory <= UInt64.max / 512, second <= UInt64.max / 512 else {
            throw .damaged(bytes.path, "directories at sectors \(grains.directory) and \(second)")
        }
        let byteCount = Int(grains.perTable * 4)
        try bytes.numbers(UInt32.self, .little, at: grains.directory * 512, count: grains.directoryCount) {
            (number, table) throws(SourceError) in
            let copy = try bytes.little32(try bytes.sum(second * 512, number * 4))
            guard (table == 0) == (copy == 0) else {
                throw .damaged(bytes.path, "its two directories differ at entry \(number)")
            }
            guard table != 0 else { return }
            guard try bytes.exactly(byteCount, at: table * 512) == bytes.exactly(byteCount, at: UInt64(copy) * 512)
            else {
                throw .damaged(bytes.path, "its two grain tables \(number) differ")
            }
        }
    }
}
