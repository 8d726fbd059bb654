import Effects

/// QEMU's server of disks (NBD), of which it has one.
enum QMPServer {
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
        do throws(GuestError) {
            try client.execute(
                "nbd-server-start",
                ["addr": ["type": "fd", "data": ["str": name]], "max-connections": .integer(64)])
        } catch {
            throw GuestError(
                .busy,
                "\(error.sentence); another program serves disks of this guest, and QEMU has one server: wait until it "
                    + "is done")
        }
    }

    /// Makes sure that nobody else serves disks, before something that takes long.
    ///
    /// - Throws: as ``start(_:at:prefix:)``.
    static func requireFree(_ client: QMPClient, at path: String, prefix: String) throws(GuestError) {
        defer { HostPaths.removeSocket(path) }
        try start(client, at: path, prefix: prefix)
        try client.execute("nbd-server-stop")
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
        try client.execute("nbd-server-stop")
        if let failure { throw failure }
    }

    /// Takes an export away, whoever reads it, and waits until it is gone.
    static func remove(_ export: String, _ client: QMPClient) throws(GuestError) {
        try client.execute("block-export-del", ["id": .text(export), "mode": "hard"])
        try client.event("BLOCK_EXPORT_DELETED") { $0["id"]?.text == export }
    }
}
