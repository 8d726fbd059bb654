/// A guest's definition on its way back to a host: what it asks of the host, where its disks go, and its XML with new
/// places in it.
///
/// Everything that is not a place, a name or the UUID stays as it was written, byte for byte (``XMLEdits``). Nothing is
/// asked of the host here; see ``ReturnFacts``.
package struct DomainReturn: Sendable {
    /// Where a disk lies.
    package enum Place: Hashable, Sendable {
        /// A file: an absolute path.
        case file(String)
        /// A block device: an absolute path.
        case device(String)
        /// A volume of a storage pool of libvirt.
        case volume(pool: String, name: String)
        /// Something that no file is written to, in words.
        case elsewhere(String)
    }

    /// A disk of the definition.
    package struct Disk: Hashable, Sendable {
        /// Its target, `vda`; that of the point's disk.
        package var name: String
        /// Where it lies or will lie; `nil` for a drive with nothing in it.
        package var place: Place?
        /// `raw`, `qcow2`, …
        package var format: String
        /// Whether it is a CD-ROM or floppy drive.
        package var isRemovable: Bool
        /// Whether the point holds it, so that it is written.
        package var isRestored: Bool
        /// What about it cannot be made anew, in words.
        package var obstacle: String?
    }

    /// A file, folder or device that has to be there, and what for.
    package struct Need: Hashable, Sendable {
        /// Absolute.
        package var path: String
        /// Such as "the guest's kernel".
        package var what: String
    }

    /// How the guest is called from now on.
    package let name: String
    /// Lower case, `8-4-4-4-12`.
    package let uuid: String
    /// As libvirt reads it.
    package let definition: DomainDefinition
    /// `custom`, `host-model`, …; `nil` without a processor in the XML.
    package let processorMode: String?
    /// Model of a `custom` processor.
    package let processorModel: String?
    /// The processor's XML.
    package let processorXML: String?
    /// All disks in their order.
    package private(set) var disks: [Disk] = []
    /// Names of networks of libvirt, sorted.
    package private(set) var networks: [String] = []
    /// Names of bridges and devices of the host's network, sorted.
    package private(set) var hostInterfaces: [String] = []
    /// What has to be there besides.
    package private(set) var needs: [Need] = []
    /// Where the firmware's variables go; `nil` when the definition has no place for them.
    package private(set) var variables: String?
    /// Folder of the emulated TPM's state; `nil` without one.
    package private(set) var tpmState: String?
    /// Names of disks of the point that the definition does not have, sorted.
    package private(set) var homeless: [String] = []

    private var edits: XMLEdits
    private var media: [String: XMLElement] = [:]

    /// Reads a definition and moves it.
    ///
    /// - Parameters:
    ///   - images: names of the point's disks.
    ///   - folder: absolute path that disks, variables and the TPM's state move to; `nil` to leave them.
    ///   - fileName: of a disk in that folder, from its name and its format.
    ///   - variablesMove: whether the firmware's variables go into that folder too: they will be written there.
    ///   - variablesPlace: absolute path where they were, for a definition that leaves that to libvirt.
    ///   - tpmMoves: whether the TPM's state does.
    ///   - tpmStates: where the libvirt that it comes back to keeps the states of emulated TPMs.
    ///   - identity: another name and UUID; `nil` to keep both.
    /// - Throws: ``GuestError`` `refused` when it is no domain.
    package init(
        xml: String, images: Set<String>, folder: String? = nil,
        fileName: (_ disk: String, _ format: String) -> String = { "\($0).\($1)" },
        variablesMove: Bool = true, variablesPlace: String? = nil, tpmMoves: Bool = true,
        tpmStates: String = DomainDefinition.systemTPMStates, identity: (name: String, uuid: String)? = nil
    ) throws(GuestError) {
        definition = try DomainDefinition(xml: xml, tpmStates: tpmStates)
        do throws(XMLElement.Problem) { edits = try XMLEdits(xml) } catch {
            throw GuestError(.refused, "the guest's description makes no sense: \(error)")
        }
        let root = edits.root
        name = identity?.name ?? definition.name
        uuid = identity?.uuid ?? definition.uuid
        let processor = root.child("cpu")
        processorMode = processor.map { $0["mode"] ?? ($0.child("model") == nil ? "" : "custom") }
        processorModel = processorMode == "custom" ? processor?.child("model")?.text : nil
        processorXML = processor?.place.whole.map { range in
            String(decoding: Array(xml.utf8)[range], as: UTF8.self)
        }
        if let identity {
            if let element = root.child("name") { edits.setText(of: element, to: identity.name) }
            if let element = root.child("uuid") { edits.setText(of: element, to: identity.uuid) }
        }
        let devices = root.child("devices")
        for element in devices?.children("disk") ?? [] {
            readDisk(element, images: images, folder: folder, fileName: fileName)
        }
        homeless = images.subtracting(disks.filter { !$0.isRemovable }.map(\.name)).sorted()
        let variablesFolder = variablesMove ? folder : nil
        if root.at("os", "nvram") == nil {
            if variablesMove { placeVariables(root, folder: variablesFolder, elsewhere: variablesPlace) }
        } else {
            readVariables(root, folder: variablesFolder)
        }
        readTPM(devices, folder: tpmMoves ? folder : nil, isMoved: identity != nil)
        readInterfaces(devices)
        readNeeds(root)
    }

    /// The XML, with drives emptied of what is not there any more.
    ///
    /// - Parameter missing: names of removable drives.
    package func xml(withoutMedia missing: Set<String> = []) -> String {
        var edits = edits
        for name in missing { if let source = media[name] { edits.remove(source) } }
        return edits.document
    }

    // MARK: Reading

    private mutating func readDisk(
        _ element: XMLElement, images: Set<String>, folder: String?,
        fileName: (_ disk: String, _ format: String) -> String
    ) {
        guard let name = element.child("target")?["dev"], !name.isEmpty else { return }
        let isRemovable = ["cdrom", "floppy"].contains(element["device"] ?? "disk")
        let source = element.child("source")
        var disk = Disk(
            name: name, place: DomainReturn.place(element), format: element.child("driver")?["type"] ?? "raw",
            isRemovable: isRemovable, isRestored: !isRemovable && images.contains(name), obstacle: nil)
        defer { disks.append(disk) }
        if isRemovable {
            media[name] = source
            return
        }
        guard disk.isRestored else { return }
        // What is written is one plain image: what the guest saw, through whatever the old one was made of.
        for name in ["backingStore", "mirror"] {
            for child in element.children(name) { edits.remove(child) }
        }
        if element.at("source", "encryption") != nil || element.child("encryption") != nil {
            disk.obstacle = "libvirt encrypted its image, and an encrypted image is not made anew"
        } else if element.at("source", "slices") != nil {
            disk.obstacle = "it was a part of its file only (slices)"
        }
        if let folder {
            let path = "\(folder)/\(fileName(name, disk.format))"
            disk.place = .file(path)
            if element["type"] ?? "file" == "file", let source, edits.set("file", of: source, to: path) { return }
            let markup = "<source file='\(XMLElement.escaped(path))'/>"
            guard let source, edits.set("type", of: element, to: "file") else {
                disk.obstacle = "its description names no image that could be moved"
                return
            }
            edits.replace(source, by: markup)
        }
    }

    private static func place(_ disk: XMLElement) -> Place? {
        guard let source = disk.child("source") else { return nil }
        switch disk["type"] ?? "file" {
        case "file":
            guard let path = source["file"] else { return nil }
            return isPlain(path) ? .file(path) : .elsewhere("the path \(path)")
        case "block":
            guard let path = source["dev"] else { return nil }
            return isPlain(path) ? .device(path) : .elsewhere("the path \(path)")
        case "volume":
            guard let pool = source["pool"], let volume = source["volume"] else { return nil }
            return .volume(pool: pool, name: volume)
        case "network": return .elsewhere("\(source["protocol"] ?? "a network"):\(source["name"] ?? "")")
        case let other: return .elsewhere("a disk of type \(other)")
        }
    }

    /// An absolute path without steps upwards.
    private static func isPlain(_ path: String) -> Bool {
        path.hasPrefix("/") && !path.split(separator: "/").contains("..")
    }

    /// Libvirt chooses the firmware anew at each start, by what the definition wants of it (`firmware='efi'`), and only
    /// the description of the running guest says where the variables are. Left to itself it would begin new ones.
    private mutating func placeVariables(_ root: XMLElement, folder: String?, elsewhere: String?) {
        guard let system = root.child("os"), system["firmware"] == "efi",
            let path = folder.map({ "\($0)/nvram.fd" }) ?? elsewhere,
            edits.append("<nvram>\(XMLElement.escaped(path))</nvram>", to: system)
        else { return }
        variables = path
    }

    private mutating func readVariables(_ root: XMLElement, folder: String?) {
        guard let element = root.at("os", "nvram") else { return }
        variables = definition.variables
        guard let folder else { return }
        let path = "\(folder)/nvram.fd"
        if let source = element.child("source") {
            if edits.set("file", of: source, to: path) { variables = path }
        } else if !element.text.isEmpty, edits.setText(of: element, to: path) {
            variables = path
        }
    }

    private mutating func readTPM(_ devices: XMLElement?, folder: String?, isMoved: Bool) {
        tpmState = definition.tpmState
        let source = devices?.at("tpm", "backend", "source")
        if let folder, let source, edits.set("path", of: source, to: "\(folder)/tpm") {
            tpmState = "\(folder)/tpm"
        } else if isMoved, let state = tpmState, state.hasSuffix("/\(definition.uuid)") {
            // libvirt's own place has the UUID in it.
            tpmState = state.dropLast(definition.uuid.count) + uuid
        }
    }

    private mutating func readInterfaces(_ devices: XMLElement?) {
        var (networks, hosts): (Set<String>, Set<String>) = ([], [])
        for element in devices?.children("interface") ?? [] {
            guard let source = element.child("source") else { continue }
            switch element["type"] {
            case "network": if let name = source["network"] { networks.insert(name) }
            case "bridge": if let name = source["bridge"] { hosts.insert(name) }
            case "direct": if let name = source["dev"] { hosts.insert(name) }
            default: break
            }
        }
        (self.networks, hostInterfaces) = (networks.sorted(), hosts.sorted())
    }

    private mutating func readNeeds(_ root: XMLElement) {
        func add(_ path: String?, _ what: String) {
            guard let path, DomainReturn.isPlain(path), !needs.contains(where: { $0.path == path }) else { return }
            needs.append(Need(path: path, what: what))
        }
        add(definition.emulator, "the program that runs the guest")
        add(root.at("os", "kernel")?.text, "the guest's kernel")
        add(root.at("os", "initrd")?.text, "the guest's initrd")
        add(root.at("os", "dtb")?.text, "the guest's device tree")
        add(definition.firmware, "the guest's firmware")
        let devices = root.child("devices")
        for kind in ["serial", "console", "parallel", "channel"] {
            for element in devices?.children(kind) ?? [] {
                // libvirt makes the places of channels without a path of their own itself.
                let path = element.child("source")?["path"]
                if element["type"] == "dev" {
                    add(path, "what a \(kind) line of the guest is connected to")
                } else if element["type"] == "unix" || element["type"] == "file" || element["type"] == "pipe" {
                    add(path.flatMap(DomainReturn.folder(of:)), "the folder of a \(kind) line of the guest")
                }
                add(element.child("log")?["file"].flatMap(DomainReturn.folder(of:)), "the folder of a log of the guest")
            }
        }
        for element in devices?.children("filesystem") ?? [] {
            add(element.child("source")?["dir"], "a folder that the guest shares")
        }
        for element in devices?.children("hostdev") ?? [] where element["type"] == "pci" {
            guard let address = element.at("source", "address"), let path = DomainReturn.devicePath(address) else {
                continue
            }
            add(path, "a PCI device that is given through to the guest")
        }
    }

    /// The folder of a path.
    package static func folder(of path: String) -> String? {
        guard let slash = path.lastIndex(of: "/") else { return nil }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    private static func devicePath(_ address: XMLElement) -> String? {
        func number(_ name: String, digits: Int) -> String? {
            let text = address[name] ?? "0"
            let value = text.hasPrefix("0x") ? UInt32(text.dropFirst(2), radix: 16) : UInt32(text)
            guard let digitsOfValue = value.map({ String($0, radix: 16) }) else { return nil }
            return String(repeating: "0", count: max(0, digits - digitsOfValue.count)) + digitsOfValue
        }
        guard let domain = number("domain", digits: 4), let bus = number("bus", digits: 2),
            let slot = number("slot", digits: 2), let function = number("function", digits: 1)
        else { return nil }
        return "/sys/bus/pci/devices/\(domain):\(bus):\(slot).\(function)"
    }
}
