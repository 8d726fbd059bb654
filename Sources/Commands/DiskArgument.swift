import BackupModel

/// A disk of the command line: a name, and where to read it from.
package struct DiskArgument: Equatable {
    /// What the disk is called.
    package let name: String
    /// A file, a device, a member of an appliance, or `-` for standard input.
    package let path: String

    /// Names bare images after their files, without the ending; an appliance stands for all its disks, each named after
    /// its member.
    ///
    /// - Parameter members: the disks of the appliance at a path, by the names of its members; `nil` for a path that
    ///   is an image itself. Called at most once for each argument.
    /// - Throws: ``CommandFailure``, `usage`, for no disk, one name twice, standard input twice, or one name for
    ///   several disks of an appliance; what `members` throws.
    package static func parse(
        images: [String], disks: [String], members: (_ path: String) throws -> [String]? = { _ in nil }
    ) throws -> [DiskArgument] {
        var found: [DiskArgument] = []
        for text in disks {
            guard let sign = text.firstIndex(of: "="), sign != text.startIndex, text.index(after: sign) != text.endIndex
            else { throw CommandFailure(.usage, "--disk wants NAME=IMAGE, not \(Console.printable(text))") }
            let path = String(text[text.index(after: sign)...])
            let name = String(text[..<sign])
            found.append(DiskArgument(name: name, path: try onlyDisk(of: path, members(path))))
        }
        for path in images {
            if let members = try members(path) {
                found += members.map { DiskArgument(name: defaultName($0), path: "\(path)/\($0)") }
            } else {
                found.append(DiskArgument(name: defaultName(path), path: path))
            }
        }
        guard !found.isEmpty else {
            throw CommandFailure(.usage, "which image? give one or more, or - for standard input")
        }
        try requireNames(found)
        guard found.count(where: { $0.path == "-" }) <= 1 else {
            throw CommandFailure(.usage, "standard input can be read once only")
        }
        return found
    }

    private static func requireNames(_ found: [DiskArgument]) throws {
        var names = Set<String>()
        for disk in found {
            guard disk.name.utf8.count <= 255 else {
                throw CommandFailure(.usage, "a disk's name has at most 255 bytes; name it with --disk NAME=IMAGE")
            }
            // Arguments were looked at before; this is about what stands in an appliance.
            guard NameCheck.isFit(disk.name), NameCheck.isFit(disk.path) else {
                throw CommandFailure(
                    .usage,
                    "\(Console.printable(disk.path)) has a name that is blank, not UTF-8, or has control characters; "
                        + "unpack it")
            }
            guard names.insert(disk.name).inserted else {
                throw CommandFailure(
                    .usage, "two disks are called \(Console.printable(disk.name)); name them with --disk NAME=IMAGE")
            }
        }
    }

    /// A name is for one disk.
    private static func onlyDisk(of path: String, _ members: [String]?) throws -> String {
        guard let members else { return path }
        guard members.count == 1 else {
            throw CommandFailure(
                .usage,
                "\(Console.printable(path)) has \(members.count) disks; give it without a name, or name each: --disk "
                    + "NAME=\(Console.printable("\(path)/\(members.first ?? "MEMBER")"))")
        }
        return "\(path)/\(members[0])"
    }

    private static func defaultName(_ path: String) -> String {
        guard path != "-" else { return "disk" }
        let file = path.split(separator: "/").last.map(String.init) ?? path
        guard let dot = file.lastIndex(of: "."), dot != file.startIndex else { return file }
        return String(file[..<dot])
    }
}
