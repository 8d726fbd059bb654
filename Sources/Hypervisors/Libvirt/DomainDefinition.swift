package import Effects

/// What a libvirt domain's XML says, as far as a backup asks.
///
/// Read from what libvirt answers and from nowhere else, and believed in nothing that opens a file without a look: a
/// domain's author chose every text in it.
package struct DomainDefinition: Hashable, Sendable {
    /// `kvm`, `qemu`, `xen`, `test`.
    package var kind: String
    /// Name on the host.
    package var name: String
    /// Lower case, `8-4-4-4-12`.
    package var uuid: String
    /// Such as `pc-q35-7.2`.
    package var machine: String?
    /// Such as `x86_64`.
    package var architecture: String?
    /// Program that runs it.
    package var emulator: String?
    /// Model of the processor, or how it is chosen: `host-passthrough`.
    package var processor: String?
    /// Most memory, in bytes; `nil` when it cannot be read.
    package var memory: UInt64?
    /// Memory that it has now, in bytes.
    package var currentMemory: UInt64?
    /// The firmware's code.
    package var firmware: String?
    /// The firmware's variables: an absolute path.
    package var variables: String?
    /// Folder with the state of an emulated TPM; `nil` when there is none.
    package var tpmState: String?
    /// Words that people gave it for policies to choose by, in the metadata of ``tagsNamespace``.
    package var tags: [String] = []
    /// Whether the guest agent has opened its channel.
    package var hasAgent = false
    /// User and group that QEMU runs as, when libvirt says so.
    package var owner: PathOwner?
    /// All disks.
    package var disks: [DomainDisk]

    /// Where the daemon of the system keeps the states of emulated TPMs, each in a folder named by its guest's UUID.
    package static let systemTPMStates = "/var/lib/libvirt/swtpm"

    /// The namespace of the element `tags` in a domain's metadata, whose text is words.
    package static let tagsNamespace = "urn:dozo:tags"
    private static let mostTags = 64
    private static let longestTag = 64

    /// Reads a domain's XML.
    ///
    /// - Parameter tpmStates: where its libvirt keeps the states of emulated TPMs, as ``systemTPMStates``.
    /// - Throws: ``GuestError`` `refused` when it is no domain, or a bound of ``XMLElement`` is passed.
    package init(xml: String, tpmStates: String = DomainDefinition.systemTPMStates) throws(GuestError) {
        let root: XMLElement
        do throws(XMLElement.Problem) { root = try XMLElement(parsing: xml) } catch {
            throw GuestError(.refused, "libvirt's description of a guest makes no sense: \(error)")
        }
        guard root.name == "domain", let name = root.child("name")?.text, !name.isEmpty,
            let uuid = root.child("uuid")?.text.lowercased(), DomainDefinition.isUUID(uuid)
        else { throw GuestError(.refused, "libvirt's description of a guest has no name or no UUID") }
        kind = root["type"] ?? ""
        self.name = name
        self.uuid = uuid
        let type = root.at("os", "type")
        machine = type?["machine"]
        architecture = type?["arch"]
        emulator = root.at("devices", "emulator")?.text
        processor = root.at("cpu", "model")?.text ?? root.child("cpu")?["mode"]
        memory = root.child("memory").flatMap(DomainDefinition.bytes)
        currentMemory = root.child("currentMemory").flatMap(DomainDefinition.bytes)
        firmware = root.at("os", "loader").flatMap { DomainDefinition.path($0.text) }
        variables = root.at("os", "nvram").flatMap { element in
            DomainDefinition.path(element.text) ?? element.child("source")?["file"].flatMap(DomainDefinition.path)
        }
        tags = DomainDefinition.tags(root.child("metadata")?.children ?? [])
        let devices = root.child("devices")
        if let backend = devices?.at("tpm", "backend"), backend["type"] == "emulator" {
            tpmState = backend.child("source")?["path"].flatMap(DomainDefinition.path) ?? "\(tpmStates)/\(uuid)"
        }
        hasAgent = (devices?.children("channel") ?? []).contains { channel in
            let target = channel.child("target")
            return target?["name"] == "org.qemu.guest_agent.0" && target?["state"] == "connected"
        }
        let label = root.children("seclabel").first { $0["model"] == "dac" }?.child("label")?.text
        owner = label.flatMap(DomainDefinition.owner)
        // Which controller a disk hangs on is left aside: one with a thread makes all disks of SCSI doubtful.
        let hasThread = (devices?.children("controller") ?? []).contains { controller in
            let driver = controller.child("driver")
            return controller["type"] == "scsi" && (driver?["iothread"] != nil || driver?.child("iothreads") != nil)
        }
        disks = (devices?.children("disk") ?? []).compactMap { element in
            var disk = DomainDisk(element)
            if hasThread, element.child("target")?["bus"] == "scsi" { disk?.isOnThread = true }
            return disk
        }
        disks += (devices?.children("hostdev") ?? []).compactMap { DomainDisk(passedThrough: $0) }
    }

    private static func tags(_ metadata: [XMLElement]) -> [String] {
        var found: [String] = []
        for element in metadata {
            let parts = element.name.split(separator: ":", maxSplits: 1)
            let space = parts.count == 2 ? element["xmlns:\(parts[0])"] : element["xmlns"]
            guard parts.last == "tags", space == tagsNamespace else { continue }
            found += element.text.split { $0.isWhitespace || $0 == "," }.map(String.init)
        }
        return Array(Set(found.filter { $0.utf8.count <= longestTag })).sorted().prefix(mostTags).map(\.self)
    }

    private static func isUUID(_ text: String) -> Bool {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        return parts.map(\.utf8.count) == [8, 4, 4, 4, 12]
            && parts.joined().allSatisfy { $0.isASCII && $0.isHexDigit }
    }

    /// An absolute path without steps upwards; `nil` for anything else.
    private static func path(_ text: String) -> String? {
        text.hasPrefix("/") && !text.split(separator: "/").contains("..") ? text : nil
    }

    /// A number of bytes with its unit; KiB when none is given.
    private static func bytes(_ element: XMLElement) -> UInt64? {
        guard let number = UInt64(element.text) else { return nil }
        let unit: UInt64
        switch element["unit"] ?? "KiB" {
        case "b", "bytes": unit = 1
        case "KB": unit = 1000
        case "k", "KiB": unit = 1 << 10
        case "MB": unit = 1_000_000
        case "M", "MiB": unit = 1 << 20
        case "GB": unit = 1_000_000_000
        case "G", "GiB": unit = 1 << 30
        case "TB": unit = 1_000_000_000_000
        case "T", "TiB": unit = 1 << 40
        default: return nil
        }
        let (product, overflow) = number.multipliedReportingOverflow(by: unit)
        return overflow ? nil : product
    }

    /// Reads `+64055:+64055`; names of users, which libvirt may also say, are left alone.
    private static func owner(_ label: String) -> PathOwner? {
        let parts = label.split(separator: ":")
        guard parts.count == 2, parts.allSatisfy({ $0.hasPrefix("+") }), let user = UInt32(parts[0].dropFirst()),
            let group = UInt32(parts[1].dropFirst())
        else { return nil }
        return PathOwner(user: user, group: group)
    }
}

