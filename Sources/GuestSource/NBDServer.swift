import Glibc
import Synchronization

/// A `qemu-nbd` that serves one image, and the connections to it.
///
/// One process with several connections: measured on two cores, 2.0 GiB/s with two connections to one process, 2.2
/// with a process for each, which would read and cache the image's tables twice. The server leaves by itself when the
/// last connection drops, so it does not outlive this program, however that ends; only one whose connections were all
/// still being made stays (QEMU 7.2), until ``OrphanedServer`` finds it.
final class NBDServer: Sendable {
    let byteCount: UInt64
    let hasAllocationMap: Bool
    private let path: String
    private let pool: ConnectionPool
    /// The one that started the server and can end it; `nil` when stopped.
    private let starter: Mutex<NBDConnection?>

    /// Serves an image for reading.
    convenience init(_ chain: ImageChain, connections: Int) throws(SourceError) {
        let node = "json:" + chain.blockNode
        try self.init(
            path: chain.levels.first?.part.path ?? "", arguments: ["--read-only", node], connections: connections
        ) { NBDServer.reason(node) }
    }

    /// Serves an image for writing; it is complete only after ``finish()``.
    convenience init(writing path: String, format: ImageFormat, connections: Int) throws(SourceError) {
        try self.init(
            path: path, arguments: NBDServer.writingArguments(path, format), connections: connections
        ) { nil }
    }

    /// What a server that writes is called with, behind the number of its connections: zeros that are not written cost
    /// nothing in a new image, and what is made zero in an old one gives its room back.
    static func writingArguments(_ path: String, _ format: ImageFormat) -> [String] {
        ["--format=\(format.driver)", "--cache=writeback", "--discard=unmap", path]
    }

    private init(
        path: String, arguments: [String], connections: Int, reason: () -> String?
    ) throws(SourceError) {
        guard let program = HostProgram.find("qemu-nbd") else {
            let sentence = "\(path) needs qemu-nbd, which is not on PATH; install the package qemu-utils"
            throw SourceError(.serverMissing, sentence, .askOperator)
        }
        let first = try NBDConnection(path: path)
        let command = [program, "--shared=\(connections)"] + arguments
        let all: [NBDConnection]
        do throws(SourceError) {
            all = try NBDServer.start(command, first, connections: connections)
            for connection in all { try connection.finishConnecting() }
        } catch {
            first.killServer()
            throw reason().map { .server(path, $0) } ?? error
        }
        guard let byteCount = first.byteCount else {
            first.killServer()
            throw .server(path, "its size could not be asked for")
        }
        self.path = path
        self.byteCount = byteCount
        hasAllocationMap = first.hasAllocationMap
        pool = ConnectionPool(all, path: path)
        starter = Mutex(first)
    }

    /// Starts the server and begins all connections to it.
    ///
    /// The socket takes them before the server comes to them, and then loses its name: nobody else can connect, and a
    /// kill from then on leaves nothing behind. Before that lies the moment in which libnbd makes the socket and forks.
    private static func start(
        _ command: [String], _ first: NBDConnection, connections: Int
    ) throws(SourceError) -> [NBDConnection] {
        try first.start(command)
        guard let socket = first.socketPath else { throw .server(first.path, "its socket could not be asked for") }
        defer { removeSocket(socket) }
        var all = [first]
        for _ in 1..<connections {
            let next = try NBDConnection(path: first.path)
            try next.connect(socket: socket)
            all.append(next)
        }
        return all
    }

    /// A connection nobody else uses; waits for one. Every one is given back.
    func borrow() async throws(SourceError) -> NBDConnection { try await pool.borrow() }

    /// Gives back what ``borrow()`` gave.
    func giveBack(_ connection: NBDConnection) { pool.giveBack(connection) }

    /// Makes everything written durable and lets the server close the image and leave; then it has left.
    ///
    /// - Precondition: every connection was given back.
    func finish() throws(SourceError) {
        let free = pool.stop()
        // Dropping the starter asks the server to end and waits for it: only then the image's tables are written.
        let first = starter.withLock { starter in
            defer { starter = nil }
            return starter
        }
        defer { withExtendedLifetime(first) {} }
        precondition(!free.isEmpty, "a server is finished when nobody uses it")
        // Flushed on one connection, durable for all: the server says so (NBD_FLAG_CAN_MULTI_CONN).
        try free[0].flush()
        for connection in free { try connection.disconnect() }
    }

    /// Kills the server; later reads throw `closed`. Waits for a read under way on the first connection, and may make
    /// the others fail. May be called twice.
    func stop() {
        let first = starter.withLock { starter in
            defer { starter = nil }
            return starter
        }
        first?.killServer()
        pool.stop()
    }

    /// Ends the server as ``stop()`` does, but lets it close the image that it writes first, for some seconds: another
    /// run may then go on with it. No signal could ask for that: servers inherit that threads of the pool block them.
    ///
    /// - Precondition: every connection was given back.
    func leave() {
        // All but the starter are closed here.
        pool.stop()
        let first = starter.withLock { starter in
            defer { starter = nil }
            return starter
        }
        guard let starter = first else { return }
        starter.leave()
        HostFile.waitForWriter(path)
        starter.killServer()
    }

    deinit { stop() }

    private static func removeSocket(_ socket: String) {
        guard let slash = socket.lastIndex(of: "/"), slash != socket.startIndex else { return }
        // Safety: both paths are terminated copies for the calls. A folder that holds anything else stays.
        unsafe unlink(socket)
        unsafe rmdir(String(socket[..<slash]))
    }

    /// QEMU's own words for why it does not open `node`; `nil` when it opens after all.
    private static func reason(_ node: String) -> String? {
        guard let program = HostProgram.find("qemu-img") else { return nil }
        let result = HostProgram.run([program, "info", "-U", node])
        guard result.status != 0 else { return nil }
        // The message repeats the node; what follows it is the reason.
        let text = result.errorText.split(separator: "\n").first.map(String.init) ?? ""
        let reason = text.range(ofLast: "': ").map { String(text[$0...]) } ?? text
        return reason.isEmpty ? nil : ErrorText.printable(reason)
    }
}

extension String {
    /// Where the text behind the last `mark` begins.
    fileprivate func range(ofLast mark: String) -> Index? {
        var start = endIndex
        while start > startIndex {
            start = index(before: start)
            if self[start...].hasPrefix(mark) { return index(start, offsetBy: mark.count) }
        }
        return nil
    }
}

extension SourceError {
    static func server(_ path: String, _ reason: String) -> SourceError {
        SourceError(
            .serverFailed,
            "\(path) could not be read through qemu-nbd: \(reason); when nobody ended that, the image may be "
                + "damaged: see `qemu-img check`, read it whole with `qemu-img convert`, or copy it again", .retry)
    }
}
