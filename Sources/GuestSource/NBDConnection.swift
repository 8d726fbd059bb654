import BackupModel
import CNBD
import Glibc

/// One connection to an NBD server; one request at a time.
///
/// Safety: a libnbd handle has a lock of its own; it is closed once, by the deinitialiser.
@safe final class NBDConnection: @unchecked Sendable {
    /// Most bytes of one request. Smaller ones cost more system calls; with larger ones the server's copy has left its
    /// processor's cache before it is sent. Measured with `nbdcopy` beside it (docs/performance.md): 1 MiB 0.77 of its
    /// speed, 512 KiB 1.24, 256 KiB 1.12, 128 KiB 0.98.
    private static let largestRead = 512 << 10
    /// Requests of one read that are under way at once.
    private static let readsInFlight = 4
    // The protocol counts the length of a request in 32 bits.
    private static let largestQuestion: UInt64 = 1 << 30
    /// Milliseconds between two looks whether the task was cancelled.
    private static let patience: Int32 = 200

    // Safety: valid from the initialiser's end to the deinitialiser.
    let handle: OpaquePointer
    let path: String
    private let peer: Peer
    /// Whether a request was given up: its buffer is not to be written any more, so no call follows but the close.
    private var isAbandoned = false

    /// Whom a connection talks to, which decides the words of its errors.
    enum Peer {
        /// A `qemu-nbd` of ours that serves an image.
        case ownServer
        /// A guest's hypervisor, which serves a disk of it.
        case hypervisor

        func failure(_ path: String, _ reason: String) -> SourceError {
            switch self {
            case .ownServer: .server(path, reason)
            case .hypervisor: .exported(path, reason)
            }
        }
    }

    /// Name of the context that tells holes from data.
    static let allocation = "base:allocation"

    /// An unconnected handle.
    ///
    /// - Parameters:
    ///   - path: the image, for messages.
    ///   - export: name of the export; QEMU's own server of one image has one without a name.
    ///   - contexts: what is going to be asked about ranges, besides allocation.
    init(
        path: String, peer: Peer = .ownServer, export: String = "", contexts: [String] = []
    ) throws(SourceError) {
        // Safety: a null answer is handled; otherwise the handle is ours until the deinitialiser.
        guard let handle = unsafe nbd_create() else { throw peer.failure(path, NBDConnection.lastMessage()) }
        unsafe self.handle = handle
        self.path = path
        self.peer = peer
        // Safety: the names are copied by the calls, here and below.
        if !export.isEmpty { unsafe nbd_set_export_name(handle, export) }
        for context in [NBDConnection.allocation] + contexts { unsafe nbd_add_meta_context(handle, context) }
        // The server is ours and fills every byte it promises; zeroing the buffer first would halve the speed.
        unsafe nbd_set_pread_initialize(handle, false)
    }

    deinit { unsafe nbd_close(handle) }

    private func failure() -> SourceError { peer.failure(path, NBDConnection.lastMessage()) }

    /// Starts `command` (its first word an absolute path) with a listening socket in a private folder, and begins to
    /// connect to it: the socket has taken the connection, the server may not have come to it yet.
    func start(_ command: [String]) throws(SourceError) {
        // Safety: the words are copied for the call and freed after it; libnbd copies them as well.
        var words: [UnsafeMutablePointer<CChar>?] = unsafe command.map { word in unsafe strdup(word) }
        unsafe words.append(nil)
        defer { unsafe words.forEach { word in unsafe free(word) } }
        let status = unsafe nbd_aio_connect_systemd_socket_activation(handle, &words)
        if status != 0 { throw failure() }
    }

    /// Begins to connect, as ``start(_:)`` does.
    func connect(socket: String) throws(SourceError) {
        guard unsafe nbd_aio_connect_unix(handle, socket) == 0 else { throw failure() }
    }

    /// Waits until the server has answered, or is gone.
    func finishConnecting() throws(SourceError) {
        // Safety: the handle lives as long as this object, here and below.
        while unsafe nbd_aio_is_connecting(handle) == 1 {
            try poll()
        }
        guard unsafe nbd_aio_is_ready(handle) == 1 else { throw failure() }
    }

    /// Ends the server this connection started, at once; it only reads.
    func killServer() {
        _ = unsafe nbd_kill_subprocess(handle, SIGKILL)
    }

    var byteCount: UInt64? {
        let size = unsafe nbd_get_size(handle)
        return size < 0 ? nil : UInt64(size)
    }