/// A disk of a domain.
package struct DomainDisk: Hashable, Sendable {
    /// libvirt's target: `vda`.
    package var name: String
    /// File, device or network address; `nil` when nothing is in it.
    package var location: String?
    /// Container: `raw`, `qcow2`.
    package var format: String
    /// The image and what it stands on.
    package var identity: String?
    /// Whether an I/O thread of its own serves it, or its controller.
    package var isOnThread = false
    /// Why it cannot or need not be taken.
    package var omission: GuestDisk.Omission?

    /// Most bytes of a target's name; a name of ours is made of it.
    private static let longestName = 32

    /// As the contract has it. - Parameter byteCount: size in bytes as the guest sees it.
    package func guestDisk(byteCount: UInt64?) -> GuestDisk {
        var disk = GuestDisk(
            name: name, location: location, format: location == nil ? nil : format, byteCount: byteCount,
            identity: identity, omission: omission)
        disk.isOnThread = isOnThread
        return disk
    }

    /// Reads a `disk`; `nil` when it has no target.
    init?(_ element: XMLElement) {
        guard let name = element.child("target")?["dev"], !name.isEmpty else { return nil }
        self.name = name
        // libvirt takes raw for granted when nothing is said.
        format = element.child("driver")?["type"] ?? "raw"
        let type = element["type"] ?? "file"
        location = DomainDisk.location(type: type, element)
        let driver = element.child("driver")
        isOnThread = driver?["iothread"] != nil || driver?.child("iothreads") != nil
        identity = location.map { _ in DomainDisk.chain(element).joined(separator: " on ") }
        omission = omission(element, type: type)
    }

    /// Reads a `hostdev`; `nil` when it is no disk.
    init?(passedThrough element: XMLElement) {
        guard let type = element["type"], type == "scsi" || type == "scsi_host" else { return nil }
        let source = element.child("source")
        let adapter = source?.child("adapter")?["name"] ?? source?["wwpn"] ?? "scsi"
        let address = source?.child("address").map { address in
            ["bus", "target", "unit"].compactMap { address[$0] }.joined(separator: ":")
        }
        location = [adapter, address].compactMap(\.self).joined(separator: ":")
        name = element.child("alias")?["name"] ?? "hostdev-\(location ?? "")"
        format = "raw"
        omission = .passedThrough
    }

    private func omission(_ element: XMLElement, type: String) -> GuestDisk.Omission? {
        switch element["device"] ?? "disk" {
        case "cdrom", "floppy": return .removable
        case "lun": return .passedThrough
        case "disk": break
        case let other: return .unsupported("libvirt calls it a \(other)")
        }
        if location == nil { return .empty }
        if element.child("shareable") != nil { return .shareable }
        if element.child("readonly") != nil { return .readOnly }
        if element.child("transient") != nil { return .transient }
        if type == "vhostuser" || type == "vhostvdpa" {
            return .unsupported("another program than QEMU serves it (\(type))")
        }
        // The name becomes part of names of exports and files.
        let plain =
            name.utf8.count <= DomainDisk.longestName && name != "." && name != ".."
            && name.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7f && $0 != UInt8(ascii: "/") }
        return plain ? nil : .unsupported("its name is not plain")
    }

    /// The image and all that it stands on, each with its container.
    private static func chain(_ disk: XMLElement) -> [String] {
        var all: [String] = []
        var element: XMLElement? = disk
        while let current = element {
            let format = current.child("format")?["type"] ?? current.child("driver")?["type"] ?? "raw"
            guard let location = location(type: current["type"] ?? "file", current) else { break }
            all.append("\(format):\(location)")
            element = current.child("backingStore")
        }
        return all
    }

    private static func location(type: String, _ element: XMLElement) -> String? {
        guard let source = element.child("source") else { return nil }
        switch type {
        case "file": return source["file"]
        case "block": return source["dev"]
        case "dir": return source["dir"]
        case "volume":
            guard let pool = source["pool"], let volume = source["volume"] else { return nil }
            return "\(pool)/\(volume)"
        case "network":
            guard let scheme = source["protocol"] else { return nil }
            let host = source.child("host")
            let server = host?["name"] ?? host?["socket"] ?? ""
            let port = host?["port"].map { ":\($0)" } ?? ""
            return "\(scheme)://\(server)\(port)/\(source["name"] ?? "")"
        case "nvme":
            let address = source.child("address")
            let parts = ["domain", "bus", "slot", "function"].compactMap { address?[$0] }
            return "nvme \(parts.joined(separator: ":")) namespace \(source["namespace"] ?? "1")"
        default:
            return source["path"] ?? source["dev"] ?? source["file"] ?? type
        }
    }
}
