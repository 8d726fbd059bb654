/// What a guest of libvirt has and uses.
package struct GuestResources: Hashable, Sendable {
    /// Whether it exists: it uses memory, and its processors may run.
    package internal(set) var isRunning: Bool
    /// Bytes of memory that it may have at most.
    package internal(set) var largestMemory: UInt64
    /// Bytes of memory that it has now, or would be started with.
    package internal(set) var memory: UInt64
    /// Virtual processors.
    package internal(set) var processorCount: Int
    /// How long they have worked since it was started, nanoseconds.
    package internal(set) var processorTime: UInt64
    /// Bytes of its disks as it sees them; disks that are left out of backups do not count.
    package internal(set) var diskBytes: UInt64 = 0
    /// Bytes that its disks take up on the host; `nil` when that of one is not known.
    package internal(set) var takenBytes: UInt64? = 0
}

extension LibvirtGuest {
    /// What it has and uses now.
    ///
    /// - Throws: ``GuestError``.
    package func resources() throws(GuestError) -> GuestResources {
        let state = try state
        var found = try ask("asking for its memory and processors") { domain throws(LibvirtFailure) in
            try domain.resources()
        }
        found.isRunning = state == .running || state == .paused
        for disk in try domainDefinition().disks where disk.omission == nil {
            // A size that nobody can tell now is none.
            let room = try? ask("asking for a disk's size") { domain throws(LibvirtFailure) in
                try domain.room(disk: disk.name)
            }
            found.diskBytes += room?.byteCount ?? 0
            found.takenBytes = room.flatMap { room in found.takenBytes.map { $0 + room.taken } }
        }
        return found
    }
}
