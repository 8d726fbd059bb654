/// A disk of the command line: a name, and where to read it from.
package struct DiskArgument: Equatable {
    /// What the disk is called.
    package let name: String
    /// A file, a device, or `-` for standard input.
    package let path: String

    /// Names bare images after their files, without the ending.
    ///
    /// - Throws: ``CommandFailure``, `usage`, for no disk, one name twice, or standard input twice.
    package static func parse(images: [String], disks: [String]) throws -> [DiskArgument] {
        var found: [DiskArgument] = []
        for text in disks {
            guard let sign = text.firstIndex(of: "="), sign != text.startIndex, text.index(after: sign) != text.endIndex
            else { throw CommandFailure(.usage, "--disk wants NAME=IMAGE, not \(Console.printable(text))") }
            found.append(
                DiskArgument(name: String(text[..<sign]), path: String(text[text.index(after: sign)...])))
        }
        for path in images { found.append(DiskArgument(name: defaultName(path), path: path)) }
        guard !found.isEmpty else {
            throw CommandFailure(.usage, "which image? give one or more, or - for standard input")
        }
        var names = Set<String>()
        for disk in found {
            guard disk.name.utf8.count <= 255 else {
                throw CommandFailure(.usage, "a disk's name has at most 255 bytes")
            }
            guard names.insert(disk.name).inserted else {
                throw CommandFailure(
                    .usage, "two disks are called \(Console.printable(disk.name)); name them with --disk NAME=IMAGE")
            }
        }
        guard found.count(where: { $0.path == "-" }) <= 1 else {
            throw CommandFailure(.usage, "standard input can be read once only")
        }
        return found
    }

    private static func defaultName(_ path: String) -> String {
        guard path != "-" else { return "disk" }
        let file = path.split(separator: "/").last.map(String.init) ?? path
        guard let dot = file.lastIndex(of: "."), dot != file.startIndex else { return file }
        return String(file[..<dot])
    }
}
