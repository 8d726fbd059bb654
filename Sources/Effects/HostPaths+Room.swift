import Glibc

extension HostPaths {
    /// Bytes in use on the file system of a path and bytes that may still be written there by whoever asks; `nil` when
    /// it does not tell. What is set aside for root is neither.
    package static func room(_ path: String) -> (used: UInt64, free: UInt64)? {
        var facts = statvfs()
        // Safety: the path and the facts live through the call.
        guard unsafe statvfs(path, &facts) == 0 else { return nil }
        let size = UInt64(facts.f_frsize)
        return (
            (UInt64(facts.f_blocks) - min(UInt64(facts.f_blocks), UInt64(facts.f_bfree))) * size,
            UInt64(facts.f_bavail) * size
        )
    }

    /// Bytes of all regular files below a folder; links are not followed, and what goes meanwhile does not count.
    ///
    /// - Throws: ``FileError`` for a folder that cannot be listed.
    package static func byteCount(below path: String) throws(FileError) -> UInt64 {
        var sum: UInt64 = 0
        var folders = [path]
        while let folder = folders.popLast() {
            // Safety: the stream is closed below and used by nobody else; an entry is copied before the next call.
            guard let stream = unsafe opendir(folder) else {
                let number = errno
                if number == ENOENT, folder != path { continue }
                throw HostFiles.failure(number, "cannot list", folder)
            }
            defer { unsafe closedir(stream) }
            while let entry = unsafe readdir(stream) {
                let name = unsafe withUnsafeBytes(of: entry.pointee.d_name) { bytes in
                    unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
                }
                guard name != ".", name != ".." else { continue }
                var facts = stat()
                // Safety: the path and the facts live through the call.
                guard unsafe lstat("\(folder)/\(name)", &facts) == 0 else { continue }
                switch facts.st_mode & S_IFMT {
                case S_IFREG: sum += UInt64(facts.st_size)
                case S_IFDIR: folders.append("\(folder)/\(name)")
                default: break
                }
            }
        }
        return sum
    }
}