    var hasAllocationMap: Bool { has(NBDConnection.allocation) }

    /// Whether the server answers questions about a context.
    func has(_ context: String) -> Bool { unsafe nbd_can_meta_context(handle, context) == 1 }

    /// The file name of the server's socket: the other end's address.
    var socketPath: String? {
        var address = sockaddr_un()
        var length = socklen_t(MemoryLayout<sockaddr_un>.size)
        let descriptor = unsafe nbd_aio_get_fd(handle)
        // Safety: the address has room for `length` bytes; the path in it is read only as far as it was written.
        return unsafe withUnsafeMutablePointer(to: &address) { pointer -> String? in
            let status = unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { general in
                unsafe getpeername(descriptor, general, &length)
            }
            let start = MemoryLayout<sockaddr_un>.offset(of: \.sun_path) ?? 2
            guard status == 0, Int(length) > start else { return nil }
            let bytes = unsafe UnsafeRawBufferPointer(start: pointer, count: Int(length))[start...].prefix { $0 != 0 }
            return unsafe bytes.first == UInt8(ascii: "/") ? String(decoding: bytes, as: UTF8.self) : nil
        }
    }

    /// Smallest unit the server reads, in bytes: 1 for most formats, 512 for VHDX.
    private var unit: UInt64 {
        // Safety: the handle is connected; 0 asks for the minimum, and a negative or zero answer means none.
        UInt64(max(1, unsafe nbd_get_block_size(handle, 0)))
    }

    func read(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws(SourceError) {
        let unit = unit
        var done = 0
        // Cookies of the requests under way, oldest first.
        var flying: [Int64] = []
        flying.reserveCapacity(NBDConnection.readsInFlight)
        while done < buffer.count {
            let position = offset + UInt64(done)
            let skipped = position % unit
            let rest = buffer.count - done
            if skipped != 0 || UInt64(rest) < unit {
                // An edge that cuts a unit: the unit is read beside the buffer. Regions have no such edges.
                let bytes = try wholeUnit(at: position - skipped, count: Int(unit))
                let piece = bytes.dropFirst(Int(skipped)).prefix(rest)
                // Safety: the piece is not longer than what is left of the buffer.
                unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[done...]).copyBytes(from: piece)
                done += piece.count
            } else {
                if flying.count == NBDConnection.readsInFlight { try complete(flying.removeFirst()) }
                let count = min(NBDConnection.largestRead, rest / Int(unit) * Int(unit))
                // Safety: the piece lies inside the caller's buffer.
                flying.append(
                    try unsafe ask(position, UnsafeMutableRawBufferPointer(rebasing: buffer[done..<(done + count)])))
                done += count
            }
        }
        for cookie in flying { try complete(cookie) }
    }

