import Effects
import GuestSource
import Synchronization

/// The memory and device state of a QEMU guest at the instant of its disks, written into a file without a name: a
/// migration stream that is resumed by `-incoming`. Either while the guest goes on, as a background snapshot (QEMU 6.0
/// and newer, Linux with userfaultfd's write protection), or while it stands still, which every QEMU can
/// (`docs/design/0009-memory-of-stopped-guests.md`).
final class QMPMemory: Sendable {
    /// Which of the two.
    enum Way: Hashable, Sendable {
        /// While the guest goes on.
        case live
        /// While it stands still; the reason when that was not asked for.
        case stopped(because: String?)
    }

    private static let capability = "background-snapshot"
    /// Bytes a second that QEMU may write: more than any disk takes; its own limit is 128 MiB. Nobody else would choose
    /// this number, so that it marks a stream as ours.
    private static let bandwidth: Int64 = 1 << 40
    /// Milliseconds between two looks at how far it is.
    private static let interval = 5
    /// Nanoseconds in which the guest goes on after its device state was taken.
    private static let startPatience: UInt64 = 30_000_000_000

    /// Nanoseconds that are waited for a stream whose point is given up.
    private static let longestEnd: UInt64 = 3600 * 1_000_000_000
    /// What QEMU calls a stream that has not come to its end.
    private static let unfinished: Set<String> = [
        "setup", "active", "cancelling", "pre-switchover", "device", "wait-unplug", "postcopy-active",
        "postcopy-paused", "postcopy-recover",
    ]

    let way: Way
    private let guest: QMPGuest
    private let file: PassedDescriptor
    /// What QEMU was limited to before, in bytes a second.
    private let formerBandwidth = Mutex(QMPMemory.usualBandwidth)

    init(_ guest: QMPGuest, folder: String, way: Way) throws {
        self.guest = guest
        self.way = way
        do throws(FileError) { file = try PassedDescriptor(scratchIn: folder, byteCount: 0) } catch {
            throw GuestError(.scratch, "\(error.sentence); give another folder with --scratch")
        }
    }

    var isLive: Bool { way == .live }

    private static func enable(_ isOn: Bool, _ client: QMPClient) throws(GuestError) {
        try set([capability], isOn, client)
    }

    private static func set(_ names: [String], _ isOn: Bool, _ client: QMPClient) throws(GuestError) {
        guard !names.isEmpty else { return }
        try client.execute(
            "migrate-set-capabilities",
            ["capabilities": .array(names.map { ["capability": .text($0), "state": .bool(isOn)] })])
    }

    /// Names of the capabilities of migration that are on.
    private static func enabled(_ client: QMPClient) throws(GuestError) -> [String] {
        try client.execute("query-migrate-capabilities").elements
            .filter { $0["state"]?.bool == true }.compactMap { $0["capability"]?.text }
    }

    private static func status(_ client: QMPClient) throws(GuestError) -> String? {
        try client.execute("query-migrate")["status"]?.text
    }

    private static func limit(_ client: QMPClient) throws(GuestError) -> Int64? {
        try client.execute("query-migrate-parameters")["max-bandwidth"]?.integer
    }

    private static func limit(to bandwidth: Int64, _ client: QMPClient) throws(GuestError) {
        try client.execute("migrate-set-parameters", ["max-bandwidth": .integer(bandwidth)])
    }

    // MARK: Before the instant

    /// Finds out how memory can be taken; nothing is changed.
    ///
    /// - Throws: ``GuestError``: `busy` while a migration is under way; `missing` or `wrongState` when it is to be
    ///   taken live and cannot.
    static func way(
        _ choice: MemoryChoice, _ guest: QMPGuest, _ client: QMPClient
    ) throws(GuestError) -> Way {
        if let status = try status(client), unfinished.contains(status) {
            throw GuestError(
                .busy,
                "the guest behind \(guest.socket) is being migrated or saved (\(status)), and QEMU writes one stream "
                    + "at a time; wait until that is done")
        }
        if try client.execute("query-status")["status"]?.text == "postmigrate" {
            throw GuestError(
                .wrongState,
                "the guest behind \(guest.socket) stands still since its memory was taken or saved, and QEMU writes it "
                    + "once only until it goes on: let it go on (cont) and stop it again, or leave --with-memory out")
        }
        if choice == .stopped { return .stopped(because: nil) }
        guard try client.execute("query-status")["running"]?.bool == true else {
            guard choice == .auto else { throw isPaused(guest) }
            return .stopped(because: nil)
        }
        do throws(GuestError) {
            try enable(true, client)
            try enable(false, client)
            return .live
        } catch {
            guard error.code == .refused else { throw error }
            guard choice == .auto else { throw cannot(guest, error) }
            return .stopped(because: error.sentence)
        }
    }

    private static func isPaused(_ guest: QMPGuest) -> GuestError {
        GuestError(
            .wrongState,
            "the guest behind \(guest.socket) is paused, and taking its memory live would let it go on: let it go on "
                + "first, or say --with-memory=stopped")
    }

    private static func cannot(_ guest: QMPGuest, _ error: GuestError) -> GuestError {
        GuestError(
            .missing,
            "the memory of the guest behind \(guest.socket) cannot be taken while it runs: \(error.sentence); turn "
                + "other migration capabilities off if it names one, run QEMU as root or allow it "
                + "vm.unprivileged_userfaultfd, or say --with-memory=stopped")
    }

