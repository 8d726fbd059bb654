import Effects

/// Stops a guest of Xen and lets it go on.
///
/// Xen counts pauses: a guest goes on when each was taken back. So one `xl unpause` follows each `xl pause`, and one
/// that somebody else paused stays as it is.
struct XenStandstill {
    /// Milliseconds between two looks.
    private static let interval = 20
    /// Nanoseconds in which what is under way to the disks comes to its end.
    private static let patience: UInt64 = 30_000_000_000
    /// Tries to let a guest go on before the process that watches over it is left to it.
    private static let tries = 5

    let guest: XenGuest

    /// Stops its processors. What they asked of their disks goes on, and is waited for by ``settle(_:)``.
    func pause() throws(GuestError) {
        try guest.host.ask(["pause", guest.argument], "pausing the guest \(guest.name)")
    }

    /// Takes one pause back. - Throws: ``GuestError``: the process that watches over it goes on trying.
    func unpause() throws(GuestError) {
        for attempt in 1...XenStandstill.tries {
            do throws(GuestError) {
                try guest.host.ask(["unpause", guest.argument], "letting the guest \(guest.name) go on")
                return
            } catch {
                if attempt == XenStandstill.tries { throw error }
            }
        }
    }

    /// Waits until nothing is under way to the disks, which a paused guest asks nothing new of.
    ///
    /// - Throws: ``GuestError``, `late`.
    static func settle(_ disks: [WrittenDisk], clock: SystemClock) throws(GuestError) {
        let deadline = clock.monotonic() + patience
        while let busy = disks.first(where: { !$0.isIdle }) {
            guard clock.monotonic() < deadline else {
                throw GuestError(
                    .late,
                    "\(busy.path) is written although the guest is paused: another program uses it too, or the disk "
                        + "hangs")
            }
            ThreadPause.take(milliseconds: interval)
        }
    }
}

extension XenGuest {
    /// Lets it go on for a run that is gone, once that run's `xl save` is gone too.
    ///
    /// - Throws: ``GuestError``, `busy` as long as it is saved, or its own run is there.
    func proceed() throws(GuestError) {
        guard let lock = try XenLock.take(self) else {
            throw GuestError(.busy, "the guest \(name) is being saved by xl, and goes on behind that")
        }
        defer { withExtendedLifetime(lock) {} }
        if try state() == .paused { try XenStandstill(guest: self).unpause() }
    }
}

/// Says that a capture of a guest is under way on this host: held by the run, and by an `xl save` that outlives it.
enum XenLock {
    private static let folder = "/run/lock"
    private static let otherFolder = "/tmp"

    /// Takes it; `nil` while another one has it. - Throws: ``GuestError``, `missing`.
    static func take(_ guest: XenGuest) throws(GuestError) -> FileLock? {
        let folder = HostPaths.isFolder(folder) ? folder : otherFolder
        let name = guest.uuid.isEmpty ? "\(guest.number)" : guest.uuid
        do throws(FileError) {
            return try FileLock(path: "\(folder)/\(CaptureRequest.ownPrefix)xl-\(name)")
        } catch { throw GuestError(.missing, error.sentence) }
    }
}
