import CLinux
import Glibc

/// A file of Dozo's own state folder, mapped for reading. Its pages belong to the page cache: the kernel takes them
/// back when memory is short.
// Safety: the mapping is read-only, made once and removed once, and the descriptor is closed at once.
@safe package final class MappedFile: @unchecked Sendable {
    /// The file's bytes, as long as this object lives. Read-only; whoever truncates the file while it is mapped kills
    /// the process, which is why only files that this program makes and renames into place are mapped.
    package let bytes: UnsafeRawBufferPointer

    /// Maps a whole file; `nil` when there is none, or when it is empty or cannot be mapped: what is mapped can always
    /// be done without.
    package init?(_ path: String) {
        // Safety: the path lives through the call.
        let file = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
        guard file >= 0 else { return nil }
        defer { close(file) }
        var facts = stat()
        guard unsafe fstat(file, &facts) == 0, facts.st_mode & S_IFMT == S_IFREG, facts.st_size > 0 else { return nil }
        let size = Int(facts.st_size)
        guard let start = unsafe mmap(nil, size, PROT_READ, MAP_SHARED, file, 0), unsafe start != MAP_FAILED else {
            return nil
        }
        // Look-ups go everywhere: reading ahead would only push other pages out.
        _ = unsafe madvise(start, size, Int32(MADV_RANDOM))
        unsafe bytes = UnsafeRawBufferPointer(start: start, count: size)
    }

    /// Asks the processor for the cache line at an address, which will be looked at soon: several that lie far apart
    /// then come at once.
    package static func expect(_ address: UnsafeRawPointer) {
        // Safety: a hint only, of no consequence at any address.
        unsafe memory_expect(address)
    }

    deinit {
        // Safety: made by mmap above, with this size.
        unsafe munmap(UnsafeMutableRawPointer(mutating: bytes.baseAddress), bytes.count)
    }
}
