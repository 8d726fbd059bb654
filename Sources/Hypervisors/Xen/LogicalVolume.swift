import Effects
import GuestSource

/// A volume of LVM, as `lvs` describes it.
package struct LogicalVolume: Hashable, Sendable {
    /// Name of its group.
    package let group: String
    /// Name in the group.
    package let name: String
    /// Absolute path of its device.
    package let path: String
    /// The kernel's number of its device, `major:minor`; `nil` when it has none.
    package let device: String?
    /// In bytes; of a snapshot the room for what is overwritten.
    package let byteCount: UInt64
    /// How it is laid out: `linear`, `striped`, `thin`, ….
    package let layout: String
    /// The volume that it is a snapshot of; empty for none.
    package let origin: String
    /// Whether it is a snapshot that ran full.
    package let isInvalid: Bool
    /// Bytes of its group that are not given to any volume.
    package let groupFree: UInt64

    /// Whether a snapshot of it takes room of its group, and can be made.
    package var canBeSnapshotted: Bool {
        origin.isEmpty
            && ["linear", "striped", "raid1", "raid5", "raid6", "raid10", "mirror"].contains { layout.hasPrefix($0) }
    }

    /// Most bytes of a list of volumes; one has about 300.
    package static let longestList = 16 << 20
    private static let mostVolumes = 65_536

    static let fields =
        "vg_name,lv_name,lv_path,lv_kernel_major,lv_kernel_minor,lv_size,segtype,origin,lv_attr,vg_free"

    /// Reads the report of `lvs --reportformat json --units b --nosuffix`.
    ///
    /// - Throws: ``GuestError``, `refused`.
    package static func list(_ report: [UInt8]) throws(GuestError) -> [LogicalVolume] {
        guard report.count <= longestList, let value = try? JSONValue(decoding: report),
            case .array(let reports)? = value["report"]
        else { throw GuestError(.refused, "lvs answered something that is no report of volumes") }
        return reports.prefix(mostVolumes).flatMap { $0["lv"]?.elements ?? [] }.prefix(mostVolumes)
            .compactMap(LogicalVolume.init)
    }

    private init?(_ value: JSONValue) {
        func text(_ name: String) -> String { value[name]?.text ?? "" }
        group = text("vg_name")
        name = text("lv_name")
        path = text("lv_path")
        guard LogicalVolume.isName(group), LogicalVolume.isName(name), path == "/dev/\(group)/\(name)",
            let size = UInt64(text("lv_size"))
        else { return nil }
        byteCount = size
        if let major = UInt32(text("lv_kernel_major")), let minor = UInt32(text("lv_kernel_minor")) {
            device = "\(major):\(minor)"
        } else {
            device = nil
        }
        layout = text("segtype")
        origin = text("origin")
        // The fifth letter is the state: I for a snapshot that is invalid, S for one that is suspended as well.
        let state = Array(text("lv_attr").utf8).dropFirst(4).first
        isInvalid = state == UInt8(ascii: "I") || state == UInt8(ascii: "S")
        groupFree = UInt64(text("vg_free")) ?? 0
    }

    /// Whether LVM takes such a name (lvm(8)); what is none could be an option or lead elsewhere.
    private static func isName(_ text: String) -> Bool {
        (1...127).contains(text.utf8.count) && !text.hasPrefix("-") && text != "." && text != ".."
            && text.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "+"), UInt8(ascii: "_"), UInt8(ascii: "."),
                    UInt8(ascii: "-"):
                    true
                default: false
                }
            }
    }
}

/// The host's LVM, asked through its own programs.
struct VolumeManager: Sendable {
    /// Nanoseconds for an answer. A program that changes volumes is never ended: it may have stopped a volume for it.
    private static let patience: UInt64 = 120_000_000_000

    private let clock: SystemClock

    init(clock: SystemClock) { self.clock = clock }

    @discardableResult
    private func ask(_ name: String, _ words: [String], _ doing: String, ends: Bool) throws(GuestError) -> [UInt8] {
        guard let program = HostProgram.find(name) else {
            throw GuestError(.missing, "\(doing) needs \(name), which this host does not have (package lvm2)")
        }
        let patience = ProgramPatience(limit: VolumeManager.patience, ends: ends)
        let answer = HostProgram.ask(
            [program] + words, outputLimit: LogicalVolume.longestList, patience: patience, clock: clock)
        return try answer.output(of: name, doing, patience)
    }

    /// All volumes of the host; none without LVM.
    func volumes() throws(GuestError) -> [LogicalVolume] {
        guard HostProgram.find("lvs") != nil else { return [] }
        return try LogicalVolume.list(
            try ask(
                "lvs",
                ["--reportformat", "json", "--units", "b", "--nosuffix", "-o", LogicalVolume.fields],
                "listing logical volumes", ends: true))
    }

    /// Makes a snapshot; what is under way to the volume is waited for, and what the page cache holds is written.
    ///
    /// - Parameter byteCount: room for what is overwritten; rounded up to whole extents by LVM.
    func snapshot(_ volume: LogicalVolume, name: String, byteCount: UInt64) throws(GuestError) {
        try ask(
            "lvcreate",
            [
                "--yes", "--quiet", "--snapshot", "--permission", "r", "--size", "\(byteCount)b", "--name", name,
                "\(volume.group)/\(volume.name)",
            ], "making a snapshot of \(volume.path)", ends: false)
    }

    /// Removes a snapshot of ours.
    func remove(group: String, name: String) throws(GuestError) {
        precondition(name.hasPrefix(CaptureRequest.ownPrefix), "only what is ours is removed")
        try ask(
            "lvremove", ["--yes", "--quiet", "\(group)/\(name)"], "removing the snapshot \(group)/\(name)", ends: false)
    }
}
