import CLinux
import Glibc

/// Who is at the other end of a unix socket, as the kernel vouches for.
package struct SocketPeer: Hashable, Sendable {
    /// The process's number.
    package let process: Int32
    /// The user's number.
    package let user: UInt32
    /// Numbers of its groups, the first one first.
    package let groups: [UInt32]

    /// - Parameters: see the properties.
    package init(process: Int32, user: UInt32, groups: [UInt32]) {
        self.process = process
        self.user = user
        self.groups = groups
    }

    private static let mostGroups = 1024
    /// SO_PEERGROUPS of asm-generic/socket.h, Linux 4.13.
    private static let peerGroups: Int32 = 59

    fileprivate init?(of descriptor: Int32) {
        var credentials = peer_credentials()
        var size = socklen_t(MemoryLayout<peer_credentials>.size)
        // Safety: the structure has room for what is asked.
        guard unsafe getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &credentials, &size) == 0, credentials.pid > 0
        else { return nil }
        var further = [UInt32](repeating: 0, count: SocketPeer.mostGroups)
        size = socklen_t(further.count * MemoryLayout<UInt32>.size)
        // Safety: the array has the room that is said; an older kernel knows no further groups.
        let isKnown = unsafe getsockopt(descriptor, SOL_SOCKET, SocketPeer.peerGroups, &further, &size) == 0
        let count = isKnown ? Int(size) / MemoryLayout<UInt32>.size : 0
        process = credentials.pid
        user = credentials.uid
        groups = [credentials.gid] + further[..<count]
    }

    /// The user's name; its number when it has none.
    package var userName: String {
        // Safety: the entry is copied before anything else of this thread asks for one.
        guard let entry = unsafe getpwuid(user), let name = unsafe entry.pointee.pw_name else { return "\(user)" }
        return unsafe String(cString: name)
    }

    /// The number of a group; `nil` when there is none of that name.
    package static func group(named name: String) -> UInt32? {
        // Safety: the entry is read before anything else of this thread asks for one.
        unsafe getgrnam(name).map { entry in unsafe entry.pointee.gr_gid }
    }
}

