import Effects
import GuestSource
import Synchronization

/// The memory and device state of a QEMU guest at the instant of its disks, written into a file without a name while
/// the guest goes on: a background snapshot (QEMU 6.0 and newer, Linux with userfaultfd's write protection). It is a
/// migration stream like any other and is resumed by `-incoming`.
final class QMPMemory: Sendable {
    private static let capability = "background-snapshot"
    /// Bytes a second that QEMU may write: more than any disk takes; its own limit is 128 MiB.
    private static let bandwidth: Int64 = 1 << 40
    /// Milliseconds between two looks at how far it is.
    private static let interval = 5
    /// Nanoseconds in which the guest goes on after its device state was taken.
    private static let startPatience: UInt64 = 30_000_000_000

    /// Bytes besides memory that a stream may have: device state, video memory, a page table's worth of headers.
    private static let deviceByteCount: UInt64 = 256 << 20
    /// Nanoseconds that are waited for a stream whose point is given up.
    private static let longestEnd: UInt64 = 3600 * 1_000_000_000

    private let guest: QMPGuest
    private let file: PassedDescriptor
    /// What QEMU was limited to before, in bytes a second.
    private let formerBandwidth = Mutex(QMPMemory.usualBandwidth)

    init(_ guest: QMPGuest, folder: String) throws {
        self.guest = guest
        do throws(FileError) { file = try PassedDescriptor(scratchIn: folder, byteCount: 0) } catch {
            throw GuestError(.scratch, "\(error.sentence); give another folder with --scratch")
        }
    }

    private static func enable(_ isOn: Bool, _ client: QMPClient) throws(GuestError) {
        try client.execute(
            "migrate-set-capabilities",
            ["capabilities": [["capability": .text(capability), "state": .bool(isOn)]]])
    }

    /// Makes sure of the room before anything begins. A stream that cannot be written leaves the guest's memory
    /// protected from its own writes, and the guest dead (QEMU 7.2, seen with a full file system).
    ///
    /// - Throws: ``GuestError``, `scratch`.
    func reserve(_ client: QMPClient) throws(GuestError) {
        let answer = try client.execute("query-memory-size-summary")
        let memory = ["base-memory", "plugged-memory"].compactMap { answer[$0]?.integer }
            .reduce(UInt64(0)) { $0 + (UInt64(exactly: $1) ?? 0) }
        do throws(FileError) { try file.reserve(memory + memory / 64 + QMPMemory.deviceByteCount) } catch {
            throw GuestError(
                .scratch,
                "\(error.sentence); the memory of the guest takes as much room as it is large and "
                    + "\(QMPMemory.deviceByteCount >> 20) MiB more: give another folder with --scratch")
        }
    }

    /// Begins, with the guest stopped, and returns when it goes on.
    ///
    /// - Throws: ``GuestError``: `missing` when this QEMU or kernel cannot; `wrongState` for a guest that was stopped
    ///   before, because it would go on.
    func begin(_ client: QMPClient, isRunning: Bool) throws(GuestError) {
        guard isRunning else {
            throw GuestError(
                .wrongState,
                "the guest behind \(guest.socket) is paused, and taking its memory would let it go on: let it go on "
                    + "first, or leave --with-memory out")
        }
        do throws(GuestError) { try QMPMemory.enable(true, client) } catch {
            throw GuestError(
                .missing,
                "the memory of the guest behind \(guest.socket) cannot be taken while it runs: \(error.sentence); turn "
                    + "other migration capabilities off if it names one, run QEMU as root or allow it "
                    + "vm.unprivileged_userfaultfd, or store what `virsh save` or `migrate` writes with --memory")
        }
        if let former = try client.execute("query-migrate-parameters")["max-bandwidth"]?.integer {
            formerBandwidth.withLock { $0 = former }
        }
        try client.execute("migrate-set-parameters", ["max-bandwidth": .integer(QMPMemory.bandwidth)])
        try client.execute("getfd", ["fdname": "dozo-memory"], passing: file)
        try client.execute("migrate", ["uri": "fd:dozo-memory"])
        let deadline = guest.clock.monotonic() + QMPMemory.startPatience
        while try client.execute("query-status")["running"]?.bool != true {
            try requireSound(client)
            guard guest.clock.monotonic() < deadline else {
                throw GuestError(.late, "QEMU behind \(guest.socket) does not come to the end of the device state")
            }
            ThreadPause.take(milliseconds: 1)
        }
    }

    /// - Returns: whether it is complete.
    @discardableResult
    private func requireSound(_ client: QMPClient) throws(GuestError) -> Bool {
        let answer = try client.execute("query-migrate")
        switch answer["status"]?.text {
        case "completed": return true
        case "failed", "cancelled", "cancelling", nil:
            let reason = answer["error-desc"]?.text ?? "without a reason"
            throw GuestError(
                .scratch,
                "the memory of the guest behind \(guest.socket) could not be written: \(reason); most likely the "
                    + "scratch space is full, which takes as much as the guest has memory: give another folder with "
                    + "--scratch")
        default: return false
        }
    }

    /// Waits until all of it is written. - Returns: the stream.
    func complete() async throws -> any PositionedBytes {
        while try !guest.withMonitor({ client in try requireSound(client) }) {
            try Task.checkCancellation()
            ThreadPause.take(milliseconds: QMPMemory.interval)
        }
        end()
        return try SpooledInput(of: file, name: "the memory of the guest behind \(guest.socket)")
    }

    /// Ends what is under way, and gives QEMU the settings back that it had. Harmless when nothing is.
    func end() {
        guest.whateverHappens { client in QMPMemory.cancel(client, bandwidth: formerBandwidth.withLock { $0 }) }
    }

    /// As ``end()``, also for what a run left that was killed: then the limit is QEMU's own.
    static func cancel(_ client: QMPClient, bandwidth: Int64 = usualBandwidth) {
        let status = (try? client.execute("query-migrate"))?["status"]?.text
        let own = try? client.execute("query-migrate-capabilities").elements
            .contains { $0["capability"]?.text == capability && $0["state"]?.bool == true }
        guard own == true else { return }
        // Never ended early: a guest whose memory is still protected from its writes may then stand still for ever.
        let began = SystemClock.system.monotonic()
        var now = status
        while now == "active" || now == "setup" || now == "cancelling",
            SystemClock.system.monotonic() - began < longestEnd
        {
            ThreadPause.take(milliseconds: interval)
            now = (try? client.execute("query-migrate"))?["status"]?.text
        }
        _ = try? enable(false, client)
        _ = try? client.execute("migrate-set-parameters", ["max-bandwidth": .integer(bandwidth)])
    }

    /// QEMU's own limit.
    private static let usualBandwidth: Int64 = 128 << 20
}
