import GuestSource

/// Whole images of a few hundred bytes, written by hand, whose last byte belongs to the disk.
struct SmallImage: Sendable {
    let name: String
    let format: ImageFormat
    let bytes: [UInt8]

    static let all: [SmallImage] = [
        SmallImage(name: "qcow2", format: .qcow2, bytes: qcow2()),
        SmallImage(name: "qcow2 with subclusters", format: .qcow2, bytes: qcow2Subclusters()),
        SmallImage(name: "sparse VMDK", format: .vmdk, bytes: sparseVMDK(flags: 3, last: grain)),
        SmallImage(
            name: "compressed VMDK", format: .vmdk, bytes: sparseVMDK(flags: 0x3_0003, last: marker + grain[..<100])),
        SmallImage(
            name: "VMDK written in one go", format: .vmdk, bytes: streamVMDK()),
        SmallImage(name: "old sparse VMDK", format: .vmdk, bytes: oldVMDK()),
        SmallImage(name: "dynamic VHD", format: .vhd, bytes: dynamicVHD()),
        SmallImage(name: "fixed VHD", format: .vhd, bytes: grain + vhdFooter(type: 2, size: 1024)),
        SmallImage(name: "VDI", format: .vdi, bytes: vdi()),
    ]

    private static let grain = [UInt8](repeating: 0xd1, count: 1024)
    /// The place of a compressed grain, and its size of 100 bytes.
    private static let marker = little(0, 8) + little(100, 4)

    static func big(_ value: UInt64, _ count: Int) -> [UInt8] { little(value, count).reversed() }
    static func little(_ value: UInt64, _ count: Int) -> [UInt8] {
        (0..<count).map { UInt8(truncatingIfNeeded: value >> UInt64($0 * 8)) }
    }

    /// Zeros with pieces put at their places, as long as the last of them.
    private static func file(_ pieces: [(place: Int, bytes: [UInt8])]) -> [UInt8] {
        var bytes: [UInt8] = []
        for (place, piece) in pieces {
            bytes += [UInt8](repeating: 0, count: max(0, place + piece.count - bytes.count))
            bytes.replaceSubrange(place..<(place + piece.count), with: piece)
        }
        return bytes
    }

    /// Clusters of 512 bytes, the first table in cluster 1, the second in cluster 2.
    private static func qcow2Header(incompatible: UInt64) -> [UInt8] {
        [0x51, 0x46, 0x49, 0xfb] + big(3, 4) + big(0, 12) + big(9, 4) + big(4096, 8) + big(0, 4) + big(1, 4)
            + big(512, 8) + big(0, 24) + big(incompatible, 8) + big(0, 16) + big(4, 4) + big(104, 4)
    }

    private static func qcow2() -> [UInt8] {
        let table =
            big(1 << 63 | 1536, 8) + big(1, 8) + big(1 << 62 | 1 << 61 | 2100, 8) + big(0, 8) + big(1 << 63 | 3072, 8)
        return file([
            (0, qcow2Header(incompatible: 0)), (512, big(1 << 63 | 1024, 8)), (1024, table), (1536, grain),
            (3072, Array(grain[..<512])),
        ])
    }

    private static func qcow2Subclusters() -> [UInt8] {
        // The first five of 32 parts, 16 bytes each, are stored.
        file([
            (0, qcow2Header(incompatible: 16)), (512, big(1 << 63 | 1024, 8)),
            (1024, big(1 << 63 | 1536, 8) + big(0x1f, 8)), (1536, Array(grain[..<80])),
        ])
    }

    private static func vmdkHeader(flags: UInt64, directory: UInt64) -> [UInt8] {
        Array("KDMV".utf8) + little(1, 4) + little(flags, 4) + little(16, 8) + little(2, 8) + little(0, 16)
            + little(4, 4) + little(0, 8) + little(directory, 8)
    }

    /// Sixteen sectors in grains of two, four to a table; two grains are stored.
    private static func sparseVMDK(flags: UInt64, last: [UInt8]) -> [UInt8] {
        let first = flags & 0x1_0000 == 0 ? grain : marker + grain[..<100]
        return file([
            (0, vmdkHeader(flags: flags, directory: 1)), (512, little(2, 4)),
            (1024, little(3, 4) + little(0, 8) + little(5, 4)), (1536, first), (2560, last),
        ])
    }

    private static func streamVMDK() -> [UInt8] {
        let flags: UInt64 = 0x3_0001
        return file([
            (0, vmdkHeader(flags: flags, directory: .max)), (512, little(2, 4)), (1024, little(3, 4)),
            (1536, marker + grain[..<100]), (2048, vmdkHeader(flags: flags, directory: 1)),
            (3071, [0]),
        ])
    }

    private static func oldVMDK() -> [UInt8] {
        let header = Array("COWD".utf8) + little(1, 4) + little(3, 4) + little(16, 4) + little(1, 4)
        return file([
            (0, header + little(1, 4) + little(1, 4)), (512, little(2, 4)), (1024, little(34, 4)),
            (34 * 512, Array(grain[..<512])),
        ])
    }

    private static func vhdFooter(type: UInt64, size: UInt64) -> [UInt8] {
        file([
            (0, Array("conectix".utf8) + big(2, 4) + big(0x1_0000, 4) + big(512, 8)), (48, big(size, 8)),
            (60, big(type, 4)), (511, [0]),
        ])
    }

    private static func dynamicVHD() -> [UInt8] {
        let header = Array("cxsparse".utf8) + big(.max, 8) + big(1536, 8) + big(0, 4) + big(2, 4) + big(4096, 4)
        return file([
            (0, vhdFooter(type: 3, size: 8192)), (512, header), (1536, big(4, 4) + big(.max, 4)),
            (2048 + 512, grain + grain + grain + grain),
        ])
    }

    private static func vdi() -> [UInt8] {
        file([
            (64, little(0xbeda_107f, 4)), (76, little(1, 4)), (340, little(512, 4) + little(1024, 4)),
            (368, little(1536, 8) + little(1024, 4) + little(0, 4) + little(2, 4)),
            (512, little(0, 4) + little(1, 4)), (1024, grain), (2048, Array(grain[..<512])),
        ])
    }
}
