/// How the memory of a guest is taken at the instant of its disks.
package enum MemoryChoice: String, Hashable, Sendable, CaseIterable {
    /// While it runs where that can be done, and stopped where not.
    case auto
    /// While it runs, or not at all.
    case live
    /// It stands still until all of its memory is written.
    case stopped
}

/// Room on a disk for the memory of a guest.
package enum MemoryRoom {
    /// Bytes besides memory that a stream of QEMU may have: device state, video memory, a page table's worth of
    /// headers.
    static let deviceByteCount: UInt64 = 256 << 20

    /// Bytes that are needed; the largest number for more than any folder has room for.
    ///
    /// - Parameters:
    ///   - memory: bytes of the guest's memory, as the hypervisor says.
    ///   - devices: bytes besides.
    package static func byteCount(memory: UInt64, devices: UInt64 = deviceByteCount) -> UInt64 {
        let (sum, overflow) = memory.addingReportingOverflow(memory / 64 + devices)
        return overflow ? .max : sum
    }
}

extension CaptureRequest {
    /// Refuses live memory where a toolstack has no way to it.
    ///
    /// - Throws: ``GuestError``, `refused`.
    func refuseLiveMemory(of guest: String, by toolstack: String) throws(GuestError) {
        guard memory == .live else { return }
        throw GuestError(
            .refused,
            "\(toolstack) takes the memory of a guest that stands still only, so that of \(guest) cannot be taken "
                + "live: say --with-memory, and it stands still until its memory is written")
    }
}
