import Glibc

/// Small questions about the host that commands ask.
package enum HostPaths {
    /// Makes a folder and all above it, private to the user.
    ///
    /// - Throws: ``FileError``.
    package static func makeFolders(_ path: String) throws(FileError) {
        var position = path.startIndex
        while position < path.endIndex {
            let next = path[path.index(after: position)...].firstIndex(of: "/") ?? path.endIndex
            let part = String(path[..<next])
            // Safety: the path lives through the call.
            if unsafe mkdir(part, mode_t(0o700)) != 0, errno != EEXIST {
                throw HostFiles.failure(errno, "cannot make the folder", part)
            }
            position = next
        }
    }

    /// Lets everybody pass through a folder of ours, without seeing what is in it.
    ///
    /// - Throws: ``FileError``.
    package static func letPass(_ path: String) throws(FileError) {
        // Safety: the path lives through the call.
        guard unsafe chmod(path, mode_t(0o711)) == 0 else { throw HostFiles.failure(errno, "cannot open up", path) }
    }

    /// What tells a file from another one that is put in its place: device and number, for one that nobody writes also
    /// size and time of change. `nil` when it cannot be looked at.
    package static func mark(_ path: String, isWritten: Bool) -> String? {
        var status = stat()
        // Safety: the path and the structure live through the call.
        guard unsafe stat(path, &status) == 0 else { return nil }
        let file = "\(status.st_dev):\(status.st_ino)"
        guard !isWritten else { return file }
        return "\(file):\(status.st_size):\(status.st_mtim.tv_sec):\(status.st_mtim.tv_nsec)"
    }

    /// Takes the name of a socket away, if it has one.
    package static func removeSocket(_ path: String) {
        // Safety: the path lives through the call.
        unsafe unlink(path)
    }

    /// Puts a small file in the place of another, so that whoever reads gets the one or the other; not durable.
    ///
    /// - Throws: ``FileError``.
    package static func replace(_ path: String, _ bytes: [UInt8]) throws(FileError) {
        let aside = path + ".new"
        // Safety: the paths live through the calls.
        unsafe unlink(aside)
        try writeNew(aside, bytes)
        guard unsafe rename(aside, path) == 0 else { throw HostFiles.failure(errno, "cannot replace", path) }
    }

    /// Appends to a private file in one write, making it if need be, and makes it durable.
    ///
    /// - Throws: ``FileError``.
    package static func append(_ path: String, _ bytes: [UInt8]) throws(FileError) {
        // Safety: the path and the bytes live through the calls.
        let file = unsafe open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, mode_t(0o600))
        guard file >= 0 else { throw HostFiles.failure(errno, "cannot open", path) }
        defer { close(file) }
        let count = unsafe write(file, bytes, bytes.count)
        guard count == bytes.count, fdatasync(file) == 0 else {
            throw HostFiles.failure(count < 0 || count == bytes.count ? errno : ENOSPC, "cannot append to", path)
        }
    }

    /// Removes a folder that holds nothing.
    ///
    /// - Throws: ``FileError``.
    package static func removeEmptyFolder(_ path: String) throws(FileError) {
        // Safety: the path lives through the call.
        guard unsafe rmdir(path) == 0 else { throw HostFiles.failure(errno, "cannot remove the folder", path) }
    }

    /// Where this user's configuration lies (`XDG_CONFIG_HOME`); `nil` when nobody says.
    package static var configurationFolder: String? {
        func absolute(_ name: String) -> String? {
            // Safety: the name is terminated; the value belongs to the process and is copied.
            let value = unsafe getenv(name).map { unsafe String(cString: $0) }
            return value.flatMap { $0.hasPrefix("/") ? $0 : nil }
        }
        return absolute("XDG_CONFIG_HOME") ?? absolute("HOME").map { "\($0)/.config" }
    }

    /// The path without symbolic links; as it is when nothing is there.
    package static func resolved(_ path: String) -> String {
        // Safety: realpath returns a terminated string from malloc, copied and freed here.
        guard let found = unsafe realpath(path, nil) else { return path }
        defer { unsafe free(found) }
        return unsafe String(cString: found)
    }

    /// Whether a regular file is at the path that others than its owner may read or write.
    package static func isOpenToOthers(_ path: String) -> Bool {
        var facts = stat()
        // Safety: `facts` lives through the call.
        return unsafe stat(path, &facts) == 0 && facts.st_mode & S_IFMT == S_IFREG && facts.st_mode & 0o077 != 0
    }

    /// Whether others than root and whoever asks may change a file, or put another in its place: by its owner, its
    /// mode, or those of its folder. False when nothing is there.
    package static func isChangeableByOthers(_ path: String) -> Bool {
        let real = resolved(path)
        let folder = real.split(separator: "/").dropLast().joined(separator: "/")
        return [real, "/" + folder].contains { place in
            var facts = stat()
            // Safety: `facts` lives through the call.
            guard unsafe stat(place, &facts) == 0 else { return false }
            let isForeign = facts.st_uid != 0 && facts.st_uid != geteuid()
            // In a folder with the sticky bit nobody replaces what is another's.
            let isSticky = facts.st_mode & S_IFMT == S_IFDIR && facts.st_mode & S_ISVTX != 0
            return isForeign || (facts.st_mode & 0o022 != 0 && !isSticky)
        }
    }

    /// Whether a block device is at the path.
    package static func isBlockDevice(_ path: String) -> Bool {
        var facts = stat()
        // Safety: `facts` lives through the call.
        return unsafe stat(path, &facts) == 0 && facts.st_mode & S_IFMT == S_IFBLK
    }

    /// Bytes that may still be written on the file system of a path; `nil` when it does not tell.
    package static func freeBytes(_ path: String) -> UInt64? {
        var facts = statvfs()
        // Safety: the path and the facts live through the call.
        guard unsafe statvfs(path, &facts) == 0 else { return nil }
        return UInt64(facts.f_bavail) * UInt64(facts.f_frsize)
    }

    /// Whether a file is at the path, and no pipe, device or folder.
    package static func isRegularFile(_ path: String) -> Bool {
        var status = stat()
        // Safety: the structure and the path live through the call.
        return unsafe stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
    }

    /// Whether the path is a folder.
    package static func isFolder(_ path: String) -> Bool {
        var facts = stat()
        // Safety: `facts` lives through the call.
        return unsafe stat(path, &facts) == 0 && facts.st_mode & S_IFMT == S_IFDIR
    }

    /// Why ``isFolder(_:)`` says no of a path, in words for people: that nothing is there, that it is something else,
    /// or that this process may not look.
    package static func whyNoFolder(_ path: String) -> String {
        var facts = stat()
        // Safety: `facts` lives through the call.
        guard unsafe stat(path, &facts) != 0 else { return "\(path) is not a folder" }
        let number = errno
        return [ENOENT, ENOTDIR].contains(number)
            ? "there is no folder \(path)" : HostFiles.failure(number, "cannot look at", path).sentence
    }

    /// Whether anything is at the path.
    package static func exists(_ path: String) -> Bool {
        var facts = stat()
        return unsafe lstat(path, &facts) == 0
    }

    /// The path as an absolute one, links left as they are.
    package static func absolute(_ path: String) -> String {
        if path.hasPrefix("/") { return path }
        // Safety: with no buffer the call allocates one, which is freed here.
        guard let folder = unsafe getcwd(nil, 0) else { return path }
        defer { unsafe free(folder) }
        return unsafe String(cString: folder) + "/" + path
    }

    /// Name of this host.
    package static var hostName: String {
        var name = [CChar](repeating: 0, count: 256)
        // Safety: one byte is left for the end.
        guard unsafe gethostname(&name, 255) == 0 else { return "localhost" }
        return String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// Processors this process may use.
    package static var processorCount: Int { Swift.max(1, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN)))) }

    /// Whether the process belongs to root.
    package static var isRoot: Bool { geteuid() == 0 }

    /// The first bytes of a file, fewer when it is shorter; `nil` when it cannot be read.
    package static func beginning(_ path: String, count: Int) -> [UInt8]? {
        // Safety: the path lives through the call, and the array is as long as what is asked for.
        let file = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard file >= 0 else { return nil }
        defer { close(file) }
        var bytes = [UInt8](repeating: 0, count: count)
        let filled = unsafe pread(file, &bytes, count, 0)
        return filled < 0 ? nil : Array(bytes.prefix(filled))
    }

    /// Reads a small file whole.
    ///
    /// - Parameter limit: more bytes than this are refused.
    /// - Throws: ``FileError``.
    package static func read(_ path: String, limit: Int) throws(FileError) -> [UInt8] {
        // Safety: the path lives through the call.
        let file = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { throw HostFiles.failure(errno, "cannot read", path) }
        defer { close(file) }
        return try read(file, path, limit: limit)
    }

    /// Reads a small file whole that holds a secret: a regular file of this user or of root which nobody else may read
    /// or write.
    ///
    /// - Parameter limit: more bytes than this are refused.
    /// - Throws: ``FileError``.
    package static func readSecret(_ path: String, limit: Int) throws(FileError) -> [UInt8] {
        // Not held up by a pipe that lies there.
        // Safety: the path lives through the call.
        let file = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard file >= 0 else { throw HostFiles.failure(errno, "cannot read", path) }
        defer { close(file) }
        var facts = stat()
        // Safety: fstat writes one struct.
        guard unsafe fstat(file, &facts) == 0 else { throw HostFiles.failure(errno, "cannot look at", path) }
        guard facts.st_mode & S_IFMT == S_IFREG else {
            throw FileError(number: EINVAL, sentence: "\(path) is not a regular file", remedy: .inspect)
        }
        guard facts.st_mode & 0o077 == 0, facts.st_uid == geteuid() || facts.st_uid == 0 else {
            throw FileError(
                number: EACCES,
                sentence: "\(path) holds a secret and others than its owner may read or write it, or "
                    + "it is another user's: make it this user's and chmod 600 it", remedy: .permit)
        }
        return try read(file, path, limit: limit)
    }

    private static func read(_ file: Int32, _ path: String, limit: Int) throws(FileError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: limit + 1)
        var filled = 0
        while filled < bytes.count {
            let count = unsafe bytes.withUnsafeMutableBytes { buffer in
                // Safety: `filled` is below the count.
                unsafe Glibc.read(file, buffer.baseAddress.map { unsafe $0 + filled }, buffer.count - filled)
            }
            if count < 0 && errno == EINTR { continue }
            guard count >= 0 else { throw HostFiles.failure(errno, "cannot read", path) }
            if count == 0 { break }
            filled += count
        }
        guard filled <= limit else {
            throw FileError(number: EFBIG, sentence: "\(path) is larger than \(limit) bytes", remedy: .inspect)
        }
        bytes.removeLast(bytes.count - filled)
        return bytes
    }

    /// Writes a small new file, private to the user; one that exists is not touched.
    ///
    /// - Throws: ``FileError``.
    package static func writeNew(_ path: String, _ bytes: [UInt8]) throws(FileError) {
        let (files, name) = place(of: path)
        try files.writeNew(name, bytes)
        try files.syncFile(name)
        try files.syncFolder("")
    }

    /// Makes a new file and takes it away again, before something that cannot be taken back needs one there.
    ///
    /// - Throws: ``FileError`` when it cannot be made, or is there.
    package static func requireRoomForNew(_ path: String) throws(FileError) {
        let (files, name) = place(of: path)
        try files.writeNew(name, [])
        try files.remove(name)
    }

    /// The folder of a path, and the name in it.
    private static func place(of path: String) -> (files: HostFiles, name: String) {
        let absolute = absolute(path)
        let slash = absolute.lastIndex(of: "/") ?? absolute.startIndex
        let files = HostFiles(root: slash == absolute.startIndex ? "/" : String(absolute[..<slash]))
        return (files, String(absolute[absolute.index(after: slash)...]))
    }
}
