import Glibc

/// An appliance: a tar archive with disks and a description of the machine (OVA). Its disks are read where they lie.
///
/// A disk of it is named by a path that goes on behind the archive, `web.ova/disk1.vmdk`: no file can have that name
/// while `web.ova` is a file itself.
package struct Appliance: Sendable {
    /// Each disk is opened with a server of its own before the first is read.
    package static let mostDisks = 64

    /// Names of the members that are disks, in the order of the archive.
    package let disks: [String]
    /// What an operator should know: members that are no disks.
    package let notes: [String]

    /// Whether a path is named as an appliance and is a file.
    package static func isNamed(_ path: String) -> Bool {
        guard path.lowercased().hasSuffix(".ova") else { return false }
        var found = stat()
        // Safety: stat writes one struct; the path is a terminated copy for the call.
        return unsafe stat(path, &found) == 0 && found.st_mode & S_IFMT == S_IFREG
    }

    /// The archive and the member that a path names; `nil` when it names none.
    package static func split(_ path: String) -> (archive: String, member: String)? {
        var slash = path.startIndex
        while let next = path[slash...].dropFirst().firstIndex(of: "/") {
            slash = next
            let (archive, member) = (String(path[..<slash]), String(path[slash...].dropFirst()))
            if !member.isEmpty, isNamed(archive) { return (archive, member) }
        }
        return nil
    }

    /// Lists an appliance.
    ///
    /// - Throws: ``SourceError``: `unsupported` when a member is or could be a disk that is not read where it lies, so
    ///   that none is left out unnoticed; `notAnImage` when there is no disk; as ``TarArchive`` does.
    package init(opening path: String) throws(SourceError) {
        let file = try HostFile(opening: path)
        let archive = try TarArchive(parsing: HeaderBytes(file))
        var disks: [String] = []
        var others: [String] = []
        for member in archive.members where member.kind != .folder {
            if ImageFormat.impliedByName(member.name) != nil {
                try Appliance.requireBytes(member, file.path)
                disks.append(member.name)
            } else {
                try Appliance.requireNoDisk(member, file)
                others.append(ErrorText.printable(member.name))
            }
        }
        let shown = others.prefix(Appliance.mostShown).joined(separator: ", ")
        let list =
            others.count > Appliance.mostShown ? "\(shown) and \(others.count - Appliance.mostShown) more" : shown
        guard !disks.isEmpty else {
            throw .notAnImage(path, isA: "an appliance without a disk (\(list.isEmpty ? "it is empty" : list))")
        }
        guard disks.count <= Appliance.mostDisks else {
            throw .unsupported(
                file.path,
                "it has \(disks.count) disks, and at most \(Appliance.mostDisks) are read at once; name some: "
                    + "\(path)/\(ErrorText.printable(disks[0]))")
        }
        self.disks = disks
        notes =
            others.isEmpty
            ? []
            : ["of \(path) only the disks are stored, not \(list); --format raw stores it whole, as one file"]
    }

    private static let mostShown = 10

    /// One member as an image.
    ///
    /// - Throws: ``SourceError``, `notFound` when there is none of the name.
    static func part(_ name: String, of file: HostFile) throws(SourceError) -> ImagePart {
        let archive = try TarArchive(parsing: HeaderBytes(file))
        guard let member = archive.members.first(where: { $0.name == name && $0.kind != .folder }) else {
            let sentence = "\(file.path) has no member \(ErrorText.printable(name)); tar -tf lists what it has"
            throw SourceError(.notFound, sentence, .askOperator)
        }
        try requireBytes(member, file.path)
        return ImagePart(file, member)
    }

    private static func requireBytes(_ member: TarArchive.Member, _ path: String) throws(SourceError) {
        let kind: String
        switch member.kind {
        case .file: return
        case .sparseFile: kind = "stored sparse"
        case .link: kind = "a link"
        case .folder, .other: kind = "no file"
        }
        throw .unsupported(path, "its member \(ErrorText.printable(member.name)) is \(kind); unpack it with tar")
    }

    /// Refuses what is not named as a disk and may be one all the same.
    private static func requireNoDisk(_ member: TarArchive.Member, _ file: HostFile) throws(SourceError) {
        let name = member.name
        let shown = ErrorText.printable(name)
        if let dot = name.lastIndex(of: "."), ImageFormat.impliedByName(String(name[..<dot])) != nil {
            let ending = name[name.index(after: dot)...].lowercased()
            if ["gz", "bz2", "xz", "zst", "z"].contains(ending) || ending.allSatisfy(\.isNumber) {
                throw .unsupported(
                    file.path, "its member \(shown) is a disk that is compressed or in parts; unpack it with tar")
            }
        }
        guard member.kind == .file else { return }
        if case .container(let format) = try ContentLook(HeaderBytes(ImagePart(file, member))) {
            throw .unsupported(
                file.path,
                "its member \(shown) looks like a \(format.name) image and is not named like one; name each "
                    + "disk that is meant: --disk NAME=\(file.path)/MEMBER --format \(format.name)")
        }
    }
}
