import BackupModel

/// The XML that a capture gives to libvirt, and what is read from that of a job that runs.
package enum BackupDocuments {
    /// Name of the NBD context that says what changed of a disk.
    static func context(_ disk: String) -> String { "qemu:dirty-bitmap:\(list(disk))" }
    private static func list(_ disk: String) -> String { "\(CaptureRequest.ownPrefix)\(disk)" }

    /// A backup that is pulled: one job, and so one instant, for all disks.
    ///
    /// - Parameters:
    ///   - disks: names of those that are taken.
    ///   - socket: where they are served.
    ///   - scratch: the file for what the guest overwrites of a disk.
    package static func backup(
        _ disks: [String], plan: CheckpointPlan, request: CaptureRequest, socket: String,
        scratch: (String) -> String
    ) -> String {
        var lines = [
            "<domainbackup mode='pull'>", "<server transport='unix' socket='\(quoted(socket))'/>", "<disks>",
        ]
        for disk in disks {
            var way = "backupmode='full'"
            if case .since(let base) = plan.ways[disk] {
                way =
                    "backupmode='incremental' incremental='\(quoted(request.listName(base)))' "
                    + "exportbitmap='\(quoted(list(disk)))'"
            }
            lines.append(
                "<disk name='\(quoted(disk))' backup='yes' type='file' exportname='\(quoted(disk))' \(way)>"
                    + "<driver type='qcow2'/><scratch file='\(quoted(scratch(disk)))'/></disk>")
        }
        return (lines + ["</disks>", "</domainbackup>"]).joined(separator: "\n")
    }

    /// A checkpoint for the disks that get lists; `nil` when none does.
    ///
    /// - Parameter all: names of every disk of the guest: libvirt would else choose for those that are not named.
    package static func checkpoint(_ all: [String], plan: CheckpointPlan, request: CaptureRequest) -> String? {
        guard !plan.listed.isEmpty else { return nil }
        let name = request.listName(request.point)
        var lines = ["<domaincheckpoint>", "<name>\(quoted(name))</name>", "<disks>"]
        for disk in all {
            let kind = plan.listed.contains(disk) ? "checkpoint='bitmap' bitmap='\(quoted(name))'" : "checkpoint='no'"
            lines.append("<disk name='\(quoted(disk))' \(kind)/>")
        }
        return (lines + ["</disks>", "</domaincheckpoint>"]).joined(separator: "\n")
    }

    /// A snapshot of memory and device state alone, in the form of `virsh save`.
    ///
    /// - Parameters:
    ///   - all: names of every disk of the guest, of which none is touched.
    ///   - file: absolute path of the file that is made.
    package static func memory(_ all: [String], file: String) -> String {
        var lines = ["<domainsnapshot>", "<memory snapshot='external' file='\(quoted(file))'/>", "<disks>"]
        for disk in all { lines.append("<disk name='\(quoted(disk))' snapshot='no'/>") }
        lines += ["</disks>", "</domainsnapshot>"]
        return lines.joined(separator: "\n")
    }

    /// A checkpoint's own XML again, without the disks whose list is gone, so that libvirt can remove the rest of it.
    ///
    /// - Parameter xml: with sizes and with the guest's description. - Returns: `nil` when nothing would change.
    package static func withoutLost(_ xml: String, lost: Set<String>) -> String? {
        guard !lost.isEmpty, var root = try? XMLElement(parsing: xml),
            let index = root.children.firstIndex(where: { $0.name == "disks" })
        else { return nil }
        var isChanged = false
        root.children[index].children = root.children[index].children.map { disk in
            guard let name = disk["name"], lost.contains(name), disk["checkpoint"] == "bitmap" else { return disk }
            isChanged = true
            return XMLElement(name: "disk", attributes: ["name": name, "checkpoint": "no"])
        }
        return isChanged ? written(root) : nil
    }

    private static func quoted(_ text: String) -> String { XMLElement.escaped(text) }

    /// An element as text. - Parameter element: without text beside children, as libvirt's are.
    package static func written(_ element: XMLElement) -> String {
        let attributes = element.attributes.sorted { $0.key < $1.key }
            .map { " \($0.key)='\(quoted($0.value))'" }.joined()
        if element.children.isEmpty, element.text.isEmpty { return "<\(element.name)\(attributes)/>" }
        let inside = quoted(element.text) + element.children.map(written).joined()
        return "<\(element.name)\(attributes)>\(inside)</\(element.name)>"
    }
}

/// A backup job that runs.
package struct RunningBackup: Hashable, Sendable {
    /// Where it serves the disks; `nil` when that is no unix socket.
    package var socket: String?
    /// Its scratch files.
    package var scratch: [String]

    /// Reads a job's XML.
    package init(xml: String) {
        let root = try? XMLElement(parsing: xml)
        socket = root?.child("server")?["socket"]
        scratch = (root?.child("disks")?.children("disk") ?? []).compactMap { $0.child("scratch")?["file"] }
    }
}
