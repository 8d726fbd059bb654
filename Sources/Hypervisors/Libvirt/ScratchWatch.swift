import Effects
import Synchronization

/// Gives a capture up before its scratch space is full.
///
/// A backup job of QEMU puts the guest's write above the instant only as long as it can keep the old bytes; when it
/// cannot, the write fails and QEMU stops the guest. So the job is ended while there is room. A guest that was faster
/// is let go on: with the job gone, its write succeeds.
final class ScratchWatch: Sendable {
    private static let milliseconds = 100
    /// Looks after the end of the job, half a second, in which QEMU may still tell that it stopped the guest.
    private static let laterLooks = 10
    /// Every so many looks libvirt is asked about the guest too.
    private static let looksPerQuestion = 10

    private let watch: PeriodicWatch
    private let state: State

    private final class State: Sendable {
        let givenUpAt = Mutex<UInt64?>(nil)
        let looks = Atomic(0)
    }

    /// Bytes that were left when the capture was given up; `nil` when it was not.
    var givenUpAt: UInt64? { state.givenUpAt.withLock { $0 } }

    init(_ guest: LibvirtGuest, _ place: ScratchPlace) {
        let state = State()
        self.state = state
        // One that stood still for such a reason before is nobody's to let go on.
        let wasStopped = ScratchWatch.isStopped(guest)
        watch = PeriodicWatch(milliseconds: ScratchWatch.milliseconds) {
            let free = HostPaths.freeBytes(place.folder)
            let number = state.looks.wrappingAdd(1, ordering: .relaxed).newValue
            let isLow = free.map { $0 < guest.host.scratchReserve } ?? false
            let isStopped = !wasStopped && number % ScratchWatch.looksPerQuestion == 0 && ScratchWatch.isStopped(guest)
            guard isLow || isStopped else { return true }
            state.givenUpAt.withLock { $0 = free ?? 0 }
            ScratchWatch.giveUp(guest, place, resumes: !wasStopped)
            return false
        }
    }

    /// Ends the watch.
    func end() { watch.end() }

    private static func isStopped(_ guest: LibvirtGuest) -> Bool {
        let answer = try? guest.ask("asking for its state") { domain throws(LibvirtFailure) in
            try domain.isStoppedByDisk()
        }
        return answer ?? false
    }

    private static func giveUp(_ guest: LibvirtGuest, _ place: ScratchPlace, resumes: Bool) {
        let ours = try? guest.ask("asking for its backup job") { domain throws(LibvirtFailure) in
            try domain.backup().map { RunningBackup(xml: $0) }?.socket == place.socket
        }
        // A job that is not ours did not stop it, and is not ours to end.
        guard ours ?? false else { return }
        try? guest.endBackup()
        guard resumes else { return }
        for _ in 0..<laterLooks {
            if isStopped(guest) {
                try? guest.ask("letting it go on") { domain throws(LibvirtFailure) in try domain.resume() }
                return
            }
            ThreadPause.take(milliseconds: milliseconds / 2)
        }
    }
}
