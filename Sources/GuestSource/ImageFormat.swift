/// The container a disk image is kept in.
package enum ImageFormat: String, CaseIterable, Hashable, Sendable {
    case raw
    case qcow2
    case vmdk
    case vhd
    case vhdx
    case vdi

    /// The word the command line, the records and messages use.
    package var name: String { rawValue }

    /// The format named by `text` (`raw`, `qcow2`, `vmdk`, `vhd`, `vhdx` or `vdi`); `nil` for any other word.
    package init?(name text: String) {
        self.init(rawValue: text)
    }

    /// The name QEMU's block layer has for it.
    var driver: String { self == .vhd ? "vpc" : rawValue }

    /// What the extension of a file's name says; `nil` when it says nothing, as for a device or a bare name.
    package static func impliedByName(_ path: String) -> ImageFormat? {
        let file = path.split(separator: "/").last.map(String.init) ?? ""
        guard let dot = file.lastIndex(of: "."), dot != file.startIndex else { return nil }
        switch file[file.index(after: dot)...].lowercased() {
        case "img", "raw": return .raw
        case "qcow2": return .qcow2
        case "vmdk": return .vmdk
        case "vhd", "vpc": return .vhd
        case "vhdx": return .vhdx
        case "vdi": return .vdi
        default: return nil
        }
    }
}

/// How the format of an image was decided.
package enum FormatOrigin: String, Sendable {
    /// The operator said so now.
    case stated
    /// An earlier run recorded it; the content was not looked at.
    case recorded
    /// The name and the content agreed.
    case detected
    /// The image above it in the chain names it.
    case named
}
