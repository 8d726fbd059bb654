package import Effects

/// The QEMU guest agent over its unix socket.
///
/// It has no greeting and may be dead: each connection first brings its parser to a known state and waits for an answer
/// to a number of ours (`guest-sync-delimited`).
package final class GuestAgent {
    /// Nanoseconds in which a living agent answers.
    package static let patience: UInt64 = 20_000_000_000
    /// Nanoseconds that a freeze may take: the guest writes out what it has, and its hooks run.
    package static let freezePatience: UInt64 = 120_000_000_000
    /// Nanoseconds that a thaw may take: file systems go on at once, and the hooks after them.
    package static let thawPatience: UInt64 = 60_000_000_000

    private let path: String
    private let socket: LineSocket
    private let clock: SystemClock

    /// Connects and waits until the agent answers.
    ///
    /// - Throws: ``GuestError``, `agent`.
    package init(path: String, clock: SystemClock = .system, patience: UInt64 = GuestAgent.patience) throws(GuestError)
    {
        self.path = path
        self.clock = clock
        do throws(LineSocket.Failure) { socket = try LineSocket(path: path) } catch {
            throw GuestAgent.failure(error, path)
        }
        // From the clock, so that an answer to an earlier connection is not taken for ours.
        let number = Int64(truncatingIfNeeded: clock.monotonic() & 0x3fff_ffff)
        let deadline = clock.monotonic() + patience
        // 0xFF ends whatever half a command an earlier program left in the agent's parser.
        try send([0xff] + GuestAgent.line("guest-sync-delimited", ["id": .integer(number)]), deadline: deadline)
        while true {
            let answer = try next(deadline: deadline)
            if answer["return"]?.integer == number { return }
        }
    }

    private static func line(_ command: String, _ arguments: JSONValue?) -> [UInt8] {
        var members: [String: JSONValue] = ["execute": .text(command)]
        if let arguments { members["arguments"] = arguments }
        return JSONValue.object(members).encoded + [UInt8(ascii: "\n")]
    }

    private static func failure(_ failure: LineSocket.Failure, _ path: String) -> GuestError {
        let what = "the guest agent behind \(path)"
        return switch failure {
        case .unreachable(let reason): GuestError(.agent, "\(what) cannot be reached: \(reason)")
        case .closed: GuestError(.agent, "\(what) is gone: did the guest stop?")
        case .timeout:
            GuestError(.agent, "\(what) does not answer: it is not installed, not running, or the guest hangs")
        case .tooLong: GuestError(.agent, "\(what) sends lines without an end; it is no guest agent")
        case .cancelled: GuestError(.interrupted, "interrupted while waiting for \(what)")
        }
    }

    private func send(_ bytes: [UInt8], deadline: UInt64) throws(GuestError) {
        do throws(LineSocket.Failure) { try socket.send(bytes, deadline: deadline, clock: clock) } catch {
            throw GuestAgent.failure(error, path)
        }
    }

    private func next(deadline: UInt64) throws(GuestError) -> JSONValue {
        while true {
            let line: [UInt8]
            do throws(LineSocket.Failure) { line = try socket.nextLine(deadline: deadline, clock: clock) } catch {
                throw GuestAgent.failure(error, path)
            }
            // What the parser still had is answered with an error before the mark.
            if let value = try? JSONValue(decoding: Array(line.drop { $0 == 0xff })) { return value }
        }
    }

    /// Runs a command. - Throws: ``GuestError``, `agent`, with the agent's words.
    @discardableResult
    package func execute(
        _ command: String, _ arguments: JSONValue? = nil, patience: UInt64 = GuestAgent.patience
    ) throws(GuestError) -> JSONValue {
        let deadline = clock.monotonic() + patience
        try send(GuestAgent.line(command, arguments), deadline: deadline)
        while true {
            let answer = try next(deadline: deadline)
            if let error = answer["error"] {
                throw GuestError(
                    .agent,
                    "the guest agent behind \(path) refused \(command): \(error["desc"]?.text ?? "without a reason")")
            }
            if let value = answer["return"] { return value }
        }
    }

    /// Brings all file systems to rest. - Returns: how many.
    package func freeze() throws(GuestError) -> Int {
        Int(try execute("guest-fsfreeze-freeze", patience: GuestAgent.freezePatience).integer ?? 0)
    }

    /// Lets them go on. - Returns: how many were at rest.
    @discardableResult
    package func thaw() throws(GuestError) -> Int {
        Int(try execute("guest-fsfreeze-thaw", patience: GuestAgent.thawPatience).integer ?? 0)
    }

    /// What the guest says of its applications. - Throws: ``GuestError``, `refused`, when the agent does not tell.
    package func applications() throws(GuestError) -> ApplicationReport {
        try ApplicationReport { command, arguments throws(GuestError) in
            do throws(GuestError) { return try execute(command, arguments) } catch {
                // It answers, or it would not have been reached.
                guard error.code == .agent else { throw error }
                throw GuestError(.refused, error.sentence)
            }
        }
    }
}
