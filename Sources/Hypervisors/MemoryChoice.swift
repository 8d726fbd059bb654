/// How the memory of a guest is taken at the instant of its disks.
package enum MemoryChoice: String, Hashable, Sendable, CaseIterable {
    /// While it runs where that can be done, and stopped where not.
    case auto
    /// While it runs, or not at all.
    case live
    /// It stands still until all of its memory is written.
    case stopped
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