/// A unix socket at which a service is asked: one line from whoever connects, one line back.
///
/// It never waits for anybody: whoever is slow is served when the rest is there, and let go when it takes too long. One
/// thread uses it.
@safe package final class ControlSocket {
    /// Connections at once; more wait in the kernel's queue.
    package static let mostConnections = 16
    /// Most bytes of a question.
    package static let longestQuestion = 64 << 10
    /// How long a connection may take for its question and to take the answer, nanoseconds.
    package static let patience: UInt64 = 5_000_000_000
    private static let backlog: Int32 = 32
    private static let pieceByteCount = 16 << 10

    private struct Connection {
        let descriptor: Int32
        let peer: SocketPeer
        let deadline: UInt64
        var received: [UInt8] = []
        /// What is still to be sent; `nil` before there is an answer.
        var answer: [UInt8]?
        var sent = 0
    }

    // Safety: private, set once and closed once.
    private let descriptor: Int32
    private let path: String
    private let clock: SystemClock
    private var connections: [Connection] = []

    /// Listens. What lies at the path from an earlier service that does not answer any more is replaced.
    ///
    /// - Parameters:
    ///   - path: absolute path, at most 107 bytes; its folder exists.
    ///   - group: may connect besides the owner; `nil` for nobody else.
    /// - Throws: ``FileError``.
    package init(path: String, group: UInt32?, clock: SystemClock = .system) throws(FileError) {
        guard let address = SocketAddress(path: path) else {
            throw HostFiles.failure(ENAMETOOLONG, "cannot listen at", path)
        }
        let kind = Int32(bitPattern: SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
        let descriptor = Glibc.socket(AF_UNIX, kind, 0)
        guard descriptor >= 0 else { throw HostFiles.failure(errno, "cannot make a socket for", path) }
        // Safety: the call reads the address only.
        guard unsafe address.with({ unsafe connect(descriptor, $0, $1) }) != 0 else {
            close(descriptor)
            throw HostFiles.failure(EADDRINUSE, "somebody else answers at", path)
        }
        HostPaths.removeSocket(path)
        let previous = umask(0o177)
        // Safety: the call reads the address only.
        let bound = unsafe address.with { unsafe bind(descriptor, $0, $1) }
        let failure = errno
        umask(previous)
        guard bound == 0 else {
            close(descriptor)
            throw HostFiles.failure(failure, "cannot listen at", path)
        }
        // Safety: the path lives through the calls.
        let given = group.map { unsafe chown(path, uid_t.max, $0) == 0 && chmod(path, 0o660) == 0 } ?? true
        guard given, listen(descriptor, ControlSocket.backlog) == 0 else {
            let failure = errno
            close(descriptor)
            throw HostFiles.failure(failure, "cannot listen at", path)
        }
        self.descriptor = descriptor
        self.path = path
        self.clock = clock
    }

    deinit {
        for connection in connections { close(connection.descriptor) }
        close(descriptor)
        HostPaths.removeSocket(path)
    }

    /// Serves until something was answered or the time is up.
    ///
    /// - Parameters:
    ///   - milliseconds: to wait for somebody at most.
    ///   - answer: gives the line that goes back, without its end.
    package func serve(waiting milliseconds: Int, _ answer: (SocketPeer, [UInt8]) -> [UInt8]) {
        var entries = connections.map { connection in
            pollfd(
                fd: connection.descriptor, events: Int16(connection.answer == nil ? POLLIN : POLLOUT), revents: 0)
        }
        if connections.count < ControlSocket.mostConnections {
            entries.append(pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0))
        }
        let wait = connections.isEmpty ? milliseconds : min(milliseconds, 100)
        // Safety: the array lives through the call.
        _ = unsafe poll(&entries, nfds_t(entries.count), Int32(clamping: wait))
        while connections.count < ControlSocket.mostConnections, accept() {}
        let now = clock.monotonic()
        connections = connections.compactMap { connection in
            guard let rest = step(connection, answer), now < rest.deadline else {
                close(connection.descriptor)
                return nil
            }
            return rest
        }
    }

    private func accept() -> Bool {
        let new = connection_accept(descriptor)
        guard new >= 0 else { return false }
        guard let peer = SocketPeer(of: new) else {
            close(new)
            return true
        }
        connections.append(
            Connection(descriptor: new, peer: peer, deadline: clock.monotonic() + ControlSocket.patience))
        return true
    }

    /// Reads or writes what goes without waiting. - Returns: `nil` when the connection is over.
    private func step(_ current: Connection, _ answer: (SocketPeer, [UInt8]) -> [UInt8]) -> Connection? {
        var connection = current
        if connection.answer == nil {
            var piece = [UInt8](repeating: 0, count: ControlSocket.pieceByteCount)
            // Safety: the call fills at most the array.
            let count = unsafe recv(connection.descriptor, &piece, piece.count, Int32(MSG_DONTWAIT))
            if count < 0 { return errno == EAGAIN || errno == EINTR ? connection : nil }
            guard count > 0 else { return nil }
            connection.received += piece[..<count]
            guard let end = connection.received.firstIndex(of: UInt8(ascii: "\n")) else {
                return connection.received.count <= ControlSocket.longestQuestion ? connection : nil
            }
            guard end <= ControlSocket.longestQuestion else { return nil }
            connection.answer = answer(connection.peer, Array(connection.received[..<end])) + [UInt8(ascii: "\n")]
        }
        guard let line = connection.answer else { return connection }
        while connection.sent < line.count {
            // Safety: the range lies in the array, which lives for the call.
            let count = unsafe line.withUnsafeBytes { buffer in
                unsafe send(
                    connection.descriptor, buffer.baseAddress.map { unsafe $0 + connection.sent },
                    line.count - connection.sent, Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT))
            }
            if count < 0 { return errno == EAGAIN || errno == EINTR ? connection : nil }
            connection.sent += count
        }
        return nil
    }
}
