import Glibc

/// A file that is only ever appended to and may be lost at any time: what it says saves work and decides nothing.
///
/// Readable by its owner alone. Nothing is made durable.
package final class HintFile: Sendable {
    private let descriptor: CInt
    private let path: String

    /// Opens the file, makes it when it is not there, and makes the folder that it lies in.
    ///
    /// - Throws: ``FileError``, also when something else than a regular file lies there.
    package init(folder: String, name: String) throws(FileError) {
        path = "\(folder)/\(name)"
        // Safety: the paths live through the calls.
        if unsafe mkdir(folder, mode_t(0o700)) != 0, errno != EEXIST {
            throw HostFiles.failure(errno, "cannot make the folder", folder)
        }
        descriptor = unsafe open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, mode_t(0o600))
        guard descriptor >= 0 else { throw HostFiles.failure(errno, "cannot open", path) }
        var found = stat()
        // Safety: fstat writes one struct.
        guard unsafe fstat(descriptor, &found) == 0, found.st_mode & S_IFMT == S_IFREG else {
            close(descriptor)
            throw HostFiles.failure(EINVAL, "cannot use", path)
        }
    }

    deinit { close(descriptor) }

    /// At most `count` bytes from `offset` on; fewer at the end of the file.
    ///
    /// - Throws: ``FileError``.
    package func read(at offset: UInt64, count: Int) throws(FileError) -> [UInt8] {
        var failure: CInt?
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            while filled < count {
                // Safety: `filled` is below the capacity.
                let got = unsafe pread(
                    descriptor, buffer.baseAddress.map { unsafe $0 + filled }, count - filled,
                    off_t(clamping: offset) + off_t(filled))
                if got == 0 { return }
                if got > 0 {
                    filled += got
                } else if errno != EINTR {
                    failure = errno
                    return
                }
            }
        }
        if let failure { throw HostFiles.failure(failure, "cannot read", path) }
        return bytes
    }

    /// Writes all of `bytes` behind what is there.
    ///
    /// - Throws: ``FileError``; a part may then be there.
    package func append(_ bytes: [UInt8]) throws(FileError) {
        var done = 0
        while done < bytes.count {
            let count = unsafe bytes.withUnsafeBytes { buffer in
                // Safety: `done` is below the buffer's count.
                unsafe write(descriptor, buffer.baseAddress.map { unsafe $0 + done }, buffer.count - done)
            }
            if count > 0 {
                done += count
            } else if errno != EINTR {
                throw HostFiles.failure(errno, "cannot write", path)
            }
        }
    }

    /// Cuts the file off behind its first `byteCount` bytes.
    ///
    /// - Throws: ``FileError``.
    package func truncate(to byteCount: UInt64) throws(FileError) {
        guard ftruncate(descriptor, off_t(clamping: byteCount)) == 0 else {
            throw HostFiles.failure(errno, "cannot cut", path)
        }
    }
}
