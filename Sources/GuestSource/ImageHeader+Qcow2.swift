extension ImageHeader {
    mutating func readQcow2(_ bytes: HeaderBytes) throws(SourceError) {
        let magic: [UInt8] = [0x51, 0x46, 0x49, 0xfb]
        guard try bytes.some(at: 0, count: 4) == magic else { throw .wrongFormat(bytes.path, expected: .qcow2) }
        let version = try bytes.big32(4)
        guard version == 2 || version == 3 else {
            throw .unsupported(bytes.path, "qcow2 version \(version) is not known; this program reads 2 and 3")
        }
        size = try bytes.big64(24)
        guard try bytes.big32(32) == 0 else {
            throw .unsupported(bytes.path, "it is encrypted, and its key is not this program's to ask for")
        }
        var headerLength: UInt64 = 72
        if version == 3 {
            headerLength = UInt64(try bytes.big32(100))
            guard headerLength >= 104, headerLength <= 4096 else {
                throw .damaged(bytes.path, "a header length of \(headerLength) bytes")
            }
            try refuseFeatures(try bytes.big64(72), bytes)
        }
        let extensions = try Qcow2Extensions(bytes, from: headerLength)
        if extensions.namesDataFile {
            throw .unsupported(
                bytes.path, "it keeps its data in another file, which its header names; convert it to one file")
        }
        try readBacking(bytes, format: extensions.backingFormat)
        try refuseCutOff(bytes)
    }

    /// QEMU reads tables that lie behind the end of a file cut short as zeros, and so the disk they describe. The two
    /// upper levels of tables are checked here: one pass over the first level, 8 bytes for each 512 MiB at the usual
    /// cluster size.
    private func refuseCutOff(_ bytes: HeaderBytes) throws(SourceError) {
        let clusterBits = try bytes.big32(20)
        guard (9...21).contains(clusterBits) else { throw .damaged(bytes.path, "clusters of 2^\(clusterBits) bytes") }
        let cluster = UInt64(1) << UInt64(clusterBits)
        let entries = UInt64(try bytes.big32(36))
        let table = try bytes.big64(40)
        // 32 MiB of table is what QEMU allows as well.
        guard entries <= 4 << 20, try bytes.sum(table, entries * 8) <= bytes.size else {
            throw .damaged(bytes.path, "it was cut short: its first table ends behind the file's \(bytes.size) bytes")
        }
        var done: UInt64 = 0
        while done < entries * 8 {
            let count = min(UInt64(HeaderBytes.largestRead), entries * 8 - done)
            let piece = HeaderBytes(try bytes.exactly(Int(count), at: table + done), path: bytes.path)
            for offset in stride(from: 0, to: count, by: 8) {
                let place = try piece.big64(offset) & 0x00ff_ffff_ffff_fe00
                guard place == 0 || place + cluster <= bytes.size else {
                    throw .damaged(
                        bytes.path, "it was cut short: a table at \(place) lies behind its \(bytes.size) bytes")
                }
            }
            done += count
        }
    }

    private func refuseFeatures(_ incompatible: UInt64, _ bytes: HeaderBytes) throws(SourceError) {
        if incompatible & 2 != 0 {
            throw .damaged(bytes.path, "it is marked corrupt; run qemu-img check -r leaks on a copy first")
        }
        if incompatible & 4 != 0 {
            throw .unsupported(
                bytes.path, "it keeps its data in another file, which its header names; convert it to one file")
        }
        if incompatible >> 5 != 0 {
            throw .unsupported(bytes.path, "it uses features (bits \(incompatible)) this program does not know")
        }
    }

    private mutating func readBacking(_ bytes: HeaderBytes, format: String?) throws(SourceError) {
        let offset = try bytes.big64(8)
        guard offset != 0 else { return }
        let length = try bytes.big32(16)
        guard length <= 1023, offset <= 2 << 20 else {
            throw .damaged(bytes.path, "a backing file name of \(length) bytes at \(offset)")
        }
        guard length > 0 else { return }
        let name = try bytes.exactly(Int(length), at: offset)
        backing = Reference(name: try ImageHeader.text(name, bytes), format: format)
    }

    /// The bytes as text; a name with a zero byte or outside UTF-8 is refused, since QEMU would see another one.
    static func text(_ name: [UInt8], _ bytes: HeaderBytes) throws(SourceError) -> String {
        guard !name.contains(0), let text = String(validating: name, as: UTF8.self) else {
            throw .unsupported(bytes.path, "it names another file with bytes that are not UTF-8 text")
        }
        return text
    }
}

/// The header extensions that speak of other files.
private struct Qcow2Extensions {
    private(set) var backingFormat: String?
    private(set) var namesDataFile = false

    // Real images have five; each takes at least eight bytes of the first cluster.
    private static let most = 256

    init(_ bytes: HeaderBytes, from start: UInt64) throws(SourceError) {
        var offset = start
        for _ in 0..<Qcow2Extensions.most {
            // A header may end where the file or the backing name begins; an absent extension ends the list.
            guard try bytes.some(at: offset, count: 8).count == 8 else { return }
            let type = try bytes.big32(offset)
            let length = UInt64(try bytes.big32(offset + 4))
            if type == 0 { return }
            guard length <= 2 << 20 else { throw .damaged(bytes.path, "a header extension of \(length) bytes") }
            switch type {
            case 0xe279_2aca:
                guard length < 16 else { throw .damaged(bytes.path, "a backing format name of \(length) bytes") }
                backingFormat = try ImageHeader.text(try bytes.exactly(Int(length), at: offset + 8), bytes)
            case 0x4441_5441: namesDataFile = true
            default: break
            }
            offset += 8 + (length + 7) / 8 * 8
        }
        throw .damaged(bytes.path, "more than \(Qcow2Extensions.most) header extensions")
    }
}
