/// What a run put into QEMU: taken out by the run itself, or by the next one when it was killed.
enum QMPLeftovers {
    /// Removes exports, their server, filters, views and scratch space with our prefix; the guest goes on meanwhile.
    /// Lists of changes stay.
    ///
    /// - Throws: ``GuestError`` when something of ours cannot be taken out.
    static func remove(_ client: QMPClient, prefix: String) throws(GuestError) {
        QMPMemory.cancel(client)
        try QMPServer.removeLeftovers(client, prefix: prefix)
        let nodes = try client.execute("query-named-block-nodes", ["flat": true]).elements
        let names = nodes.compactMap { $0["node-name"]?.text }.filter { $0.hasPrefix(prefix) }
        func delete(_ kind: String) throws(GuestError) {
            for name in names where name.dropFirst(prefix.count).hasPrefix(kind) {
                try client.execute("blockdev-del", ["node-name": .text(name)])
            }
        }
        guard !names.isEmpty else { return }
        try delete("s")
        for drive in try QMPGuest.drives(client) {
            guard let node = drive.node, node.hasPrefix(prefix) else { continue }
            try client.execute(
                "qom-set",
                [
                    "path": .text(drive.device), "property": "drive",
                    "value": .text(try original(of: node, client)),
                ])
        }
        try delete("c")
        try delete("t")
    }

    /// The node below a filter of ours. QEMU tells it only in the picture of its graph.
    private static func original(of filter: String, _ client: QMPClient) throws(GuestError) -> String {
        let graph = try client.execute("x-debug-query-block-graph")
        let nodes = graph["nodes"]?.elements ?? []
        let edges = graph["edges"]?.elements ?? []
        let parent = nodes.first { $0["name"]?.text == filter && $0["type"]?.text == "block-driver" }?["id"]
        let edge = edges.first { $0["parent"] == parent && $0["name"]?.text == "file" }
        guard let child = edge?["child"], let name = nodes.first(where: { $0["id"] == child })?["name"]?.text else {
            throw GuestError(
                .refused,
                "QEMU does not say what lies below \(filter), a filter that an earlier run left; it does no harm, and "
                    + "goes when the guest is started anew")
        }
        return name
    }

    /// Removes lists of changes that may be there.
    ///
    /// - Returns: what could not be removed, in words.
    @discardableResult
    static func removeLists(_ client: QMPClient, node: String, _ names: [String]) -> [String] {
        names.compactMap { name in
            do throws(GuestError) {
                try client.execute("block-dirty-bitmap-remove", ["node": .text(node), "name": .text(name)])
                return nil
            } catch {
                return error.sentence
            }
        }
    }
}
