import Glibc

/// Gives complete files their names.
package enum FileNaming {
    /// Gives a file, whose bytes are durable, its final name, durably.
    ///
    /// - Parameter replaces: whether a file of that name goes.
    /// - Throws: ``FileError``; number `EEXIST` when the name is taken and nothing is replaced.
    package static func publish(_ partial: String, as path: String, replaces: Bool) throws(FileError) {
        // Safety: the paths live through each call here.
        if replaces {
            guard unsafe rename(partial, path) == 0 else { throw HostFiles.failure(errno, "cannot name", path) }
        } else {
            // renameat2 with RENAME_NOREPLACE is not on every file system; a link that refuses an existing name is.
            guard unsafe link(partial, path) == 0 else { throw HostFiles.failure(errno, "cannot name", path) }
            guard unsafe unlink(partial) == 0 else { throw HostFiles.failure(errno, "cannot remove", partial) }
        }
        try syncFolder(of: path)
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

    private static func syncFolder(of path: String) throws(FileError) {
        let slash = path.lastIndex(of: "/")
        let folder = slash.map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
        let directory = unsafe open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard directory >= 0 else { throw HostFiles.failure(errno, "cannot open the folder", folder) }
        defer { close(directory) }
        guard fsync(directory) == 0 else { throw HostFiles.failure(errno, "cannot make durable the folder", folder) }
    }
}
