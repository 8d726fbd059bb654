package import Effects

/// How a guest is reached: what a command line or a policy says, and what a second process needs to reach it too.
package enum GuestAddress: Hashable, Sendable {
    /// A QEMU of its own, by the socket of its monitor and that of its guest agent.
    case monitor(socket: String, agent: String?)
    /// A guest of a libvirt, by the libvirt's URI and the guest's name or UUID.
    case libvirt(uri: String, domain: String)
    /// A guest of Xen's own toolstack, by its name or UUID.
    case xen(domain: String)

    /// Connects. - Throws: ``GuestError``.
    package func open(clock: SystemClock = .system) async throws -> any Guest {
        switch self {
        case .monitor(let socket, let agent): try QMPGuest(socket: socket, agent: agent, clock: clock)
        case .libvirt(let uri, let domain): try LibvirtHost(uri: uri, clock: clock).guest(named: domain)
        case .xen(let domain): try XenHost(clock: clock).guest(named: domain)
        }
    }

    /// Where what the guest overwrites is kept, unless the operator says something else; `nil` for anywhere.
    ///
    /// libvirt's QEMU is another user than root and opens scratch files by their path, so that everything above them
    /// has to let it pass; libvirt's own folder does.
    package var usualScratchFolder: String? {
        guard case .libvirt = self, HostPaths.isRoot, HostPaths.isFolder(GuestAddress.libvirtFolder) else {
            return nil
        }
        return "\(GuestAddress.libvirtFolder)/dozo"
    }
    private static let libvirtFolder = "/var/lib/libvirt"
}
