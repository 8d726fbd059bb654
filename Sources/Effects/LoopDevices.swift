import Glibc

/// Finds the loop devices that a file or block device is attached to. Whoever mounts or writes such a device uses what
/// is below it, and holds no lock on that which would say so.
///
/// What is looked at is the kernel's own list. Mounts are those of this process's mount namespace; an attachment counts
/// whether it is mounted or not. Where there is no such list, as in some containers, nothing is found.
package struct LoopDevices: Sendable {
    /// A loop device that a file is attached to.
    package struct Attachment: Equatable, Sendable {
        /// The device, such as `/dev/loop0`.
        package let device: String
        /// Whether nobody can write the file through it.
        package let isReadOnly: Bool
        /// Where it or a partition of it is mounted; empty when it is not.
        package let mountPoints: [String]

        /// An attachment from its fields.
        package init(device: String, isReadOnly: Bool, mountPoints: [String]) {
            self.device = device
            self.isReadOnly = isReadOnly
            self.mountPoints = mountPoints
        }

        /// What uses the file and what to do about it, as the middle of a sentence about the file.
        package var reason: String {
            let shown = mountPoints.prefix(Attachment.mostShown).joined(separator: ", ")
            let more = mountPoints.count > Attachment.mostShown ? " and elsewhere" : ""
            let place = mountPoints.isEmpty ? "" : ", which is mounted on \(shown)\(more)"
            let remedy = mountPoints.isEmpty ? "detach it" : "unmount and detach it"
            return "it is attached to the loop device \(device)\(place); \(remedy) (losetup --detach \(device)) first"
        }

        private static let mostShown = 3
    }

    /// The kernel's list on this host.
    package static let system = LoopDevices(
        devices: "/sys/block", numbers: "/sys/dev/block", nodes: "/dev", mounts: "/proc/self/mountinfo")

    // Constants of the Linux ABI (linux/loop.h): the question for what is attached, and its answer.
    private static let getStatus: UInt = 0x4C05
    private static let statusByteCount = 232
    private static let flagsPlace = 52
    private static let readOnlyFlag: UInt32 = 1

    // A path has at most 4,096 bytes, and " (deleted)" may stand behind it.
    private static let longestAttribute = 8192
    private static let longestMountList = 4 << 20
    private static let deletedMark = " (deleted)"

    private let devices: String
    private let numbers: String
    private let nodes: String
    private let mounts: String

    /// A list elsewhere than on this host, for tests.
    ///
    /// - Parameters:
    ///   - devices: a folder like `/sys/block`.
    ///   - numbers: a folder like `/sys/dev/block`.
    ///   - nodes: a folder like `/dev`; devices that are not there are judged by their attributes alone.
    ///   - mounts: a file like `/proc/self/mountinfo`.
    package init(devices: String, numbers: String, nodes: String, mounts: String) {
        self.devices = devices
        self.numbers = numbers
        self.nodes = nodes
        self.mounts = mounts
    }

    /// The devices that an open file is attached to, by their numbers; of a block device also those that stand on a
    /// partition of it.
    ///
    /// - Parameter descriptor: an open regular file or block device.
    package func attachments(of descriptor: CInt) -> [Attachment] {
        var file = stat()
        // Safety: `file` lives through the call.
        guard unsafe fstat(descriptor, &file) == 0, let names = try? HostFiles(root: devices).names(in: "") else {
            return []
        }
        let numbered = names.compactMap { name -> (number: UInt32, name: String)? in
            guard name.hasPrefix("loop"), let number = UInt32(name.dropFirst(4)) else { return nil }
            return (number, name)
        }
        let parts = file.st_mode & S_IFMT == S_IFBLK ? blockDevices(of: file.st_rdev) : nil
        return numbered.sorted { $0.number < $1.number }.compactMap { attachment(of: file, parts, to: $0.name) }
    }

    /// The numbers of a block device and of its partitions, as the kernel's files spell them.
    private func blockDevices(of device: dev_t) -> Set<String> {
        let number = LoopDevices.text(device)
        let folders = HostFiles(root: "\(numbers)/\(number)")
        let below = ((try? folders.names(in: "")) ?? []).compactMap {
            attribute("\($0)/dev", in: "\(numbers)/\(number)")
        }
        return Set([number] + below)
    }

    private func attachment(of file: stat, _ parts: Set<String>?, to name: String) -> Attachment? {
        // The attribute is there only while something is attached.
        guard let path = attribute("\(name)/loop/backing_file") else { return nil }
        let asked = status(of: name)
        // The device knows its file by number, whatever became of the name; a path serves where it cannot be asked.
        let isIt =
            asked.map {
                if let parts { return parts.contains(LoopDevices.text(dev_t($0.blockDevice))) }
                return $0.device == UInt64(file.st_dev) && $0.inode == UInt64(file.st_ino)
            } ?? false
        guard isIt || LoopDevices.names(path, file, parts) else { return nil }
        return Attachment(
            device: "\(nodes)/\(name)", isReadOnly: asked?.isReadOnly ?? (attribute("\(name)/ro") == "1"),
            mountPoints: mountPoints(of: name))
    }

    private static func names(_ path: String, _ file: stat, _ parts: Set<String>?) -> Bool {
        var candidates = [path]
        // A file may have another name left, and a file may be called like that.
        if path.hasSuffix(deletedMark) { candidates.append(String(path.dropLast(deletedMark.count))) }
        return candidates.contains { candidate in
            var found = stat()
            // Safety: the path and `found` live through the call.
            guard unsafe stat(candidate, &found) == 0 else { return false }
            if let parts { return found.st_mode & S_IFMT == S_IFBLK && parts.contains(text(found.st_rdev)) }
            return found.st_dev == file.st_dev && found.st_ino == file.st_ino
        }
    }

    private func attribute(_ path: String) -> String? { attribute(path, in: devices) }

    private func attribute(_ path: String, in folder: String) -> String? {
        guard let bytes = try? HostPaths.read("\(folder)/\(path)", limit: LoopDevices.longestAttribute) else {
            return nil
        }
        let line = bytes.last == UInt8(ascii: "\n") ? bytes.dropLast() : bytes[...]
        return String(decoding: line, as: UTF8.self)
    }

    /// What the device itself says; `nil` when it may not be asked, which takes the right to read it.
    private func status(of name: String) -> (device: UInt64, inode: UInt64, blockDevice: UInt64, isReadOnly: Bool)? {
        // Safety: the path lives through the call.
        let node = unsafe open("\(nodes)/\(name)", O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard node >= 0 else { return nil }
        defer { close(node) }
        var facts = stat()
        // Safety: `facts` lives through the call.
        guard unsafe fstat(node, &facts) == 0, facts.st_mode & S_IFMT == S_IFBLK,
            attribute("\(name)/dev") == LoopDevices.text(facts.st_rdev)
        else { return nil }
        var answer = [UInt8](repeating: 0, count: LoopDevices.statusByteCount)
        // Safety: LOOP_GET_STATUS64 writes one struct loop_info64, which has so many bytes.
        guard unsafe ioctl(node, LoopDevices.getStatus, &answer) == 0 else { return nil }
        // Safety: the places lie inside the struct.
        return unsafe answer.withUnsafeBytes { bytes in
            unsafe (
                bytes.loadUnaligned(fromByteOffset: 0, as: UInt64.self),
                bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self),
                // The device, when it is one; else the one that the file lies on, which then is in use as well.
                bytes.loadUnaligned(fromByteOffset: 16, as: UInt64.self),
                bytes.loadUnaligned(fromByteOffset: LoopDevices.flagsPlace, as: UInt32.self)
                    & LoopDevices.readOnlyFlag != 0
            )
        }
    }

    /// A device number as the kernel's files spell it.
    private static func text(_ device: dev_t) -> String {
        let major = device >> 8 & 0xfff | device >> 32 & ~0xfff
        let minor = device & 0xff | device >> 12 & ~0xff
        return "\(major):\(minor)"
    }

    /// Mount points of a device and its partitions: by their numbers, and by name for file systems that show a number
    /// of their own.
    private func mountPoints(of name: String) -> [String] {
        var parts = [name]
        let below = (try? HostFiles(root: devices).names(in: name)) ?? []
        parts += below.filter { $0.hasPrefix("\(name)p") && UInt32($0.dropFirst(name.count + 1)) != nil }.sorted()
        let numbers = Set(parts.compactMap { attribute($0 == name ? "\(name)/dev" : "\(name)/\($0)/dev") })
        let sources = Set(parts.map { "\(nodes)/\($0)" })
        guard let bytes = try? HostPaths.read(mounts, limit: LoopDevices.longestMountList) else { return [] }
        var points: [String] = []
        for line in bytes.split(separator: UInt8(ascii: "\n")) {
            let words = line.split(separator: UInt8(ascii: " "))
            guard words.count >= 10, let dash = words.firstIndex(of: [UInt8(ascii: "-")]), dash + 2 < words.count else {
                continue
            }
            let isIt =
                numbers.contains(String(decoding: words[2], as: UTF8.self))
                || sources.contains(LoopDevices.plain(words[dash + 2]))
            let point = LoopDevices.plain(words[4])
            if isIt, !points.contains(point) { points.append(point) }
        }
        return points
    }

    /// A word of the mount list with its octal escapes undone: `\040` is a space.
    private static func plain(_ word: ArraySlice<UInt8>) -> String {
        var result: [UInt8] = []
        var rest = word
        while let byte = rest.popFirst() {
            let digits = rest.prefix(3)
            if byte == UInt8(ascii: "\\"), digits.count == 3,
                let value = UInt8(String(decoding: digits, as: UTF8.self), radix: 8)
            {
                result.append(value)
                rest = rest.dropFirst(3)
            } else {
                result.append(byte)
            }
        }
        return String(decoding: result, as: UTF8.self)
    }
}
