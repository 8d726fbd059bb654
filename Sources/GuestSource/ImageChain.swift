/// An image, the files it consists of, and the images it stands on: all open, all admitted, formats all decided.
struct ImageChain: Sendable {
    struct Level: Sendable {
        let part: ImagePart
        let format: ImageFormat
        let header: ImageHeader
        let extents: [HostFile]

        var file: HostFile { part.file }
    }

    // Deeper chains are slow for their guests as well; the bound also ends a chain that names itself.
    static let mostLevels = 64

    /// The image itself first.
    private(set) var levels: [Level] = []

    init(_ top: ImagePart, format: ImageFormat, policy: BackingPolicy) throws(SourceError) {
        let gate = try ReferenceGate(policy, top: top)
        var next: (part: ImagePart, format: ImageFormat)? = (top, format)
        while let (part, format) = next {
            if levels.contains(where: { $0.part.path == part.path }) {
                throw .damaged(part.path, "it stands on itself")
            }
            guard levels.count < ImageChain.mostLevels else {
                throw .unsupported(top.path, "it stands on more than \(ImageChain.mostLevels) images; flatten it")
            }
            let level = try ImageChain.level(part, format, gate)
            levels.append(level)
            next = nil
            if let backing = level.header.backing {
                let below = try gate.open(backing.name, namedBy: part)
                next = (ImagePart(below), try ImageChain.format(of: below, named: backing, by: part))
            }
        }
    }

    var files: [HostFile] { levels.flatMap { level in [level.file] + level.extents } }

    var links: [ImageSummary.Link] {
        levels.flatMap { level in
            let extents = level.extents.map { file in ImageSummary.Link(path: file.path, format: level.format) }
            return [ImageSummary.Link(path: level.part.path, format: level.format)] + extents
        }
    }

    /// The whole graph for QEMU, spelled out: no driver guesses, no header is followed.
    var blockNode: String {
        var below: String?
        for level in levels.reversed() {
            var node = "{\"driver\":\"\(level.format.driver)\",\"file\":\(level.part.fileNode)"
            if level.format == .qcow2 || level.format == .vmdk { node += ",\"backing\":\(below ?? "null")" }
            below = node + "}"
        }
        // Whether others use the files was looked at when they were opened; QEMU need not ask again.
        return "{\"force-share\":true," + (below?.dropFirst() ?? "}")
    }

    private static func level(
        _ part: ImagePart, _ format: ImageFormat, _ gate: ReferenceGate
    ) throws(SourceError) -> Level {
        let header = try ImageHeader(parsing: HeaderBytes(part), as: format)
        try TruncationCheck.check(HeaderBytes(part), as: format)
        var extents: [HostFile] = []
        for reference in header.extents {
            let extent = try gate.open(reference.name, namedBy: part)
            let bytes = HeaderBytes(extent)
            if try bytes.some(at: 0, count: 4) == Array("KDMV".utf8), reference.format == "SPARSE" {
                try ImageHeader.requireCapacity(try bytes.little64(12), bytes)
            }
            guard extent.size >= reference.leastByteCount else {
                throw .cutShort(extent.path, endsAt: extent.size, needs: reference.leastByteCount)
            }
            // A flat extent is the guest's own bytes: what they look like means nothing.
            if reference.leastByteCount == 0 { try TruncationCheck.check(bytes, as: .vmdk) }
            extents.append(extent)
        }
        return Level(part: part, format: format, header: header, extents: extents)
    }

    private static func format(
        of below: HostFile, named reference: ImageHeader.Reference, by owner: ImagePart
    ) throws(SourceError) -> ImageFormat {
        guard let word = reference.format else {
            let bytes = HeaderBytes(below)
            return try ContentLook.decide(
                name: below.name, isBlockDevice: below.isBlockDevice, stated: nil, recorded: nil, bytes
            ).format
        }
        if let format = ImageFormat.allCases.first(where: { $0.driver == word }) { return format }
        let shown = ErrorText.printable(word)
        throw .unsupported(owner.path, "it says that \(below.path) is of the format \(shown), which is not read")
    }
}

/// The little of JSON that is written here.
enum JSONText {
    static func quoted(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"", "\\": result += "\\" + String(scalar)
            case _ where scalar.value < 0x20:
                let digits = String(scalar.value, radix: 16)
                result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }
}
