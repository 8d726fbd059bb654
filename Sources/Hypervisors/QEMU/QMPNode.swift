/// A drive of a QEMU guest and the block node in it, from `query-block` and `query-named-block-nodes`.
struct QMPDrive: Hashable, Sendable {
    /// Where the device stands in QEMU's object tree.
    var device: String
    /// What it is called: its id, its drive's, or its node's.
    var name: String
    var isRemovable: Bool
    /// The node that the device reads and writes; `nil` when nothing is inserted.
    var node: String?
    /// The node's driver, such as `qcow2`.
    var driver: String?
    var isReadOnly: Bool
    var location: String?
    var byteCount: UInt64?
    var identity: String?

    /// Depth of backing files that is followed.
    private static let deepestChain = 256

    /// Reads one element of `query-block`.
    init?(_ value: JSONValue) {
        let drive = value["device"]?.text ?? ""
        guard let device = value["qdev"]?.text else { return nil }
        self.device = device
        isRemovable = value["removable"]?.bool ?? false
        let inserted = value["inserted"]
        node = inserted?["node-name"]?.text
        driver = inserted?["drv"]?.text
        isReadOnly = inserted?["ro"]?.bool ?? false
        location = inserted?["image"]?["filename"]?.text ?? inserted?["file"]?.text
        byteCount = inserted?["image"]?["virtual-size"]?.integer.flatMap { UInt64(exactly: $0) }
        identity = inserted?["image"].map(QMPDrive.identity)
        name = QMPDrive.name(device: device, drive: drive, node: node)
    }

    /// `/machine/peripheral/ID/…` names the device; what has no id is called by its drive, else by its node.
    private static func name(device: String, drive: String, node: String?) -> String {
        let parts = device.split(separator: "/")
        // Devices with an id that virtio puts nothing below are given by it alone.
        if !device.hasPrefix("/"), !device.isEmpty { return device }
        if parts.count >= 3, parts[0] == "machine", parts[1] == "peripheral" { return String(parts[2]) }
        if !drive.isEmpty { return drive }
        // Names that QEMU makes up begin with # and change from start to start.
        if let node, !node.hasPrefix("#") { return node }
        return parts.dropFirst().joined(separator: ".")
    }

    /// Driver of a filter that a capture puts before a disk, and that a killed run leaves there. It is no image.
    private static let filterDriver = "copy-before-write"

    /// The images of a chain, with their formats, top first.
    private static func identity(_ image: JSONValue) -> String {
        var lines: [String] = []
        var next: JSONValue? = image
        while let link = next, lines.count < deepestChain {
            let format = link["format"]?.text ?? "?"
            if format != filterDriver { lines.append("\(format) \(link["filename"]?.text ?? "?")") }
            next = link["backing-image"]
        }
        return lines.joined(separator: "\n")
    }

    /// The device whose properties an operator sets: without the part that virtio puts below it.
    var properties: String {
        device.hasSuffix("/virtio-backend") ? String(device.dropLast("/virtio-backend".count)) : device
    }
}
