/// A guest as a file of settings that `xl create` and `xl restore` read (xl.cfg(5)), made of what `xl list -l` says.
///
/// It names what a guest of a plain kind is made of; what it leaves out is in the description beside it, and in the
/// file that the guest was once made from.
package struct XenConfiguration {
    /// The file.
    package let text: String

    /// Most bytes of one value.
    private static let longestValue = 4096

    /// Makes it of what is known of a guest.
    package init(_ domain: XenDomain) {
        var lines = [
            "# Made by dozo of what `xl list -l` said (xl.json, beside this file, has all of it).",
            "# Look at places of disks, kernels and bridges before you use it.",
        ]
        let config = domain.document["config"]
        let build = config?["b_info"]
        func text(_ key: String, _ value: String?) {
            guard let value, !value.isEmpty else { return }
            guard let quoted = XenConfiguration.quoted(value) else {
                lines.append("# \(key) has letters that cannot stand here; see xl.json")
                return
            }
            lines.append("\(key) = \(quoted)")
        }
        func number(_ key: String, _ value: Int64?, unit: Int64 = 1) {
            if let value, value >= 0 { lines.append("\(key) = \(value / unit)") }
        }
        text("name", domain.name)
        text("uuid", domain.uuid)
        text("type", domain.kind)
        for key in ["kernel", "ramdisk", "bootloader", "firmware"] { text(key, build?[key]?.text) }
        text("cmdline", build?["cmdline"]?.text)
        number("memory", build?["target_memkb"]?.integer, unit: 1024)
        number("maxmem", build?["max_memkb"]?.integer, unit: 1024)
        number("maxvcpus", build?["max_vcpus"]?.integer)
        let available = build?["avail_vcpus"]?.elements.count ?? 0
        if available > 0 { number("vcpus", Int64(available)) }
        for key in ["on_poweroff", "on_reboot", "on_watchdog", "on_crash"] {
            text(key, config?[key]?.text?.replacing("_", with: "-"))
        }
        let disks = (config?["disks"]?.elements ?? []).compactMap(XenConfiguration.disk)
        if !disks.isEmpty { lines.append("disk = [ \(disks.joined(separator: ", ")) ]") }
        let interfaces = (config?["nics"]?.elements ?? []).compactMap(XenConfiguration.interface)
        if !interfaces.isEmpty { lines.append("vif = [ \(interfaces.joined(separator: ", ")) ]") }
        self.text = lines.joined(separator: "\n") + "\n"
    }

    /// In quotation marks; `nil` for what has marks, ends of lines or backslashes itself.
    private static func quoted(_ value: String) -> String? {
        guard value.utf8.count <= longestValue, value.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F && $0 != 0x5C }) else {
            return nil
        }
        if !value.contains("\"") { return "\"\(value)\"" }
        return value.contains("'") ? nil : "'\(value)'"
    }

    private static func pairs(_ members: [(String, String?)]) -> String? {
        let given = members.compactMap { key, value in
            value.flatMap { $0.isEmpty || $0.contains(",") ? nil : "\(key)=\($0)" }
        }
        return quoted(given.joined(separator: ","))
    }

    private static func disk(_ value: JSONValue) -> String? {
        guard let name = value["vdev"]?.text else { return nil }
        let described = XenDisk.disk(value, number: 0)
        let mode = value["readwrite"]?.integer == 1 ? "rw" : "ro"
        // The path stands last, for it may hold what separates the others.
        let head = ["vdev=\(name)", "access=\(mode)", "format=\(described.format ?? "raw")"]
        let kind = described.omission == .removable ? ["devtype=cdrom"] : []
        let target = value["pdev_path"]?.text.map { ["target=\($0)"] } ?? []
        return quoted((head + kind + target).joined(separator: ","))
    }

    private static func interface(_ value: JSONValue) -> String? {
        pairs([
            ("mac", value["mac"]?.text), ("bridge", value["bridge"]?.text), ("model", value["model"]?.text),
            ("script", value["script"]?.text),
        ])
    }
}
