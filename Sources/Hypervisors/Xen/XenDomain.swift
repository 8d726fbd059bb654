/// A guest as `xl list` and `xl list -l` of Xen's own toolstack describe it.
///
/// Everything here comes from another program's text: it is bounded, and what does not make sense makes a guest that
/// cannot be taken, never another guest.
package struct XenDomain: Hashable, Sendable {
    /// What it does now.
    package enum State: String, Sendable {
        /// Its processors run, or wait for something.
        case running
        /// Somebody stopped its processors.
        case paused
        /// It is being saved, or was and does not run yet.
        case suspended
        /// It has ended.
        case shutOff = "shut off"
        /// It stopped by itself.
        case crashed
    }

    /// Xen's number of it, until it is started anew.
    package let number: Int
    /// Name on the host.
    package let name: String
    /// Lower case, `8-4-4-4-12`; empty when it has none.
    package let uuid: String
    /// `pv`, `pvh`, `hvm`; empty when that is not said.
    package let kind: String
    /// Bytes of memory that it may have at most.
    package let memoryByteCount: UInt64
    /// What it does now.
    package internal(set) var state: State
    /// All its disks.
    package let disks: [GuestDisk]
    /// The description as it was read.
    let document: JSONValue

    /// Most bytes of a description of all guests that are read; one has about 2 KiB.
    package static let longestList = 16 << 20
    /// Most guests of a list; Xen numbers no more at once.
    private static let mostDomains = 32_752
    /// Most disks of one guest; a toolstack's numbers go so far.
    private static let mostDisks = 1024
    /// Most KiB of memory that make sense: 64 TiB.
    private static let mostKiB: UInt64 = 1 << 36
    /// Bytes of a name, at most.
    private static let longestName = 255

    /// Reads what `xl list -l` wrote; Domain-0 is no guest.
    ///
    /// - Parameter states: what `xl list` wrote, for the states.
    /// - Throws: ``GuestError``, `refused`.
    package static func list(_ document: [UInt8], states: [UInt8]) throws(GuestError) -> [XenDomain] {
        guard document.count <= longestList, let value = try? JSONValue(decoding: document),
            case .array(let entries) = value, entries.count <= mostDomains
        else {
            throw GuestError(
                .refused, "xl list -l answered something that is no list of guests; look at it, and at xl's version")
        }
        let states = XenDomain.states(states)
        return entries.compactMap { entry in
            guard let number = entry["domid"]?.integer, (1..<Int64(mostDomains)).contains(number),
                let state = states[Int(number)]
            else { return nil }
            return XenDomain(entry, number: Int(number), state: state)
        }
    }

    private init?(_ entry: JSONValue, number: Int, state: State) {
        guard let config = entry["config"], let creation = config["c_info"], let name = creation["name"]?.text,
            (1...XenDomain.longestName).contains(name.utf8.count)
        else { return nil }
        self.number = number
        self.name = name
        self.state = state
        uuid = XenDomain.uuid(creation["uuid"]?.text ?? "")
        let known = ["pv", "pvh", "hvm"]
        kind = creation["type"]?.text.flatMap { known.contains($0) ? $0 : nil } ?? ""
        let build = config["b_info"]
        let amounts = ["max_memkb", "target_memkb", "video_memkb"].map { name in
            min(build?[name]?.integer.flatMap { UInt64(exactly: $0) } ?? 0, XenDomain.mostKiB)
        }
        memoryByteCount = (max(amounts[0], amounts[1]) + amounts[2]) << 10
        disks = (config["disks"]?.elements ?? []).prefix(XenDomain.mostDisks).enumerated().map { index, disk in
            XenDisk.disk(disk, number: index)
        }
        document = entry
    }

    /// Lower case, with its dashes; empty for anything else.
    private static func uuid(_ text: String) -> String {
        let lower = text.lowercased()
        let parts = lower.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.map(\.utf8.count) == [8, 4, 4, 4, 12],
            lower.utf8.allSatisfy({ $0 == 0x2D || (0x30...0x39).contains($0) || (0x61...0x66).contains($0) })
        else { return "" }
        return lower
    }

    /// States by the domain's number, of the table of `xl list`. Read from the right: a name may hold spaces.
    package static func states(_ table: [UInt8]) -> [Int: State] {
        var states: [Int: State] = [:]
        for line in String(decoding: table.prefix(longestList), as: UTF8.self).split(separator: "\n").dropFirst() {
            let fields = line.split { $0 == " " || $0 == "\t" }
            guard fields.count >= 6, let number = Int(fields[fields.count - 5]),
                let state = state(fields[fields.count - 2])
            else { continue }
            states[number] = state
        }
        return states
    }

    /// The state that six letters stand for: running, blocked, paused, shut down, why, dying; a dash for what is not.
    private static func state(_ flags: Substring) -> State? {
        let letters = Array(flags.utf8)
        guard letters.count == 6 else { return nil }
        if letters[5] == UInt8(ascii: "d") { return .shutOff }
        if letters[3] == UInt8(ascii: "s") {
            return switch letters[4] {
            case UInt8(ascii: "s"): .suspended
            case UInt8(ascii: "c"): .crashed
            default: .shutOff
            }
        }
        return letters[2] == UInt8(ascii: "p") ? .paused : .running
    }
}
