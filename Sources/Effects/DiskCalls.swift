import CLinux
import Glibc

/// The system calls that writing a disk is made of, so that a test can let any of them go wrong. Each answers as the
/// kernel does: a count, or a negative error number.
package protocol DiskCalls: Sendable {
    /// Opens a file; a new one is its owner's alone. - Returns: the descriptor.
    func open(_ path: String, flags: Int32) -> Int
    /// Reads at most the buffer's bytes.
    func read(_ descriptor: Int32, into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) -> Int
    /// Writes at most these bytes.
    func write(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer, at offset: UInt64) -> Int
    /// Gives a file another size.
    func resize(_ descriptor: Int32, to byteCount: UInt64) -> Int
    /// Makes a hole in a file.
    func punch(_ descriptor: Int32, at offset: UInt64, count: UInt64) -> Int
    /// Makes a file or folder durable.
    func sync(_ descriptor: Int32) -> Int
    /// Lets the page cache forget what it holds of a file and has written.
    func forget(_ descriptor: Int32) -> Int
    /// Gives a file a second name that must be free.
    func link(_ path: String, to new: String) -> Int
    /// Gives a file another name, in place of whatever has it.
    func rename(_ path: String, to new: String) -> Int
    /// Removes a name.
    func unlink(_ path: String) -> Int
}

/// The kernel's own.
package struct HostDiskCalls: DiskCalls {
    private static let punchHole: CInt = 0x02 | 0x01

    /// The kernel's own.
    package init() {}

    private func answer(_ result: Int) -> Int { result < 0 ? -Int(errno) : result }

    // Safety: every pointer and path below lives through its call, and counts are those of the buffers.
    package func open(_ path: String, flags: Int32) -> Int {
        unsafe answer(Int(Glibc.open(path, flags, mode_t(0o600))))
    }

    package func read(_ descriptor: Int32, into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) -> Int {
        unsafe answer(pread(descriptor, buffer.baseAddress, buffer.count, off_t(offset)))
    }

    package func write(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer, at offset: UInt64) -> Int {
        unsafe answer(pwrite(descriptor, bytes.baseAddress, bytes.count, off_t(offset)))
    }

    package func resize(_ descriptor: Int32, to byteCount: UInt64) -> Int {
        guard let size = off_t(exactly: byteCount) else { return -Int(EFBIG) }
        return answer(Int(ftruncate(descriptor, size)))
    }

    package func punch(_ descriptor: Int32, at offset: UInt64, count: UInt64) -> Int {
        answer(Int(fallocate(descriptor, HostDiskCalls.punchHole, off_t(offset), off_t(count))))
    }

    package func sync(_ descriptor: Int32) -> Int { answer(Int(fsync(descriptor))) }

    package func forget(_ descriptor: Int32) -> Int { -Int(posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED)) }

    // Safety: as above, here and below.
    package func link(_ path: String, to new: String) -> Int { unsafe answer(Int(Glibc.link(path, new))) }

    package func rename(_ path: String, to new: String) -> Int { unsafe answer(Int(Glibc.rename(path, new))) }

    package func unlink(_ path: String) -> Int { unsafe answer(Int(Glibc.unlink(path))) }
}

extension DiskCalls {
    /// Makes a call again as long as a signal interrupts it.
    ///
    /// - Throws: ``FileError``.
    func tried(_ verb: String, _ path: String, _ body: (Self) -> Int) throws(FileError) -> Int {
        while true {
            let result = body(self)
            if result >= 0 { return result }
            if result != -Int(EINTR) { throw HostFiles.failure(Int32(-result), verb, path) }
        }
    }
}
