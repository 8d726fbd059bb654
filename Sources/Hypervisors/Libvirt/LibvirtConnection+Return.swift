/// What a guest that comes back asks of a libvirt.
extension LibvirtConnection {
    /// A network by name.
    func network(_ name: String) -> ReturnFacts.Presence {
        // Safety: the text lives through the call; what is found is freed here.
        guard let found = unsafe calls.networkByName(pointer, name) else {
            return presence(besides: LibvirtFailure.Code.noNetwork)
        }
        defer { _ = unsafe calls.freeNetwork(found) }
        return unsafe calls.isNetworkActive(found) == 1 ? .active : .inactive
    }

    private func presence(besides code: CInt) -> ReturnFacts.Presence {
        let failure = calls.failure()
        return failure.code == code ? .missing : .unknown(failure.message)
    }

    /// A storage pool by name, and a volume of it.
    func pool(_ name: String, volume: String) -> ReturnFacts.Pool {
        // Safety: texts live through the calls; what is found is freed here.
        guard let found = unsafe calls.poolByName(pointer, name) else {
            return ReturnFacts.Pool(presence: presence(besides: LibvirtFailure.Code.noPool))
        }
        defer { _ = unsafe calls.freePool(found) }
        guard unsafe calls.isPoolActive(found) == 1 else {
            return ReturnFacts.Pool(presence: .inactive)
        }
        var folder: String?
        if let xml = try? unsafe calls.text({ unsafe calls.poolXML(found, 0) }),
            let root = try? XMLElement(parsing: xml), ["dir", "fs", "netfs"].contains(root["type"] ?? "")
        {
            folder = root.at("target", "path")?.text
        }
        var path: String?
        if let volume = unsafe calls.volumeByName(found, volume) {
            path = try? unsafe calls.text { unsafe calls.volumePath(volume) }
            _ = unsafe calls.freeVolume(volume)
        }
        return ReturnFacts.Pool(presence: .active, folder: folder, volume: path)
    }

    /// Lets a pool look for volumes that appeared in it.
    func refreshPool(_ name: String) throws(LibvirtFailure) {
        // Safety: the text lives through the call; what is found is freed here.
        guard let found = unsafe calls.poolByName(pointer, name) else { throw calls.failure() }
        defer { _ = unsafe calls.freePool(found) }
        if unsafe calls.refreshPool(found, 0) < 0 { throw calls.failure() }
    }

    /// Asks whether the hypervisor can give a guest the processor that its XML describes.
    ///
    /// - Returns: in libvirt's words why not; `nil` when it can, or when libvirt could not compare.
    func processorProblem(
        _ xml: String, emulator: String?, architecture: String?, machine: String?, kind: String?
    ) -> String? {
        // Safety: texts live through the call. 1: say why it does not fit, as a failure.
        let answer = unsafe calls.compareProcessor(pointer, emulator, architecture, machine, kind, xml, 1)
        guard answer < 0 else { return nil }
        let failure = calls.failure()
        return failure.code == LibvirtFailure.Code.unfitProcessor ? failure.message : nil
    }

    /// Defines a domain, or defines it anew.
    func define(_ xml: String) throws(LibvirtFailure) -> LibvirtDomain {
        // Safety: the text lives through the call; the domain is owned by its object.
        guard let found = unsafe calls.define(pointer, xml) else { throw calls.failure() }
        return unsafe LibvirtDomain(self, found)
    }

    /// Lets a guest go on from a file that `virsh save` wrote, with this description in place of the one inside.
    ///
    /// - Parameter path: absolute, of a file that the daemon may read.
    func restore(_ path: String, xml: String) throws(LibvirtFailure) {
        // 2: let it run, whatever it did when it was saved. Safety: texts live through the call.
        if unsafe calls.restore(pointer, path, xml, 2) < 0 { throw calls.failure() }
    }
}
