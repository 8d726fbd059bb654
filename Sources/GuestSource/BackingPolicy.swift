/// Which other files an image may name. A header can be forged by a guest's owner or whoever delivered the image: one
/// that names /etc/shadow as backing file would carry it into the backup.
package enum BackingPolicy: Equatable, Sendable {
    /// Only files in the image's own folder or below it, symbolic links resolved.
    case ownFolder
    /// Also files in these folders (absolute) or below them.
    case folders([String])
    /// Any file this program may read; the operator vouches for the image.
    case anywhere
}

/// Resolves the names an image gives, and refuses those the policy does not admit.
struct ReferenceGate {
    private let policy: BackingPolicy
    private let folders: [String]

    /// - Parameter top: the image the operator named; its folder, by name and behind links, is its own folder. A member
    ///   of an archive has none: whatever it names is refused.
    init(_ policy: BackingPolicy, top: ImagePart) throws(SourceError) {
        self.policy = policy
        var folders = [
            ReferenceGate.folder(of: top.file.path), try HostFile.resolve(ReferenceGate.folder(of: top.file.name)),
        ]
        if case .folders(let more) = policy {
            for folder in more { folders.append(try HostFile.resolve(folder)) }
        }
        self.folders = folders
    }

    /// Opens the file that `owner` names `name`, relative to the owner's folder as QEMU has it.
    func open(_ name: String, namedBy owner: ImagePart) throws(SourceError) -> HostFile {
        let shown = ErrorText.printable(name)
        guard !owner.isMember else {
            throw .referenceRefused(
                owner.path, names: shown,
                because: "a member of an archive is read alone; unpack the archive with tar and back up its files")
        }
        guard let plain = ReferenceGate.withoutProtocol(name) else {
            throw .referenceRefused(
                owner.path, names: shown,
                because: "only plain files are followed; flatten the image with qemu-img convert")
        }
        let path = plain.hasPrefix("/") ? plain : ReferenceGate.folder(of: owner.file.name) + "/" + plain
        let resolved: String
        do throws(SourceError) {
            resolved = try HostFile.resolve(path)
        } catch {
            // Outside the admitted folders not even its absence is told.
            guard policy == .anywhere || folders.contains(where: { ReferenceGate.holds($0, path) }) else {
                throw .referenceRefused(owner.path, names: shown, because: outside)
            }
            throw SourceError(
                error.code, "\(owner.path) stands on another file. \(error.sentence)", error.remedy, cause: error.cause)
        }
        guard policy == .anywhere || folders.contains(where: { ReferenceGate.holds($0, resolved) }) else {
            throw .referenceRefused(owner.path, names: shown, because: outside)
        }
        return try HostFile(opening: path, use: owner.file.use == .ignored ? .ignored : .checked)
    }

    private var outside: String {
        "it lies outside the image's own folder; if the image can be trusted, allow its backing files"
    }

    /// The plain file name; `nil` for `json:`, `nbd://` and everything else QEMU would take for a protocol.
    private static func withoutProtocol(_ name: String) -> String? {
        let name = name.hasPrefix("file:") ? String(name.dropFirst(5)) : name
        guard !name.isEmpty, !name.hasPrefix("//") else { return nil }
        let mark = name.utf8.first { $0 == UInt8(ascii: ":") || $0 == UInt8(ascii: "/") }
        return mark == UInt8(ascii: ":") ? nil : name
    }

    private static func folder(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/"), slash != path.startIndex else { return "/" }
        return String(path[..<slash])
    }

    /// Whether the absolute `path` lies in `folder` or below; the root folder holds only its direct children.
    private static func holds(_ folder: String, _ path: String) -> Bool {
        if folder == "/" { return !path.dropFirst().utf8.contains(UInt8(ascii: "/")) }
        return path.utf8.starts(with: (folder + "/").utf8) && !path.split(separator: "/").contains("..")
    }
}
