import CLinux
import Glibc

/// The system's log, for what must be said when nobody may be looking any more.
package enum SystemLog {
    /// How urgent a line is, numbered as syslog(3) and the journal number it.
    package enum Level: Int32, Hashable, Sendable {
        case critical = 2
        case error = 3
        case warning = 4
        case notice = 5
        case information = 6
    }

    /// Where the journal of systemd takes entries.
    package static let journalSocket = "/run/systemd/journal/socket"
    /// Most bytes of one entry for the journal: what the kernel takes as one datagram with its ordinary buffers.
    package static let longestEntry = 64 << 10

    private static let alertLevel: Int32 = 1
    /// The facility of services of a host (RFC 5424).
    package static let daemonFacility: Int32 = 3

    /// Writes a line at the level of alerts.
    package static func alert(_ line: String) {
        // Safety: the text is terminated and lives through the call.
        unsafe log_line(alertLevel, daemonFacility, line)
    }

    /// Writes a line.
    ///
    /// - Parameter facility: its number in RFC 5424: 1 user, 3 daemon, 16 to 23 local0 to local7.
    package static func write(_ line: String, _ level: Level, facility: Int32 = daemonFacility) {
        // Safety: the text is terminated and lives through the call.
        unsafe log_line(level.rawValue, facility, line)
    }

    /// Gives the journal one entry in its native protocol, and does not wait should it not take any now.
    ///
    /// - Parameters:
    ///   - entry: fields, at most ``longestEntry`` bytes.
    ///   - path: absolute path of the journal's socket, at most 107 bytes.
    /// - Throws: ``FileError``, also when nobody listens there.
    package static func journal(_ entry: [UInt8], at path: String = journalSocket) throws(FileError) {
        precondition(entry.count <= longestEntry, "an entry for the journal is one datagram")
        guard let address = SocketAddress(path: path) else {
            throw HostFiles.failure(ENAMETOOLONG, "cannot reach the journal at", path)
        }
        let kind = Int32(bitPattern: SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
        let descriptor = Glibc.socket(AF_UNIX, kind, 0)
        guard descriptor >= 0 else { throw HostFiles.failure(errno, "cannot make a socket for", path) }
        defer { close(descriptor) }
        while true {
            let count = unsafe entry.withUnsafeBytes { bytes in
                // Safety: the call reads the bytes and the address, which live for it.
                unsafe address.with {
                    unsafe Int32(
                        clamping: sendto(
                            descriptor, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL), $0, $1))
                }
            }
            if count >= 0 { return }
            if errno != EINTR { throw HostFiles.failure(errno, "cannot write to the journal at", path) }
        }
    }
}
