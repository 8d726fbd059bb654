extension TruncationCheck {
    /// What the header says about the two levels of tables.
    private struct Qcow2Layout {
        let clusterBits: UInt64
        let size: UInt64
        /// Each entry of the second level is followed by 64 bits about 32 parts of its cluster.
        let hasSubclusters: Bool

        var cluster: UInt64 { 1 << clusterBits }
        var entriesPerTable: UInt64 { cluster / (hasSubclusters ? 16 : 8) }
    }

    mutating func checkQcow2() throws(SourceError) {
        let clusterBits = try bytes.big32(20)
        guard (9...21).contains(clusterBits) else { throw .damaged(bytes.path, "clusters of 2^\(clusterBits) bytes") }
        // Only version 3 has feature bits.
        let features = try bytes.big32(4) < 3 ? 0 : try bytes.big64(72)
        let layout = Qcow2Layout(
            clusterBits: UInt64(clusterBits), size: try bytes.big64(24), hasSubclusters: features & 16 != 0)
        let entries = UInt64(try bytes.big32(36))
        let table = try bytes.big64(40)
        // 32 MiB of table is what QEMU allows as well.
        guard entries <= 4 << 20 else { throw .damaged(bytes.path, "a first table of \(entries) entries") }
        try requireTable(table, entries * 8)
        var check = self
        try bytes.numbers(UInt64.self, .big, at: table, count: entries) { (index, entry) throws(SourceError) in
            let place = entry & 0x00ff_ffff_ffff_fe00
            guard place != 0 else { return }
            try check.requireTable(place, layout.cluster)
            try check.checkSecondTable(at: place, number: index, layout)
        }
    }

    private func checkSecondTable(
        at place: UInt64, number: UInt64, _ layout: Qcow2Layout
    ) throws(SourceError) {
        let first = number * layout.entriesPerTable
        // Entries for what lies behind the end of the disk mean nothing.
        let clusters = layout.size / layout.cluster + (layout.size % layout.cluster == 0 ? 0 : 1)
        guard first < clusters else { return }
        let count = min(layout.entriesPerTable, clusters - first)
        guard layout.hasSubclusters else {
            return try bytes.numbers(UInt64.self, .big, at: place, count: count) {
                (index, entry) throws(SourceError) in
                // Bit 0: reads as zeros, whatever may be reserved for it.
                if entry >> 62 & 1 == 0, entry & 1 != 0 { return }
                try require(entry, of: first + index, present: layout.cluster, layout)
            }
        }
        var entry: UInt64 = 0
        try bytes.numbers(UInt64.self, .big, at: place, count: count * 2) { (index, number) throws(SourceError) in
            guard index % 2 == 1 else {
                entry = number
                return
            }
            // The lower half tells which of 32 parts are stored. QEMU does not write behind the last of them.
            let stored = number & 0xffff_ffff
            let present = UInt64(64 - stored.leadingZeroBitCount) * (layout.cluster / 32)
            try require(entry, of: first + index / 2, present: present, layout)
        }
    }

    /// Throws unless the file holds the first `present` bytes of a cluster.
    private func require(
        _ entry: UInt64, of number: UInt64, present: UInt64, _ layout: Qcow2Layout
    ) throws(SourceError) {
        if entry >> 62 & 1 == 1 {
            let placeBits = 62 - (layout.clusterBits - 8)
            let place = entry & (1 << placeBits - 1)
            let furtherSectors = entry >> placeBits & (1 << (layout.clusterBits - 8) - 1)
            // The compressed bytes end somewhere in their last sector, and the file may end there with them.
            let last = furtherSectors == 0 ? place : place / 512 * 512 + furtherSectors * 512
            return try require(last, 1)
        }
        let place = entry & 0x00ff_ffff_ffff_fe00
        guard place != 0 else { return }
        try require(place, min(present, TruncationCheck.needed(layout.cluster, number, of: layout.size)))
    }
}
