import Effects

/// QEMU's server of disks (NBD), of which it has one.
///
/// QEMU does not say who started it, and a run may be killed before its server serves anything. So a mark lies in QEMU
/// from before the server is started until it is ended: an object that does nothing. A server with the mark and without
/// anybody else's disks is ours.
enum QMPServer {
    private static func mark(_ prefix: String) -> String { prefix + "server" }

    private static func isMarked(_ client: QMPClient, _ prefix: String) throws(GuestError) -> Bool {
        let objects = try client.execute("qom-list", ["path": "/objects"]).elements
        return objects.contains { $0["name"]?.text == mark(prefix) }
    }

    /// Starts it, on a socket of ours that QEMU gets as an open one: it may see other files than we do.
    ///
    /// - Parameters:
    ///   - path: where the socket is made; the caller removes it.
    ///   - prefix: of names that are ours.
    /// - Throws: ``GuestError``: `busy` when somebody else serves disks; `scratch`.
    static func start(_ client: QMPClient, at path: String, prefix: String) throws(GuestError) {
        let listening: PassedDescriptor
        do throws(FileError) { listening = try PassedDescriptor(listeningAt: path) } catch {
            throw GuestError(.scratch, error.sentence)
        }
        let name = JSONValue.text("\(prefix)nbd")
        try client.execute("getfd", ["fdname": name], passing: listening)
        // It is there when somebody serves disks by a server that an earlier run left, and has to stay until they end.
        let wasMarked = try isMarked(client, prefix)
        if !wasMarked {
            try client.execute("object-add", ["qom-type": "throttle-group", "id": .text(mark(prefix))])
        }
        do throws(GuestError) {
            try client.execute(
                "nbd-server-start",
                ["addr": ["type": "fd", "data": ["str": name]], "max-connections": .integer(64)])
        } catch {
            if !wasMarked { try client.execute("object-del", ["id": .text(mark(prefix))]) }
            throw GuestError(
                .busy,
                "\(error.sentence); another program serves disks of this guest, and QEMU has one server: wait until it "
                    + "is done")
        }
    }

    /// Ends it.
    ///
    /// - Throws: ``GuestError``.
    static func stop(_ client: QMPClient, prefix: String) throws(GuestError) {
        try client.execute("nbd-server-stop")
        try client.execute("object-del", ["id": .text(mark(prefix))])
    }

    /// Removes the exports of a run that was killed, and its server unless somebody else serves disks by it now.
    ///
    /// - Throws: ``GuestError``.
    static func removeLeftovers(_ client: QMPClient, prefix: String) throws(GuestError) {
        let exports = try client.execute("query-block-exports").elements.compactMap { $0["id"]?.text }
        for export in exports where export.hasPrefix(prefix) { try remove(export, client) }
        guard exports.allSatisfy({ $0.hasPrefix(prefix) }), try isMarked(client, prefix) else { return }
        // Killed before it was started, or after it was ended: there may be none.
        _ = try? client.execute("nbd-server-stop")
        try client.execute("object-del", ["id": .text(mark(prefix))])
    }

    /// Makes sure that nobody else serves disks, before something that takes long.
    ///
    /// - Throws: as ``start(_:at:prefix:)``.
    static func requireFree(_ client: QMPClient, at path: String, prefix: String) throws(GuestError) {
        defer { HostPaths.removeSocket(path) }
        try start(client, at: path, prefix: prefix)
        try stop(client, prefix: prefix)
    }

    /// Lets QEMU have its images open again, which it gave up at the end of a migration stream, with the guest still
    /// stopped: it opens what it is to export. Then it has their lists of changes again, too.
    ///
    /// - Parameters:
    ///   - nodes: of which each is exported for a moment, to nobody.
    ///   - path: as for ``start(_:at:prefix:)``.
    /// - Throws: ``GuestError``.
    static func reopen(
        _ nodes: [String], _ client: QMPClient, at path: String, prefix: String
    ) throws(GuestError) {
        defer { HostPaths.removeSocket(path) }
        try start(client, at: path, prefix: prefix)
        var failure: GuestError?
        do throws(GuestError) {
            for (number, node) in nodes.enumerated() {
                let export = "\(prefix)a\(number)"
                try client.execute(
                    "block-export-add",
                    ["type": "nbd", "id": .text(export), "node-name": .text(node), "name": .text(export)])
                try remove(export, client)
            }
        } catch { failure = error }
        try stop(client, prefix: prefix)
        if let failure { throw failure }
    }

    /// Takes an export away, whoever reads it, and waits until it is gone.
    private static func remove(_ export: String, _ client: QMPClient) throws(GuestError) {
        try client.execute("block-export-del", ["id": .text(export), "mode": "hard"])
        try client.event("BLOCK_EXPORT_DELETED") { $0["id"]?.text == export }
    }
}
