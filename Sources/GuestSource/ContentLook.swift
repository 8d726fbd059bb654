/// What the first and last bytes of a file look like. A guest can write all of them: a look alone never decides.
package enum ContentLook: Equatable, Sendable {
    case container(ImageFormat)
    /// A container this program does not read, by its usual name.
    case foreign(String)
    case nothing

    /// Looks at the first 512 and the last 512 bytes.
    package init(_ bytes: HeaderBytes) throws(SourceError) {
        let head = try bytes.some(at: 0, count: 512)
        let tail = try bytes.some(at: bytes.size > 512 ? bytes.size - 512 : 0, count: 512)
        if let found = ContentLook.byHead(head) {
            self = found
        } else if tail.starts(with: "conectix".utf8) {
            self = .container(.vhd)
        } else if tail.starts(with: "koly".utf8) {
            self = .foreign("DMG")
        } else {
            self = .nothing
        }
    }

    private static func byHead(_ head: [UInt8]) -> ContentLook? {
        let beginnings: [([UInt8], ContentLook)] = [
            ([0x51, 0x46, 0x49, 0xfb, 0, 0, 0, 1], .foreign("qcow (version 1)")),
            ([0x51, 0x46, 0x49, 0xfb], .container(.qcow2)),
            (Array("KDMV".utf8), .container(.vmdk)),
            (Array("COWD".utf8), .container(.vmdk)),
            (Array("# Disk DescriptorFile".utf8), .container(.vmdk)),
            (Array("conectix".utf8), .container(.vhd)),
            (Array("vhdxfile".utf8), .container(.vhdx)),
            ([0x51, 0x45, 0x44, 0], .foreign("QED")),
            (Array("WithoutFreeSpace".utf8), .foreign("Parallels")),
            (Array("WithouFreSpacExt".utf8), .foreign("Parallels")),
            (Array("Bochs Virtual HD Image".utf8), .foreign("Bochs")),
        ]
        for (beginning, look) in beginnings where head.starts(with: beginning) { return look }
        if head.count >= 68, Array(head[64..<68]) == [0x7f, 0x10, 0xda, 0xbe] { return .container(.vdi) }
        // An OVA is a tar archive.
        if head.count >= 262, Array(head[257..<262]) == Array("ustar".utf8) { return .foreign("OVA (tar)") }
        return nil
    }
}

extension ContentLook {
    /// What kind of container a file looks like, by its usual name; `nil` for a raw disk, and for what cannot be read.
    package static func containerName(ofFileAt path: String) -> String? {
        guard let file = try? HostFile(opening: path), let look = try? ContentLook(HeaderBytes(file)) else {
            return nil
        }
        return look.containerName
    }

    /// As ``containerName(ofFileAt:)``, for the first 512 bytes of something.
    static func containerName(ofHead head: [UInt8]) -> String? { byHead(head)?.containerName }

    private var containerName: String? {
        switch self {
        case .container(let format): format.name
        case .foreign(let kind): kind
        case .nothing: nil
        }
    }

    /// Decides the format of an image: what the operator states, else what was recorded, else name and content
    /// together.
    ///
    /// - Throws: `ambiguousFormat` when a name of a raw disk, a device or a bare name meets the content of a container;
    ///   `wrongFormat` when a container's name meets other content.
    package static func decide(
        name: String, isBlockDevice: Bool, stated: ImageFormat?, recorded: ImageFormat?, _ bytes: HeaderBytes
    ) throws(SourceError) -> (format: ImageFormat, origin: FormatOrigin) {
        if let stated { return (stated, .stated) }
        let implied = isBlockDevice ? nil : ImageFormat.impliedByName(name)
        if let recorded {
            // The name is the operator's own word. When it contradicts the record, the disk was moved to another kind
            // of image, and reading the container as if it were the disk would be a backup of the wrong thing.
            if let implied, implied != recorded { throw .contradicted(bytes.path, recorded: recorded, named: implied) }
            return (recorded, .recorded)
        }
        let look = try ContentLook(bytes)
        switch (implied, look) {
        case (nil, .nothing), (.raw, .nothing): return (.raw, .detected)
        case (nil, .container(let found)), (.raw, .container(let found)):
            throw .ambiguous(bytes.path, looksLike: found.name)
        case (nil, .foreign(let kind)), (.raw, .foreign(let kind)): throw .ambiguous(bytes.path, looksLike: kind)
        case (let format?, .container(let found)) where format == found: return (format, .detected)
        case (let format?, _): throw .wrongFormat(bytes.path, expected: format)
        }
    }
}
