import CLinux
import Glibc

/// A unix socket that carries lines, as QEMU's monitor and guest agents do.
///
/// One task uses it at a time. Waiting ends with the task's cancellation.
@safe package final class LineSocket {
    /// What went wrong; the words are for whoever names the other side.
    package enum Failure: Error, Hashable, Sendable {
        /// There is no such socket, or nobody listens; the system's reason.
        case unreachable(String)
        /// The other side is gone; the system's reason, or empty.
        case closed(String)
        /// Nothing came in time.
        case timeout
        /// A line is longer than ``longestLine``.
        case tooLong
        /// The task was cancelled.
        case cancelled
    }

    /// Most bytes of one line; QEMU's longest answers, all block nodes of a guest with many disks, are far below.
    package static let longestLine = 16 << 20
    /// Milliseconds between two looks whether the task was cancelled.
    private static let patience: Int32 = 200
    private static let pieceByteCount = 64 << 10

    // Safety: private, set once and closed once.
    private let descriptor: Int32
    /// Whether a cancelled task goes on with it: for what must be said when everything ends.
    package var ignoresCancellation = false
    private var received: [UInt8] = []
    /// Bytes of `received` in which no line ends.
    private var searched = 0

    /// Connects.
    ///
    /// - Parameter path: absolute path of the socket, at most 107 bytes.
    package init(path: String) throws(Failure) {
        guard let address = SocketAddress(path: path) else {
            throw .unreachable("the path of a socket has at most \(SocketAddress.longestPath) bytes")
        }
        let descriptor = SocketAddress.socket()
        guard descriptor >= 0 else { throw .unreachable(LineSocket.reason(errno)) }
        // Safety: the call reads the address only.
        guard unsafe address.with({ unsafe connect(descriptor, $0, $1) }) == 0 else {
            let reason = LineSocket.reason(errno)
            close(descriptor)
            throw .unreachable(reason)
        }
        self.descriptor = descriptor
    }

    /// A socket that this process was given by the one that started it, as ``CompanionProcess`` does.
    package init(inherited descriptor: Int32) {
        self.descriptor = descriptor
        // Safety: fcntl takes a number.
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
    }

    deinit { close(descriptor) }

    private static func reason(_ number: Int32) -> String {
        // Safety: the text is copied before anything else runs on this thread.
        unsafe strerror(number).map { unsafe String(cString: $0) } ?? "error \(number)"
    }

    /// Sends all of `bytes`, and with their first one an open descriptor.
    package func send(
        _ bytes: [UInt8], passing file: borrowing PassedDescriptor, deadline: UInt64, clock: SystemClock
    ) throws(Failure) {
        try wait(for: Int16(POLLOUT), deadline: deadline, clock: clock)
        // Safety: the call reads the bytes, which live for it.
        let count = unsafe bytes.withUnsafeBytes { buffer in
            unsafe descriptor_send(descriptor, buffer.baseAddress, buffer.count, file.number)
        }
        guard count >= 0 else { throw .closed(LineSocket.reason(errno)) }
        try send(Array(bytes[count...]), deadline: deadline, clock: clock)
    }

    /// Process at the other end; `nil` when the kernel does not say.
    package var peer: Int32? {
        var credentials = peer_credentials()
        var size = socklen_t(MemoryLayout<peer_credentials>.size)
        // Safety: the structure has room for what is asked.
        guard unsafe getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &credentials, &size) == 0 else { return nil }
        return credentials.pid > 0 ? credentials.pid : nil
    }

    /// Sends all of `bytes`.
    package func send(_ bytes: [UInt8], deadline: UInt64, clock: SystemClock) throws(Failure) {
        var done = 0
        while done < bytes.count {
            try wait(for: Int16(POLLOUT), deadline: deadline, clock: clock)
            // Safety: the range lies in the array, which lives for the call.
            let count = unsafe bytes.withUnsafeBytes { buffer in
                unsafe Glibc.send(
                    descriptor, buffer.baseAddress.map { unsafe $0 + done }, bytes.count - done,
                    Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT))
            }
            if count < 0 {
                if errno == EINTR || errno == EAGAIN { continue }
                throw .closed(LineSocket.reason(errno))
            }
            done += count
        }
    }

    /// The next line, without its end.
    ///
    /// - Parameter deadline: on the clock's monotonic scale, nanoseconds.
    package func nextLine(deadline: UInt64, clock: SystemClock) throws(Failure) -> [UInt8] {
        while true {
            if let end = received[searched...].firstIndex(of: UInt8(ascii: "\n")) {
                let line = Array(received[..<end])
                received.removeSubrange(...end)
                searched = 0
                return line
            }
            searched = received.count
            guard received.count <= LineSocket.longestLine else { throw .tooLong }
            try wait(for: Int16(POLLIN), deadline: deadline, clock: clock)
            var piece = [UInt8](repeating: 0, count: LineSocket.pieceByteCount)
            // Safety: the call fills at most the array.
            let count = unsafe recv(descriptor, &piece, piece.count, Int32(MSG_DONTWAIT))
            if count < 0 {
                if errno == EINTR || errno == EAGAIN { continue }
                throw .closed(LineSocket.reason(errno))
            }
            guard count > 0 else { throw .closed("") }
            received += piece[..<count]
        }
    }

    private func wait(for events: Int16, deadline: UInt64, clock: SystemClock) throws(Failure) {
        while true {
            if Task.isCancelled, !ignoresCancellation { throw .cancelled }
            let now = clock.monotonic()
            guard now < deadline else { throw .timeout }
            var entry = pollfd(fd: descriptor, events: events, revents: 0)
            let rest = Int32(clamping: (deadline - now) / 1_000_000 + 1)
            // Safety: one entry, which lives for the call.
            let status = unsafe poll(&entry, 1, min(rest, LineSocket.patience))
            if status > 0 { return }
            if status < 0, errno != EINTR { throw .closed(LineSocket.reason(errno)) }
        }
    }
}
