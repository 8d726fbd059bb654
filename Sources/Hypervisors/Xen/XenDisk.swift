/// A disk of a guest in the words of `xl list -l`.
enum XenDisk {
    /// Bytes of a disk's name and of a path, at most.
    private static let longestName = 32
    private static let longestPath = 4096

    /// - Parameter number: place in the guest's list, for one whose name is unfit.
    static func disk(_ value: JSONValue, number: Int) -> GuestDisk {
        let given = value["vdev"]?.text ?? ""
        let isFit = !given.isEmpty && given.utf8.count <= longestName && given.utf8.allSatisfy(isPlain)
        let path = value["pdev_path"]?.text.flatMap { $0.isEmpty ? nil : $0 }
        // What has its usual value is not in the list; a disk's usual value is that it cannot be written.
        let format = value["format"]?.text ?? "raw"
        return GuestDisk(
            name: isFit ? given : "disk-\(number)", location: path, format: format, byteCount: nil, identity: path,
            omission: omission(value, path: path, format: format, isNamed: isFit))
    }

    private static func isPlain(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"):
            true
        default: false
        }
    }

    /// Whether a member says yes: libxl writes some as numbers and some as words.
    private static func isSet(_ value: JSONValue?) -> Bool {
        switch value {
        case .bool(let isSet): isSet
        case .integer(let number): number != 0
        case .text(let word): word == "True"
        default: false
        }
    }

    private static func omission(
        _ value: JSONValue, path: String?, format: String, isNamed: Bool
    ) -> GuestDisk.Omission? {
        if isSet(value["is_cdrom"]) || isSet(value["removable"]) { return .removable }
        guard let path, format != "empty" else { return .empty }
        if !isSet(value["readwrite"]) { return .readOnly }
        if let number = value["backend_domid"]?.integer, number != 0 {
            return .unsupported("the guest \(number) serves it; back it up there")
        }
        if value["backend_domname"]?.text?.isEmpty == false {
            return .unsupported("another guest serves it; back it up there")
        }
        if value["script"]?.text?.isEmpty == false {
            return .unsupported("a script of its own makes it, and nobody here knows where its bytes are")
        }
        if format != "raw" {
            return .unsupported(
                "its image is \(format), of which QEMU keeps a part in its own memory; back it up while the guest "
                    + "is off")
        }
        guard isNamed, path.hasPrefix("/"), path.utf8.count <= longestPath, !path.utf8.contains(0) else {
            return .unsupported("its name or place is none that could be used")
        }
        return nil
    }
}
