extension ImageHeader {
    // Descriptors are some hundred bytes; QEMU itself reads no more than this from a sparse file.
    private static let longestDescriptor = HeaderBytes.largestRead
    private static let mostExtents = 4096

    mutating func readVMDK(_ bytes: HeaderBytes) throws(SourceError) {
        let magic = try bytes.some(at: 0, count: 4)
        switch String(decoding: magic, as: UTF8.self) {
        case "KDMV":
            let capacity = try bytes.little64(12)
            try ImageHeader.requireCapacity(capacity, bytes)
            let (size, overflow) = capacity.multipliedReportingOverflow(by: 512)
            if overflow { throw .damaged(bytes.path, "a capacity of \(capacity) sectors") }
            self.size = size
            try readEmbeddedDescriptor(bytes)
        case "COWD":
            // The old sparse extent names no other file.
            size = UInt64(try bytes.little32(12)) * 512
        default:
            guard bytes.size <= UInt64(ImageHeader.longestDescriptor) else {
                throw .wrongFormat(bytes.path, expected: .vmdk)
            }
            let text = try bytes.some(at: 0, count: ImageHeader.longestDescriptor)
            guard text.starts(with: "# Disk DescriptorFile".utf8) else {
                throw .wrongFormat(bytes.path, expected: .vmdk)
            }
            try readDescriptor(text, bytes, keepsExtents: true)
            if extents.isEmpty { throw .damaged(bytes.path, "the descriptor names no extent") }
        }
    }

    /// Throws unless a sparse extent holds data itself: without a capacity QEMU would take it for a descriptor.
    static func requireCapacity(_ capacity: UInt64, _ bytes: HeaderBytes) throws(SourceError) {
        if capacity == 0 { throw .unsupported(bytes.path, "it is a VMDK descriptor disguised as a sparse extent") }
    }

    private mutating func readEmbeddedDescriptor(_ bytes: HeaderBytes) throws(SourceError) {
        let sector = try bytes.little64(28)
        guard sector != 0 else { return }
        guard sector <= UInt64.max / 512 else { throw .damaged(bytes.path, "a descriptor at sector \(sector)") }
        let text = try bytes.some(at: sector * 512, count: ImageHeader.longestDescriptor)
        // Its extents are this file; only a parent matters.
        try readDescriptor(text, bytes, keepsExtents: false)
    }

    private mutating func readDescriptor(
        _ raw: [UInt8], _ bytes: HeaderBytes, keepsExtents: Bool
    ) throws(SourceError) {
        let text = raw.prefix { $0 != 0 }
        for line in text.split(separator: UInt8(ascii: "\n")) {
            try readLine(line, bytes, keepsExtents: keepsExtents)
        }
        if backing == nil, String(decoding: text, as: UTF8.self).contains("parentFileNameHint") {
            throw .damaged(bytes.path, "the VMDK descriptor names a parent in an unusual place")
        }
    }

    private mutating func readLine(
        _ raw: ArraySlice<UInt8>, _ bytes: HeaderBytes, keepsExtents: Bool
    ) throws(SourceError) {
        let blank: [UInt8] = Array(" \t\r".utf8)
        let line = raw.drop { blank.contains($0) }
        guard let first = line.first, first != UInt8(ascii: "#") else { return }
        let quote = line.firstIndex(of: UInt8(ascii: "\"")) ?? line.endIndex
        if let equals = line.firstIndex(of: UInt8(ascii: "=")), equals < quote {
            if Array(line).starts(with: "parentFileNameHint".utf8) {
                let name = line[quote...].dropFirst().prefix { $0 != UInt8(ascii: "\"") }
                backing = Reference(name: try ImageHeader.text(Array(name), bytes), format: ImageFormat.vmdk.name)
            }
            return
        }
        // Whatever is no setting must be an extent in full, so that QEMU cannot see one that was not seen here.
        guard keepsExtents else { return }
        let words = line[..<quote].split { blank.contains($0) }.map { String(decoding: $0, as: UTF8.self) }
        guard words.count == 3, UInt64(words[1]) != nil else {
            throw .damaged(bytes.path, "a line of the VMDK descriptor is neither a setting nor an extent")
        }
        // QEMU passes over extents of other kinds and rights; the disk would then be shorter than it is.
        guard words[0] == "RW", ["FLAT", "SPARSE", "VMFS", "VMFSSPARSE", "SESPARSE"].contains(words[2]),
            quote < line.endIndex
        else {
            throw .unsupported(
                bytes.path, "VMDK extents of kind \(ErrorText.printable(words[0] + " " + words[2])) are not read")
        }
        guard extents.count < ImageHeader.mostExtents else { throw .damaged(bytes.path, "too many extents") }
        let name = line[quote...].dropFirst().prefix { $0 != UInt8(ascii: "\"") }
        let rest = line[name.endIndex...].dropFirst().split { blank.contains($0) }
        extents.append(
            Reference(
                name: try ImageHeader.text(Array(name), bytes), format: words[2],
                leastByteCount: try ImageHeader.leastByteCount(
                    kind: words[2], sectors: words[1], offset: rest.first ?? [], bytes)))
    }

    /// Bytes a flat extent's file must have; 0 for the others, whose own tables say it.
    private static func leastByteCount(
        kind: String, sectors: String, offset: ArraySlice<UInt8>, _ bytes: HeaderBytes
    ) throws(SourceError) -> UInt64 {
        guard kind == "FLAT" || kind == "VMFS" else { return 0 }
        let start = kind == "FLAT" ? UInt64(String(decoding: offset, as: UTF8.self)) ?? 0 : 0
        let (end, overflows) = start.addingReportingOverflow(UInt64(sectors) ?? 0)
        guard !overflows, end <= UInt64.max / 512 else {
            throw .damaged(bytes.path, "an extent that ends at sector \(start) + \(sectors)")
        }
        return end * 512
    }
}