    /// Makes sure of the room before anything begins. A stream that cannot be written leaves the guest's memory
    /// protected from its own writes, and the guest dead (QEMU 7.2, seen with a full file system).
    ///
    /// - Throws: ``GuestError``, `scratch`.
    func reserve(_ client: QMPClient) throws(GuestError) {
        let answer = try client.execute("query-memory-size-summary")
        // Two numbers of 63 bits at most.
        let memory = ["base-memory", "plugged-memory"].compactMap { answer[$0]?.integer }
            .reduce(UInt64(0)) { $0 + (UInt64(exactly: $1) ?? 0) }
        do throws(FileError) { try file.reserve(MemoryRoom.byteCount(memory: memory)) } catch {
            throw GuestError(
                .scratch,
                "\(error.sentence); the memory of the guest takes as much room as it is large and "
                    + "\(MemoryRoom.deviceByteCount >> 20) MiB more: give another folder with --scratch")
        }
    }

    // MARK: Live

    /// Begins, with the guest stopped, and returns when it goes on.
    ///
    /// - Throws: ``GuestError``: `missing` when this QEMU or kernel cannot; `wrongState` for a guest that was stopped
    ///   before, because it would go on.
    func begin(_ client: QMPClient, isRunning: Bool) throws(GuestError) {
        guard isRunning else { throw QMPMemory.isPaused(guest) }
        do throws(GuestError) { try QMPMemory.enable(true, client) } catch { throw QMPMemory.cannot(guest, error) }
        try start(client)
        let deadline = guest.clock.monotonic() + QMPMemory.startPatience
        while try client.execute("query-status")["running"]?.bool != true {
            try requireSound(client)
            guard guest.clock.monotonic() < deadline else {
                throw GuestError(.late, "QEMU behind \(guest.socket) does not come to the end of the device state")
            }
            ThreadPause.take(milliseconds: 1)
        }
    }

    private func start(_ client: QMPClient) throws(GuestError) {
        if let former = try QMPMemory.limit(client) { formerBandwidth.withLock { $0 = former } }
        try QMPMemory.limit(to: QMPMemory.bandwidth, client)
        try client.execute("getfd", ["fdname": "dozo-memory"], passing: file)
        try client.execute("migrate", ["uri": "fd:dozo-memory"])
    }

    // MARK: Stopped

    /// Writes all of it, with the guest stopped. Then QEMU has closed the images: see ``QMPServer/reopen(_:_:)``.
    ///
    /// Capabilities that somebody turned on are off meanwhile: one would write another kind of stream, or wait for an
    /// answer that never comes.
    ///
    /// - Throws: ``GuestError``: `scratch`; `interrupted` when the task was cancelled. Then no stream is under way, and
    ///   the guest can go on.
    func write(_ client: QMPClient) throws(GuestError) {
        let others = try QMPMemory.enabled(client)
        do throws(GuestError) {
            try QMPMemory.set(others, false, client)
            try start(client)
            while try !requireSound(client) {
                guard !Task.isCancelled else {
                    throw GuestError(.interrupted, "interrupted while the memory of the guest was written")
                }
                ThreadPause.take(milliseconds: QMPMemory.interval)
            }
        } catch {
            QMPMemory.cancel(client, bandwidth: formerBandwidth.withLock { $0 })
            try? QMPMemory.set(others, true, client)
            throw error
        }
        try? QMPMemory.limit(to: formerBandwidth.withLock { $0 }, client)
        try? QMPMemory.set(others, true, client)
    }

    // MARK: To its end

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
        while try isLive && !guest.withMonitor({ client in try requireSound(client) }) {
            try Task.checkCancellation()
            ThreadPause.take(milliseconds: QMPMemory.interval)
        }
        end()
        return try SpooledInput(of: file, name: "the memory of the guest behind \(guest.socket)")
    }

    /// Ends what is under way, and gives QEMU the settings back that it had. Harmless when nothing is.
    func end() {
        guard isLive else { return }
        guest.whateverHappens { client in QMPMemory.cancel(client, bandwidth: formerBandwidth.withLock { $0 }) }
    }

    /// As ``end()``, also for what a run left that was killed: then the limit is QEMU's own, and capabilities that it
    /// had turned off stay off. Streams of others go on.
    static func cancel(_ client: QMPClient, bandwidth: Int64 = usualBandwidth) {
        let isLive = (try? enabled(client))?.contains(capability) ?? false
        guard isLive || (try? limit(client)) == .some(.some(QMPMemory.bandwidth)) else { return }
        func isUnderWay() -> Bool { (try? status(client)).flatMap { $0 }.map(unfinished.contains) ?? false }
        // A live one is never ended early: a guest whose memory is still protected from its writes may then stand still
        // for ever.
        if !isLive, isUnderWay() { _ = try? client.execute("migrate_cancel") }
        let began = SystemClock.system.monotonic()
        while isUnderWay(), SystemClock.system.monotonic() - began < longestEnd {
            ThreadPause.take(milliseconds: interval)
        }
        if isLive { try? enable(false, client) }
        try? limit(to: bandwidth, client)
    }

    /// As ``cancel(_:bandwidth:)``, for a stream alone that is written while the guest stands still.
    static func cancelWritten(_ client: QMPClient) {
        guard (try? enabled(client))?.contains(capability) == false else { return }
        cancel(client)
    }

    /// QEMU's own limit.
    private static let usualBandwidth: Int64 = 128 << 20
}
