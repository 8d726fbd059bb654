import Effects
import GuestSource

/// Memory and device state of a guest, written by `xl save` into a file without a name; the guest is paused behind it.
///
/// The guest brings itself to rest for it, and stands still until all is written: there is no other way to a complete
/// state that its toolstack can restore.
final class XenMemory: Sendable {
    /// Bytes besides memory that a stream may have: headers, page tables' worth of them, the state of devices.
    private static let deviceByteCount: UInt64 = 64 << 20

    private let guest: XenGuest
    private let place: SharedFile

    /// Looks for room.
    ///
    /// - Throws: ``GuestError``, `scratch`.
    init(_ guest: XenGuest, _ domain: XenDomain, folder: String) throws(GuestError) {
        self.guest = guest
        let wanted = MemoryRoom.byteCount(memory: domain.memoryByteCount, devices: XenMemory.deviceByteCount)
        if let free = HostPaths.freeBytes(folder), free < wanted {
            throw GuestError(
                .scratch,
                "\(folder) has \(free >> 20) MiB left, and the memory of the guest \(guest.name) may take "
                    + "\(wanted >> 20) MiB: give another folder with --scratch")
        }
        do throws(FileError) { place = try SharedFile(in: folder) } catch {
            throw GuestError(.scratch, "\(error.sentence); give another folder with --scratch")
        }
    }

    /// Saves it, and leaves it paused. Never ended early: a guest whose save is cut off stays suspended.
    ///
    /// - Parameter lock: goes to `xl` too, so that whoever waits for it waits for the save.
    /// - Throws: ``GuestError``, `refused` with xl's words: then xl lets the guest go on.
    func save(lock: FileLock) throws(GuestError) {
        let copies: [Int32]
        do throws(FileError) { copies = [try place.file.duplicate(), try lock.duplicate()] } catch {
            throw GuestError(.scratch, error.sentence)
        }
        defer { for copy in copies { PassedDescriptor.giveBack(copy) } }
        try guest.host.ask(
            ["save", "-p", guest.argument, "/proc/self/fd/\(HostProgram.firstPassed)"],
            "saving the memory of the guest \(guest.name)", passing: copies, patience: nil)
    }

    /// The stream. - Throws: ``SourceError``.
    func stream() throws(SourceError) -> any PositionedBytes {
        try SpooledInput(of: place.file, name: "the memory of the guest \(guest.name)")
    }
}
