/// The bytes an image is read from: a whole file, or one member of an archive.
struct ImagePart: Sendable {
    let file: HostFile
    /// For messages and records: the file's, with the member's name behind it.
    let path: String
    /// Where it begins in the file.
    let start: UInt64
    /// In bytes.
    let size: UInt64
    /// Whether it is a part of the file only. Nothing that such an image names is looked for anywhere.
    let isMember: Bool

    /// The whole of a file.
    init(_ file: HostFile) {
        self.file = file
        path = file.path
        start = 0
        size = file.size
        isMember = false
    }

    /// A member of the archive `file`.
    init(_ file: HostFile, _ member: TarArchive.Member) {
        precondition(
            member.byteCount <= file.size && member.offset <= file.size - member.byteCount,
            "a member lies inside its archive")
        self.file = file
        path = "\(file.path)/\(member.name)"
        start = member.offset
        size = member.byteCount
        isMember = true
    }

    /// Up to `count` bytes at `offset` of the part; fewer at its end, none behind it.
    func bytes(at offset: UInt64, count: Int) throws(SourceError) -> [UInt8] {
        guard count > 0, offset < size else { return [] }
        return try file.bytes(at: start + offset, count: Int(min(UInt64(count), size - offset)))
    }

    /// Its file as a node of QEMU's, cut to the part. QEMU counts in sectors; an archive fills the last one up.
    var fileNode: String {
        let driver = file.isBlockDevice ? "host_device" : "file"
        let whole = "{\"driver\":\"\(driver)\",\"filename\":\(JSONText.quoted(file.path))}"
        guard isMember else { return whole }
        let sectors = (size + 511) / 512 * 512
        return "{\"driver\":\"raw\",\"offset\":\(start),\"size\":\(sectors),\"file\":\(whole)}"
    }
}
