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
            let base = try bytes.big64(8) == 0 ? "" : ", and what it stands on beside it"
            throw .unsupported(
                bytes.path,
                "it is encrypted, and its key is not this program's to ask for; back the file up as it is with "
                    + "--format raw\(base), and restore it with --format raw")
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
