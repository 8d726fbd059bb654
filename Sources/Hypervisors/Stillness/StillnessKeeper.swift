package import Effects

// Who keeps a guest still
// -----------------------
// A guest whose file systems are frozen, or that is stopped for its instant, must go on whatever becomes of the backup.
// So both belong to a small process of their own: it freezes when it is told to, and thaws when it is told to, when the
// backup is gone (killed, crashed), or when the time is up. It tries until the guest answers or is gone, and says so in
// the system's log. Stopping and continuing is done by the backup itself, for the monitor serves one at a time; the
// process is told before, and lets the guest go on should the backup never say that it did. A guest of Xen that is
// being saved goes on when the save is done: cut off, it would stay suspended.
//
// The two talk in lines of JSON: one question, one answer.

/// The backup's side: asks the process to freeze and thaw.
package final class StillnessKeeper {
    /// Seconds for which file systems are at rest at most, unless the operator says something else.
    package static let usualLimit: UInt64 = 30
    /// Nanoseconds beyond a freeze's own patience that the process may take to answer.
    private static let patience: UInt64 = 30_000_000_000

    private let companion: CompanionProcess
    private let clock: SystemClock
    /// Whether ``end()`` was called.
    package private(set) var hasEnded = false

    /// Starts the process.
    ///
    /// - Parameters:
    ///   - arguments: words that make this program run ``StillnessServer/serve(_:clock:)``.
    ///   - limit: seconds for which file systems are at rest at most.
    /// - Throws: ``GuestError``, `missing`, when it cannot be started.
    package init(
        for address: GuestAddress, arguments: [String], limit: UInt64, clock: SystemClock = .system
    ) throws(GuestError) {
        self.clock = clock
        do throws(FileError) { companion = try CompanionProcess(arguments: arguments) } catch {
            throw GuestError(.missing, "the process that keeps the guest still could not be started: \(error.sentence)")
        }
        try ask(["guest": address.value, "limit": .integer(Int64(limit))])
    }

    @discardableResult
    private func ask(_ question: JSONValue, canBeCancelled: Bool = false) throws(GuestError) -> JSONValue {
        companion.link.ignoresCancellation = !canBeCancelled
        let deadline = clock.monotonic() + GuestAgent.freezePatience + StillnessKeeper.patience
        let answer: JSONValue?
        do throws(LineSocket.Failure) {
            try companion.link.send(question.encoded + [UInt8(ascii: "\n")], deadline: deadline, clock: clock)
            answer = try? JSONValue(decoding: try companion.link.nextLine(deadline: deadline, clock: clock))
        } catch {
            guard error != .cancelled else { throw GuestError(.interrupted, "interrupted while the guest was still") }
            throw GuestError(.agent, "the process that keeps the guest still is gone")
        }
        if let reason = answer?["failed"]?.text { throw GuestError(.agent, reason) }
        return answer ?? .null
    }

    /// Brings the guest's file systems to rest. - Returns: how many.
    package func freeze() throws(GuestError) -> Int {
        Int(try ask(["do": "freeze"], canBeCancelled: true)["count"]?.integer ?? 0)
    }

    /// How a rest ended.
    package enum End: Hashable, Sendable {
        /// They were at rest for so many nanoseconds.
        case nanoseconds(UInt64)
        /// The time had run out before, so that nothing can be said of the instant.
        case timeRanOut
        /// Somebody else had let them go on before.
        case others
    }

    /// Lets them go on.
    ///
    /// - Throws: ``GuestError``, `agent`, when the agent does not answer: the process goes on trying.
    package func thaw() throws(GuestError) -> End {
        let answer = try ask(["do": "thaw"])
        if let time = answer["nanoseconds"]?.integer.flatMap({ UInt64(exactly: $0) }) { return .nanoseconds(time) }
        return answer["others"]?.bool == true ? .others : .timeRanOut
    }

    /// The process ends when nothing is left to do for it.
    package func end() {
        guard !hasEnded else { return }
        hasEnded = true
        // Still frozen, it goes on trying, and is not waited for.
        if (try? ask(["do": "bye"]))?["isFree"]?.bool ?? false { companion.join() }
    }
}

extension StillnessKeeper: CaptureWatch {
    /// The guest is about to be stopped.
    package func stops() throws(GuestError) { try ask(["do": "stops"]) }

    /// The guest runs again.
    package func runs() throws(GuestError) { try ask(["do": "runs"]) }
}

/// Is told when a guest is stopped for its instant, to let it go on should this process be killed.
package protocol CaptureWatch {
    /// The guest is about to be stopped. - Throws: ``GuestError`` when nobody would let it go on.
    func stops() throws(GuestError)
    /// The guest runs again. - Throws: ``GuestError``.
    func runs() throws(GuestError)
}

extension GuestAddress {
    /// As JSON, for the process that keeps the guest still.
    var value: JSONValue {
        switch self {
        case .monitor(let socket, let agent):
            .object(["monitor": .text(socket)].merging(agent.map { ["agent": .text($0)] } ?? [:]) { first, _ in first })
        case .libvirt(let uri, let domain): ["libvirt": .text(uri), "domain": .text(domain)]
        case .xen(let domain): ["xen": .text(domain)]
        }
    }

    /// Reads ``value``; `nil` for anything else.
    init?(_ value: JSONValue) {
        if let socket = value["monitor"]?.text {
            self = .monitor(socket: socket, agent: value["agent"]?.text)
        } else if let uri = value["libvirt"]?.text, let domain = value["domain"]?.text {
            self = .libvirt(uri: uri, domain: domain)
        } else if let domain = value["xen"]?.text {
            self = .xen(domain: domain)
        } else {
            return nil
        }
    }
}