    private func wholeUnit(at offset: UInt64, count: Int) throws(SourceError) -> [UInt8] {
        let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 16)
        // Safety: allocated, filled by the request, copied and freed here.
        defer { unsafe bytes.deallocate() }
        try unsafe request(offset, bytes)
        return unsafe Array(bytes)
    }

    private func request(_ offset: UInt64, _ buffer: UnsafeMutableRawBufferPointer) throws(SourceError) {
        try complete(try unsafe ask(offset, buffer))
    }

    /// Begins a read. - Returns: its cookie.
    private func ask(_ offset: UInt64, _ buffer: UnsafeMutableRawBufferPointer) throws(SourceError) -> Int64 {
        guard !isAbandoned else { throw .closed(path) }
        // Safety: libnbd writes `count` bytes into the buffer, only during calls with this handle; when a request is
        // given up, or fails beside others, there are no more of them until the handle is closed.
        return unsafe nbd_aio_pread(
            handle, buffer.baseAddress, buffer.count, offset,
            nbd_completion_callback(callback: nil, user_data: nil, free: nil), 0)
    }

    /// Waits for the answer to a request, as long as the task is not cancelled: a server that is stopped never answers.
    private func complete(_ cookie: Int64) throws(SourceError) {
        // Others of the same read may be under way with the same buffer: after a failure no call follows but the close.
        guard cookie >= 0 else {
            isAbandoned = true
            throw failure()
        }
        // Safety: the handle lives as long as this object, here and below.
        while true {
            switch unsafe nbd_aio_command_completed(handle, UInt64(cookie)) {
            case 1: return
            case 0: try poll()
            default:
                isAbandoned = true
                throw failure()
            }
        }
    }

    private func poll() throws(SourceError) {
        // Safety: the handle lives as long as this object.
        guard unsafe nbd_poll(handle, NBDConnection.patience) >= 0 else {
            throw failure()
        }
        if Task.isCancelled {
            isAbandoned = true
            throw SourceError(.interrupted, "interrupted while waiting for the server of \(path)", .retry)
        }
    }

    func extents(in range: Extent, mapped: Bool) throws(SourceError) -> [SourceExtent] {
        var list = ExtentList(covering: range)
        if mapped {
            try statuses(NBDConnection.allocation, in: range) { flags, end in
                list.append(flags & NBDConnection.readsAsZero != 0 ? .hole : .data, upTo: end)
            }
        } else {
            list.append(.data, upTo: range.end)
        }
        return list.extents
    }

    // Bit 1 of base:allocation: reads as zeros. A hole without it has unknown content and is read.
    private static let readsAsZero: UInt32 = 2
    // Bit 0 of qemu:dirty-bitmap: written since the bitmap began.
    private static let isDirty: UInt32 = 1

    /// The parts of a range that a dirty bitmap names, ascending and apart.
    ///
    /// - Parameter context: `qemu:dirty-bitmap:NAME`, given when the connection was made.
    func dirtyExtents(_ context: String, in range: Extent) throws(SourceError) -> [Extent] {
        var dirty: [Extent] = []
        var position = range.start
        try statuses(context, in: range) { flags, end in
            let end = min(end, range.end)
            defer { position = end }
            guard flags & NBDConnection.isDirty != 0, end > position else { return }
            if let last = dirty.last, last.end == position {
                dirty[dirty.count - 1] = Extent(start: last.start, length: end - last.start)
            } else {
                dirty.append(Extent(start: position, length: end - position))
            }
        }
        return dirty
    }

    /// Asks about a range piece by piece; `take` gets the flags of each stretch and where it ends, ascending, the last
    /// at the range's end or a little behind it.
    private func statuses(
        _ context: String, in range: Extent, take: (UInt32, UInt64) -> Void
    ) throws(SourceError) {
        let unit = unit
        var before = range.start
        while before < range.end {
            // Questions are asked in whole units too; whoever takes the answers cuts them.
            var position = before - before % unit
            let answer = StatusAnswer(context)
            // Safety: libnbd holds `answer` until it lets go of the callback, which it does also when the call fails
            // or the handle is closed.
            let callback = unsafe nbd_extent_callback(
                callback: { user, name, _, entries, count, _ in
                    guard let user = unsafe user, let name = unsafe name, let entries = unsafe entries else {
                        return -1
                    }
                    let answer = unsafe Unmanaged<StatusAnswer>.fromOpaque(user).takeUnretainedValue()
                    guard unsafe strcmp(name, answer.context) == 0 else { return 0 }
                    unsafe answer.take(UnsafeBufferPointer(start: entries, count: count))
                    return 0
                }, user_data: Unmanaged.passRetained(answer).toOpaque(),
                free: { user in
                    guard let user = unsafe user else { return }
                    unsafe Unmanaged<StatusAnswer>.fromOpaque(user).release()
                })
            let length = (range.end - position + unit - 1) / unit * unit
            let count = min(length, NBDConnection.largestQuestion)
            guard !isAbandoned else { throw .closed(path) }
            let cookie = unsafe nbd_aio_block_status(
                handle, count, position, callback,
                nbd_completion_callback(callback: nil, user_data: nil, free: nil), 0)
            try complete(cookie)
            for piece in answer.pieces {
                position += piece.length
                if position > before { take(piece.flags, position) }
            }
            if position <= before {
                throw peer.failure(path, "the server gave no answer about \(context) at \(before)")
            }
            before = position
        }
    }

    // libnbd keeps the message per thread; asked for before anything else runs on this one.
    static func lastMessage() -> String {
        guard let text = unsafe nbd_get_error() else { return "no message" }
        return unsafe String(cString: text)
    }
}

/// What one question about a range brought.
private final class StatusAnswer {
    let context: String
    var pieces: [(flags: UInt32, length: UInt64)] = []

    init(_ context: String) { self.context = context }

    func take(_ entries: UnsafeBufferPointer<UInt32>) {
        for index in stride(from: 0, to: entries.count - 1, by: 2) {
            // Safety: both indexes are below the count.
            let (length, flags) = unsafe (entries[index], entries[index + 1])
            pieces.append((flags, UInt64(length)))
        }
    }
}
