import CLinux

/// How the process's allocator behaves.
package enum HostMemory {
    /// Keeps the memory of large buffers that are done for the next one. The allocator's own way, giving it back to
    /// the kernel and asking for it again, costs a page fault and a cleared page for each 4 KiB of each pack: a third
    /// of the kernel's part of a verification.
    ///
    /// Called once, before anything large is allocated.
    package static func keepFreed() {
        // mallopt(3): no allocation by mmap; memory is given back from so much on at the top.
        _ = mallopt(Int32(MALLOC_MMAP_MAX), 0)
        _ = mallopt(Int32(MALLOC_TRIM_THRESHOLD), trimByteCount)
    }

    /// Gives back what is free now: deriving a key from a passphrase takes 64 MiB that nothing needs again.
    package static func giveBack() { _ = malloc_trim(0) }

    private static let trimByteCount: Int32 = 128 << 20
}
