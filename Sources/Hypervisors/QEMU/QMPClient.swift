import Effects

/// QEMU's monitor: commands, answers and events over a unix socket (QEMU Machine Protocol).
///
/// One task uses it at a time.
// Safety: nothing is shared; whoever holds it serialises its use with a lock.
package final class QMPClient {
    /// Nanoseconds that QEMU may take for an answer. Its main loop is held up by slow disks, so this is long.
    static let patience: UInt64 = 60_000_000_000
    /// Nanoseconds until the greeting: a monitor serves one at a time, and keeps others waiting without a word.
    static let greetingPatience: UInt64 = 10_000_000_000
    /// Events that are kept for whoever asks; older ones go.
    private static let mostEvents = 1024

    /// Whom it talks to, for messages.
    let guest: String
    private let socket: LineSocket
    private let clock: SystemClock
    private var events: [JSONValue] = []
    private var lastIdentifier: Int64 = 0
    /// Version, such as `7.2.22`.
    private(set) var version = ""

    /// Connects and says hello.
    ///
    /// - Throws: ``GuestError``: `unreachable`; `busy` when somebody else holds the monitor.
    init(path: String, clock: SystemClock) throws(GuestError) {
        guest = path
        self.clock = clock
        do throws(LineSocket.Failure) { socket = try LineSocket(path: path) } catch {
            throw QMPClient.failure(error, path)
        }
        let greeting: JSONValue
        do throws(GuestError) { greeting = try next(deadline: clock.monotonic() + QMPClient.greetingPatience) } catch {
            guard error.code == .late else { throw error }
            throw GuestError(
                .busy,
                "the monitor \(path) takes the connection but says nothing: another program (libvirt, a shell) holds "
                    + "it; give QEMU one more -qmp socket, or back the guest up through libvirt")
        }
        guard let number = greeting["QMP"]?["version"]?["qemu"] else {
            throw GuestError(.refused, "\(path) is no monitor of QEMU: it does not greet like one")
        }
        version = ["major", "minor", "micro"].map { "\(number[$0]?.integer ?? 0)" }.joined(separator: ".")
        try execute("qmp_capabilities")
    }

    private static func failure(_ failure: LineSocket.Failure, _ guest: String) -> GuestError {
        switch failure {
        case .unreachable(let reason):
            GuestError(
                .unreachable, "\(guest) cannot be reached: \(reason); does the guest run, and is this its monitor?")
        case .closed(let reason):
            GuestError(
                .unreachable, "QEMU behind \(guest) is gone\(reason.isEmpty ? "" : ": \(reason)"); did the guest stop?")
        case .timeout: GuestError(.late, "QEMU behind \(guest) did not answer in time; is its storage stuck?")
        case .tooLong: GuestError(.refused, "\(guest) sends lines without an end; it is no monitor of QEMU")
        case .cancelled: GuestError(.interrupted, "interrupted while waiting for QEMU behind \(guest)")
        }
    }

    private func next(deadline: UInt64) throws(GuestError) -> JSONValue {
        let line: [UInt8]
        do throws(LineSocket.Failure) { line = try socket.nextLine(deadline: deadline, clock: clock) } catch {
            throw QMPClient.failure(error, guest)
        }
        guard let value = try? JSONValue(decoding: line) else {
            throw GuestError(.refused, "\(guest) sends what is no JSON; it is no monitor of QEMU")
        }
        return value
    }

    /// Runs a command. - Returns: what it returned.
    ///
    /// - Throws: ``GuestError``: `refused` with QEMU's own words; `unreachable`; `interrupted`.
    @discardableResult
    func execute(_ command: String, _ arguments: JSONValue = [:]) throws(GuestError) -> JSONValue {
        let line = next(command, arguments)
        let deadline = clock.monotonic() + QMPClient.patience
        do throws(LineSocket.Failure) { try socket.send(line, deadline: deadline, clock: clock) } catch {
            throw QMPClient.failure(error, guest)
        }
        return try answer(to: command, deadline: deadline)
    }

    /// The line of the next command.
    private func next(_ command: String, _ arguments: JSONValue) -> [UInt8] {
        lastIdentifier += 1
        let line: JSONValue = .object([
            "execute": .text(command), "arguments": arguments, "id": .integer(lastIdentifier),
        ])
        return line.encoded + [UInt8(ascii: "\n")]
    }

    /// Whether commands are run though the task is cancelled: what puts the guest right again has to be said.
    var isEnding: Bool {
        get { socket.ignoresCancellation }
        set { socket.ignoresCancellation = newValue }
    }

    /// Process of the guest; `nil` when it is not on this host.
    var process: Int32? { socket.peer }

    /// Runs a command that takes an open file or socket with it.
    ///
    /// - Throws: as ``execute(_:_:)``.
    @discardableResult
    func execute(
        _ command: String, _ arguments: JSONValue, passing file: borrowing PassedDescriptor
    ) throws(GuestError) -> JSONValue {
        let line = next(command, arguments)
        let deadline = clock.monotonic() + QMPClient.patience
        do throws(LineSocket.Failure) {
            try socket.send(line, passing: file, deadline: deadline, clock: clock)
        } catch { throw QMPClient.failure(error, guest) }
        return try answer(to: command, deadline: deadline)
    }

    private func answer(to command: String, deadline: UInt64) throws(GuestError) -> JSONValue {
        let identifier = JSONValue.integer(lastIdentifier)
        while true {
            let answer = try next(deadline: deadline)
            if answer["event"] != nil {
                keep(answer)
            } else if answer["id"] == identifier {
                if let reason = answer["error"] {
                    throw GuestError(
                        .refused,
                        "QEMU behind \(guest) refused \(command): \(reason["desc"]?.text ?? "without a reason")")
                }
                return answer["return"] ?? .null
            }
            // Answers to what was given up before are passed over.
        }
    }

    private func keep(_ event: JSONValue) {
        if events.count == QMPClient.mostEvents { events.removeFirst() }
        events.append(event)
    }

    /// The next event of a name that `isWanted`, already come or still to come.
    ///
    /// - Throws: ``GuestError``: `unreachable` when none comes in time.
    @discardableResult
    func event(
        _ name: String, patience: UInt64 = QMPClient.patience, where isWanted: (JSONValue) -> Bool = { _ in true }
    ) throws(GuestError) -> JSONValue {
        func fits(_ event: JSONValue) -> Bool {
            event["event"]?.text == name && isWanted(event["data"] ?? .null)
        }
        if let position = events.firstIndex(where: fits) { return events.remove(at: position) }
        let deadline = clock.monotonic() + patience
        while true {
            let answer = try next(deadline: deadline)
            guard answer["event"] != nil else { continue }
            if fits(answer) { return answer }
            keep(answer)
        }
    }
}
