/// How the memory of a guest is taken at the instant of its disks.
package enum MemoryChoice: String, Hashable, Sendable, CaseIterable {
    /// While it runs where that can be done, and stopped where not.
    case auto
    /// While it runs, or not at all.
    case live
    /// It stands still until all of its memory is written.
    case stopped
}
