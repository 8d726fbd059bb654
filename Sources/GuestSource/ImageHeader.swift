/// What the header of a container says about its size and about other files. Written by strangers: nothing in it is
/// obeyed.
package struct ImageHeader: Equatable, Sendable {
    /// Another file the image is incomplete without.
    package struct Reference: Equatable, Sendable {
        /// As written in the header.
        package let name: String
        /// As written in the header; `nil` when it does not say.
        package let format: String?
        /// Bytes the file must have at least; 0 when the header does not say.
        package var leastByteCount: UInt64 = 0
    }

    /// In bytes, as the header has it; `nil` when this program leaves that to QEMU.
    package var size: UInt64?
    /// What unwritten parts are read from.
    package var backing: Reference?
    /// Files holding parts of the disk (VMDK); `format` is the extent's type.
    package var extents: [Reference] = []

    /// Reads the header of a file known to be `format`.
    ///
    /// Never reads more than some 64 KiB pieces, whatever the header claims.
    /// - Throws: `wrongFormat`, `damagedHeader`, and `unsupported` for what would be read wrongly or needs a key.
    package init(parsing bytes: HeaderBytes, as format: ImageFormat) throws(SourceError) {
        switch format {
        case .raw: size = bytes.size
        case .qcow2: try readQcow2(bytes)
        case .vmdk: try readVMDK(bytes)
        case .vhd: try readVHD(bytes)
        case .vhdx: try readVHDX(bytes)
        case .vdi: try readVDI(bytes)
        }
    }

    private mutating func readVHD(_ bytes: HeaderBytes) throws(SourceError) {
        var footer = try bytes.some(at: 0, count: 512)
        if !footer.starts(with: "conectix".utf8) {
            footer = try bytes.some(at: bytes.size > 512 ? bytes.size - 512 : 0, count: 512)
        }
        guard footer.count == 512, footer.starts(with: "conectix".utf8) else {
            throw .wrongFormat(bytes.path, expected: .vhd)
        }
        let fields = HeaderBytes(footer, path: bytes.path)
        size = try fields.big64(48)
        switch try fields.big32(60) {
        case 2, 3: return
        case 4: throw .unsupported(bytes.path, "differencing VHD disks are not read; merge it into its parent first")
        case let type: throw .damaged(bytes.path, "VHD disk type \(type) is not known")
        }
    }

    private mutating func readVDI(_ bytes: HeaderBytes) throws(SourceError) {
        guard bytes.size >= 512 else { throw .wrongFormat(bytes.path, expected: .vdi) }
        guard try bytes.little32(64) == 0xbeda_107f else { throw .wrongFormat(bytes.path, expected: .vdi) }
        let type = try bytes.little32(76)
        let link = try bytes.exactly(16, at: 424)
        guard type == 1 || type == 2, link.allSatisfy({ $0 == 0 }) else {
            throw .unsupported(
                bytes.path, "VDI snapshots and differencing disks are not read; clone it to one VDI first")
        }
        size = try bytes.little64(368)
    }
}

extension ImageHeader {
    private static let metadataRegion: [UInt8] = [
        0x06, 0xa2, 0x7c, 0x8b, 0x90, 0x47, 0x9a, 0x4b, 0xb8, 0xfe, 0x57, 0x5f, 0x05, 0x0f, 0x88, 0x6e,
    ]
    private static let fileParameters: [UInt8] = [
        0x37, 0x67, 0xa1, 0xca, 0x36, 0xfa, 0x43, 0x4d, 0xb3, 0xb6, 0x33, 0xf0, 0xaa, 0x44, 0xe7, 0x6b,
    ]

    /// QEMU reads a differencing VHDX as if its parent were zeros, so the one bit that says so is looked for here.
    private mutating func readVHDX(_ bytes: HeaderBytes) throws(SourceError) {
        guard try bytes.some(at: 0, count: 8) == Array("vhdxfile".utf8) else {
            throw .wrongFormat(bytes.path, expected: .vhdx)
        }
        // Both copies of the region table are believed: a parent in either of them is a refusal.
        var found = false
        for table: UInt64 in [192 << 10, 256 << 10] {
            guard try bytes.some(at: table, count: 4) == Array("regi".utf8) else { continue }
            let count = min(try bytes.little32(table + 8), 2047)
            for index in 0..<UInt64(count) {
                let entry = table + 16 + index * 32
                guard try bytes.exactly(16, at: entry) == ImageHeader.metadataRegion else { continue }
                try refuseParent(bytes, metadata: try bytes.little64(entry + 16))
                found = true
            }
        }
        if !found { throw .damaged(bytes.path, "it has no VHDX metadata region") }
    }

    private func refuseParent(_ bytes: HeaderBytes, metadata: UInt64) throws(SourceError) {
        guard try bytes.some(at: metadata, count: 8) == Array("metadata".utf8) else {
            throw .damaged(bytes.path, "the VHDX metadata table is missing")
        }
        let count = min(try bytes.little16(try bytes.sum(metadata, 10)), 2047)
        var found = false
        for index in 0..<UInt64(count) {
            let entry = try bytes.sum(metadata, 32 + index * 32)
            guard try bytes.exactly(16, at: entry) == ImageHeader.fileParameters else { continue }
            let item = try bytes.sum(metadata, UInt64(try bytes.little32(try bytes.sum(entry, 16))))
            if try bytes.little32(try bytes.sum(item, 4)) & 2 != 0 {
                throw .unsupported(bytes.path, "differencing VHDX disks are not read; merge it into its parent first")
            }
            found = true
        }
        if !found { throw .damaged(bytes.path, "the VHDX file parameters are missing") }
    }
}
