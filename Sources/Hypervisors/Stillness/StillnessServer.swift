package import Effects

/// The process that keeps a guest still: see ``StillnessKeeper``.
package struct StillnessServer {
    /// Milliseconds between two tries to let a guest go on.
    private static let interval = 500
    /// Nanoseconds after which a guest that does not answer is given up: longer than an operator needs to look at it.
    private static let longestTry: UInt64 = 24 * 3600 * 1_000_000_000
    /// Nanoseconds between two looks at the time while nothing is asked.
    private static let glance: UInt64 = 250_000_000

    private let link: LineSocket
    private let clock: SystemClock
    private var address: GuestAddress?
    private var limit: UInt64 = 0
    /// When the file systems came to rest; `nil` when they are not.
    private var frozenAt: UInt64?
    /// File systems that came to rest.
    private var frozenCount = 0
    private var isStopped = false
    private var hasExpired = false

    /// Serves until nothing is left to do.
    package static func serve(_ link: LineSocket, clock: SystemClock = .system) async {
        var server = StillnessServer(link: link, clock: clock)
        await server.run()
    }

    private init(link: LineSocket, clock: SystemClock) {
        self.link = link
        self.clock = clock
    }

    private mutating func run() async {
        while true {
            let line: [UInt8]
            do throws(LineSocket.Failure) {
                line = try link.nextLine(deadline: clock.monotonic() + StillnessServer.glance, clock: clock)
            } catch {
                if error == .timeout {
                    await watchTheTime()
                    continue
                }
                break
            }
            guard let question = try? JSONValue(decoding: line) else { break }
            let (answer, isLast) = await self.answer(question)
            try? link.send(
                answer.encoded + [UInt8(ascii: "\n")], deadline: clock.monotonic() + StillnessServer.glance,
                clock: clock)
            if isLast { break }
        }
        await letGo()
    }

    private mutating func answer(_ question: JSONValue) async -> (answer: JSONValue, isLast: Bool) {
        if let guest = question["guest"] {
            address = GuestAddress(guest)
            limit = UInt64(clamping: question["limit"]?.integer ?? 0) &* 1_000_000_000
            return ([:], false)
        }
        do {
            switch question["do"]?.text {
            case "freeze":
                // From before the call: a freeze that fails may have frozen some.
                frozenAt = clock.monotonic()
                frozenCount = 0
                frozenCount = try await freeze()
                return (["count": .integer(Int64(frozenCount))], false)
            case "thaw":
                let began = frozenAt ?? clock.monotonic()
                let thawed = frozenAt == nil ? 0 : try await thaw()
                guard !hasExpired else { return ([:], false) }
                guard thawed > 0 || frozenCount == 0 else { return (["others": true], false) }
                return (["nanoseconds": .integer(Int64(clamping: clock.monotonic() - began))], false)
            case "stops":
                isStopped = true
                return ([:], false)
            case "runs":
                isStopped = false
                return ([:], false)
            default: return (["isFree": .bool(frozenAt == nil && !isStopped)], true)
            }
        } catch {
            return (["failed": .text("\(error)")], false)
        }
    }

    private func freeze() async throws -> Int {
        switch address {
        case .monitor(_, let agent?): return try GuestAgent(path: agent, clock: clock).freeze()
        case .monitor(let socket, nil): throw QMPGuest.noAgent(socket)
        case .libvirt, .xen: return try await address?.open(clock: clock).freeze() ?? 0
        case nil: throw GuestError(.noGuest, "no guest was named")
        }
    }

    @discardableResult
    private mutating func thaw() async throws -> Int {
        let count: Int
        switch address {
        case .monitor(_, let agent?): count = try GuestAgent(path: agent, clock: clock).thaw()
        default: count = try await address?.open(clock: clock).thaw() ?? 0
        }
        frozenAt = nil
        return count
    }

    /// Thaws when the time is up.
    private mutating func watchTheTime() async {
        guard let frozenAt, limit > 0, clock.monotonic() - frozenAt > limit else { return }
        hasExpired = true
        if (try? await thaw()) == nil { return }
        SystemLog.alert("a guest was at rest for longer than \(limit / 1_000_000_000) s and was let go on")
    }

    /// The backup is gone, or done: whatever still stands still goes on.
    private mutating func letGo() async {
        let began = clock.monotonic()
        var hasTold = false
        while frozenAt != nil || isStopped, clock.monotonic() - began < StillnessServer.longestTry {
            do {
                if isStopped { try await proceed() }
                if frozenAt != nil { try await thaw() }
                if hasTold { SystemLog.alert("the guest goes on again") }
            } catch {
                if !hasTold {
                    SystemLog.alert(
                        "a guest stands still since its backup ended, and is tried until it answers: \(error)")
                    hasTold = true
                }
                if isGone(error) { return }
                ThreadPause.take(milliseconds: StillnessServer.interval)
            }
        }
    }

    /// Whether the guest does not run any more: then nothing stands still.
    private func isGone(_ error: any Error) -> Bool {
        switch address {
        case .monitor(let socket, _):
            do throws(LineSocket.Failure) { _ = try LineSocket(path: socket) } catch { return true }
            return false
        case .libvirt, .xen:
            let code = (error as? GuestError)?.code
            return code == .noGuest || code == .wrongState
        case nil: return true
        }
    }

    private mutating func proceed() async throws {
        switch address {
        case .monitor(let socket, _): try StillnessServer.proceed(try QMPClient(path: socket, clock: clock))
        case .libvirt: try (try await address?.open(clock: clock) as? LibvirtGuest)?.goOn(endsJobs: true)
        case .xen(let domain): try XenHost(clock: clock).guest(named: domain).proceed()
        case nil: break
        }
        isStopped = false
    }

    /// Lets a QEMU of its own go on.
    private static func proceed(_ client: QMPClient) throws(GuestError) {
        // A stream that is still written would stop the guest again at its end.
        QMPMemory.cancelWritten(client)
        // The last two: QEMU ended a stream, or was about to.
        let stopped = ["paused", "postmigrate", "finish-migrate"]
        if let status = try client.execute("query-status")["status"]?.text, stopped.contains(status) {
            try client.execute("cont")
        }
    }
}
