/// Reads what `virsh save` and memory snapshots of libvirt write: 92 bytes, the guest's description and a cookie, and
/// behind them a stream of QEMU's.
struct LibvirtSaveParser {
    static let magic = Array("LibvirtQemudSave".utf8)
    private static let headerByteCount: UInt64 = 92
    private static let compressions = ["raw", "gzip", "bzip2", "xz", "lzop", "zstd"]

    /// Describes the image up to the end of the guest's memory. - Throws: what it does not know is stored as plain
    /// bytes.
    static func run(_ cursor: StreamCursor, into builder: inout SkeletonBuilder) throws(StreamStop) {
        var cursor = cursor
        try cursor.seek(to: 16, in: "its header")
        let version = try cursor.little(UInt32.self, of: "its header")
        let length = try cursor.little(UInt32.self, of: "its header")
        _ = try cursor.little(UInt32.self, of: "its header")
        let compression = try cursor.little(UInt32.self, of: "its header")
        guard (1...2).contains(version) else { throw .unknown("version \(version) of libvirt's save image") }
        guard compression == 0 else {
            let name = Int(compression) < compressions.count ? compressions[Int(compression)] : "kind \(compression)"
            throw .unknown(
                "it is compressed (\(name)), so that no page can be told from another; set save_image_format = \"raw\" "
                    + "in /etc/libvirt/qemu.conf to have pages stored once")
        }
        guard UInt64(length) <= MemoryLimits.descriptionByteCount else {
            throw .unknown("a description of \(length) bytes")
        }
        try cursor.seek(to: headerByteCount + UInt64(length), in: "the guest's description")
        guard try QEMUStreamParser.begins(&cursor) else {
            throw .unknown("no stream of QEMU's behind the guest's description")
        }
        try QEMUStreamParser.run(cursor, into: &builder)
    }
}
