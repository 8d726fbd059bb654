import Glibc

/// Gives complete files their names.
package enum FileNaming {
    /// Gives a file, whose bytes are durable, its final name, durably.
    ///
    /// - Parameter replaces: whether a file of that name goes.
    /// - Throws: ``FileError``; number `EEXIST` when the name is taken and nothing is replaced.
    package static func publish(
        _ partial: String, as path: String, replaces: Bool, calls: any DiskCalls = HostDiskCalls()
    ) throws(FileError) {
        if replaces {
            _ = try calls.tried("cannot name", path) { $0.rename(partial, to: path) }
        } else {
            // renameat2 with RENAME_NOREPLACE is not on every file system; a link that refuses an existing name is.
            _ = try calls.tried("cannot name", path) { $0.link(partial, to: path) }
            _ = try calls.tried("cannot remove", partial) { $0.unlink(partial) }
        }
        try syncFolder(of: path, calls)
    }

    /// Makes the bytes of a file durable.
    ///
    /// - Throws: ``FileError``.
    package static func sync(_ path: String) throws(FileError) {
        // Safety: the path lives through the call.
        let file = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { throw HostFiles.failure(errno, "cannot open", path) }
        defer { close(file) }
        guard fsync(file) == 0 else { throw HostFiles.failure(errno, "cannot make durable", path) }
    }

    /// Removes a file; one that is not there is no error.
    ///
    /// - Throws: ``FileError``.
    package static func remove(_ path: String) throws(FileError) {
        // Safety: the path lives through the call.
        guard unsafe unlink(path) != 0, errno != ENOENT else { return }
        throw HostFiles.failure(errno, "cannot remove", path)
    }

    private static func syncFolder(of path: String, _ calls: any DiskCalls) throws(FileError) {
        let slash = path.lastIndex(of: "/")
        let folder = slash.map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
        let directory = CInt(
            try calls.tried("cannot open the folder", folder) {
                $0.open(folder, flags: O_RDONLY | O_DIRECTORY | O_CLOEXEC)
            })
        defer { close(directory) }
        _ = try calls.tried("cannot make durable the folder", folder) { $0.sync(directory) }
    }
}
