/// A list of changes that a hypervisor keeps for this program: a checkpoint of libvirt, or a dirty bitmap of QEMU.
package struct KeptChangeList: Hashable, Sendable {
    /// Its name, which begins with ``CaptureRequest/ownPrefix``.
    package let name: String
    /// What it is of: disks, or the name of the block node that has it when no disk reads that one directly.
    package let disks: [String]
    /// Where QEMU keeps it; `nil` for a checkpoint.
    let node: String?

    /// A list from its fields.
    package init(name: String, disks: [String], node: String? = nil) {
        self.name = name
        self.disks = disks
        self.node = node
    }

    /// Whether it is of the repository with that id, in hexadecimal.
    package func isOf(repository: String) -> Bool {
        name.hasPrefix("\(CaptureRequest.ownPrefix)\(repository.prefix(8))-")
    }
}

extension QMPGuest {
    package func changeLists() async throws -> [KeptChangeList] {
        try withMonitor { client in
            let drives = try QMPGuest.drives(client)
            var found: [KeptChangeList] = []
            for value in try client.execute("query-named-block-nodes", ["flat": true]).elements {
                guard let node = value["node-name"]?.text else { continue }
                guard !node.hasPrefix(CaptureRequest.ownPrefix) else {
                    throw GuestError(
                        .busy,
                        "the guest behind \(socket) is being captured, or a run that was killed left its parts in it; "
                            + "wait until that run ends, or back it up once more")
                }
                let disk = drives.first { $0.node == node }?.name ?? node
                for bitmap in (value["dirty-bitmaps"]?.elements ?? []).compactMap(ChangeListPlan.Bitmap.init)
                where bitmap.name.hasPrefix(CaptureRequest.ownPrefix) {
                    found.append(KeptChangeList(name: bitmap.name, disks: [disk], node: node))
                }
            }
            return found.sorted { ($0.disks.first ?? "", $0.name) < ($1.disks.first ?? "", $1.name) }
        }
    }

    package func forget(_ list: KeptChangeList) async throws -> [String] {
        guard let node = list.node, list.name.hasPrefix(CaptureRequest.ownPrefix) else { return [] }
        return withMonitor { client in QMPLeftovers.removeLists(client, node: node, [list.name]) }
    }
}

extension LibvirtGuest {
    package func changeLists() async throws -> [KeptChangeList] {
        try ask("asking for its checkpoints") { domain throws(LibvirtFailure) in
            var found: [KeptChangeList] = []
            for checkpoint in try domain.checkpoints() where checkpoint.name.hasPrefix(CaptureRequest.ownPrefix) {
                let facts = CheckpointFacts(xml: try checkpoint.xml(withSizes: false))
                let disks = (facts?.disks ?? [:]).filter { $0.value.bitmap != nil }.keys.sorted()
                found.append(KeptChangeList(name: checkpoint.name, disks: disks))
            }
            return found
        }
    }

    package func forget(_ list: KeptChangeList) async throws -> [String] {
        guard list.node == nil, list.name.hasPrefix(CaptureRequest.ownPrefix) else { return [] }
        let state = try state
        guard state == .running || state == .paused else {
            throw GuestError(
                .wrongState,
                "the guest \(name) is \(state.rawValue), and libvirt takes lists of changes away from guests that run "
                    + "only; start it, and stop it again afterwards")
        }
        let isBusy = try ask("asking for its backup job") { domain throws(LibvirtFailure) in
            try domain.backup() != nil
        }
        guard !isBusy else {
            throw GuestError(.busy, "a backup of the guest \(name) runs; wait until it ends")
        }
        return removeCheckpoint(list.name)
    }
}
