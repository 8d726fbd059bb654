import Glibc

/// The service manager that started this process (sd_notify(3)), when there is one that wants to be told.
///
/// The protocol is a datagram of lines `NAME=value` to the unix socket that NOTIFY_SOCKET names, of systemd's stable
/// interfaces; a library of its own for it would be one more to trust.
package struct SupervisorLink: Sendable {
    private let path: String
    /// How often it wants a sign of life at least, nanoseconds; `nil` when it does not look.
    package let watchdog: UInt64?

    private static let longestMessage = 2048

    /// `nil` when nobody wants to be told.
    ///
    /// - Parameter variable: gives a variable of the environment.
    package init?(_ variable: (String) -> String?) {
        guard let path = variable("NOTIFY_SOCKET"), path.hasPrefix("/") || path.hasPrefix("@"),
            path.utf8.count <= SocketAddress.longestPath
        else { return nil }
        self.path = path
        let own = variable("WATCHDOG_PID").map { $0 == "\(getpid())" } ?? true
        watchdog = own ? variable("WATCHDOG_USEC").flatMap(UInt64.init).map { $0 &* 1000 } : nil
    }

    /// What it is told.
    package enum Message: Hashable, Sendable {
        /// All is set up.
        case ready
        /// The configuration is read again.
        case reloading
        /// On the way out.
        case stopping
        /// A sign of life.
        case alive
        /// In words, for `systemctl status`.
        case status(String)

        fileprivate var lines: String {
            switch self {
            case .ready: return "READY=1"
            case .reloading:
                return "RELOADING=1\nMONOTONIC_USEC=\(SystemClock.system.monotonic() / 1000)"
            case .stopping: return "STOPPING=1"
            case .alive: return "WATCHDOG=1"
            case .status(let text):
                let line = text.map { $0.isNewline ? " " : $0 }
                return "STATUS=\(String(line))"
            }
        }
    }

    /// Tells it, and does not wait; a manager that does not listen is no reason to stop.
    package func tell(_ message: Message) {
        guard let address = SocketAddress(path: path) else { return }
        let kind = Int32(bitPattern: SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
        let descriptor = Glibc.socket(AF_UNIX, kind, 0)
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        let bytes = Array(message.lines.utf8.prefix(SupervisorLink.longestMessage))
        _ = unsafe bytes.withUnsafeBytes { buffer in
            // Safety: the call reads the bytes and the address, which live for it.
            unsafe address.with {
                unsafe Int32(
                    clamping: sendto(descriptor, buffer.baseAddress, buffer.count, Int32(MSG_NOSIGNAL), $0, $1))
            }
        }
    }
}
