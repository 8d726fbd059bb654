import Effects

/// An instant of a guest of libvirt, in nanoseconds.
struct LibvirtInstant {
    /// Since 1970, UTC.
    let taken: UInt64
    /// The most that ``taken`` may lie off.
    let uncertainty: UInt64
    /// How long the guest stood still for it.
    let pause: UInt64
}

/// The memory and device state of a guest of libvirt that stands still, as a file of `virsh save`.
///
/// It is a snapshot of memory alone of which libvirt remembers nothing, so that the guest is still there afterwards,
/// and no disk is touched (`docs/design/0009-memory-of-stopped-guests.md`).
enum LibvirtMemory {
    /// Makes sure of the room before anything begins.
    ///
    /// - Throws: ``GuestError``, `scratch`.
    static func requireRoom(
        for domain: DomainDefinition, _ guest: LibvirtGuest, in folder: String
    ) throws(GuestError) {
        guard let free = HostPaths.freeBytes(folder) else { return }
        let memory = max(domain.memory ?? 0, domain.currentMemory ?? 0)
        let (needed, overflow) = MemoryRoom.byteCount(memory: memory).addingReportingOverflow(guest.host.scratchReserve)
        guard overflow || free < needed else { return }
        throw GuestError(
            .scratch,
            "\(folder) has \(free >> 20) MiB left, and the memory of the guest \(guest.name) needs "
                + "\(needed >> 20): as much as it is large, \(MemoryRoom.deviceByteCount >> 20) MiB for its devices, "
                + "and \(guest.host.scratchReserve >> 20) for what it overwrites; give another folder with --scratch")
    }

    /// Writes it, with the guest stopped; returns when it is complete. When the task is cancelled, libvirt is told to
    /// stop writing.
    ///
    /// - Parameter disks: names of all disks of the guest.
    /// - Throws: ``GuestError``.
    static func write(_ disks: [String], of guest: LibvirtGuest, to file: String) async throws {
        let document = BackupDocuments.memory(disks, file: file)
        try await withTaskCancellationHandler {
            try Task.checkCancellation()
            try guest.ask("writing its memory") { domain throws(LibvirtFailure) in
                try domain.takeSnapshot(document)
            }
        } onCancel: {
            _ = try? guest.ask("ending a job") { domain throws(LibvirtFailure) in try domain.abortJob() }
        }
    }
}

extension LibvirtGuest {
    /// Milliseconds between two tries to let it go on, and how many there are.
    private static let goOnPause = 100
    private static let goOnTries = 50

    /// Lets it go on after it was stopped for an instant; harmless when it runs.
    ///
    /// - Parameter endsJobs: what a killed run left half done is ended first: libvirt lets nobody go on while memory is
    ///   written.
    /// - Throws: ``GuestError``.
    func goOn(endsJobs: Bool = false) throws(GuestError) {
        if endsJobs { endJobs() }
        for number in 1...LibvirtGuest.goOnTries {
            guard try state == .paused else { return }
            do throws(GuestError) {
                return try ask("letting it go on") { domain throws(LibvirtFailure) in try domain.resume() }
            } catch { if number == LibvirtGuest.goOnTries { throw error } }
            ThreadPause.take(milliseconds: LibvirtGuest.goOnPause)
        }
    }

    private func endJobs() {
        for _ in 0..<LibvirtGuest.goOnTries {
            let isBusy = try? ask("asking for its job") { domain throws(LibvirtFailure) in try domain.hasJob() }
            guard isBusy ?? false else { return }
            try? ask("ending a job") { domain throws(LibvirtFailure) in try domain.abortJob() }
            ThreadPause.take(milliseconds: LibvirtGuest.goOnPause)
        }
    }
}
