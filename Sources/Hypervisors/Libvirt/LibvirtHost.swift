package import Effects
import Synchronization

/// A libvirt, and the guests that it knows.
///
/// Connected anew when the daemon was restarted: what a capture began goes on in QEMU meanwhile.
package final class LibvirtHost: Sendable {
    /// Where the daemon of the system answers.
    package static let systemURI = "qemu:///system"

    /// Such as `qemu:///system`.
    package let uri: String
    let clock: SystemClock
    let scratchReserve: UInt64
    private let connection: Mutex<LibvirtConnection>

    /// Bytes of scratch space at which a capture is given up. QEMU stops a guest whose overwritten bytes it cannot
    /// keep; so there must be room for what a guest overwrites between two looks, a tenth of a second apart.
    package static let usualScratchReserve: UInt64 = 128 << 20

    /// Connects.
    ///
    /// - Parameter scratchReserve: bytes.
    /// - Throws: ``GuestError`` `missing` without libvirt on this host; `unreachable`.
    package init(
        uri: String = LibvirtHost.systemURI, scratchReserve: UInt64 = LibvirtHost.usualScratchReserve,
        clock: SystemClock = .system
    ) throws(GuestError) {
        self.uri = uri
        self.clock = clock
        self.scratchReserve = scratchReserve
        connection = Mutex(try LibvirtConnection(uri: uri))
    }

    /// The connection, made anew when it was lost.
    func connected() throws(GuestError) -> LibvirtConnection {
        let current = connection.withLock { $0 }
        if current.isAlive { return current }
        let new = try LibvirtConnection(uri: uri)
        connection.withLock { $0 = new }
        return new
    }

    /// Whether the URI names no other host: disks are read through a unix socket of this one.
    package var isLocal: Bool { LibvirtHost.isLocal(uri) }

    /// Whether a URI of libvirt names this host.
    package static func isLocal(_ uri: String) -> Bool {
        let rest = uri.drop { $0 != ":" }
        guard rest.hasPrefix("://") else { return true }
        let host = rest.dropFirst(3).prefix { $0 != "/" && $0 != "?" }
        return ["", "localhost", "127.0.0.1", "[::1]"].contains(String(host))
    }

    /// Where its daemon keeps the states of emulated TPMs.
    package var tpmStates: String { LibvirtHost.tpmStates(of: uri, isRoot: HostPaths.isRoot) }

    /// Where a daemon keeps the states of emulated TPMs, which it does not tell: that of the system below `/var`, that
    /// of a user below the folder with his configuration (taken for this process's own). A daemon of root is that of
    /// the system whatever the URI says, unless the URI names a socket.
    package static func tpmStates(
        of uri: String, isRoot: Bool, configuration: String? = HostPaths.configurationFolder
    ) -> String {
        let parts = uri.drop { $0 != ":" }.dropFirst(3).drop { $0 != "/" }
            .split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        let isOfUser = parts.first == "/session" && (!isRoot || parts.last?.contains("socket=") == true)
        guard isOfUser, let configuration else { return DomainDefinition.systemTPMStates }
        return "\(configuration)/libvirt/qemu/swtpm"
    }

    /// Name of libvirt's driver: `QEMU`, `TEST`, `Xen`.
    package var driver: String { get throws(GuestError) { try connected().driver } }

    /// Versions by name: `libvirt`, and `qemu` or whatever the driver is called.
    package var versions: [String: String] {
        get throws(GuestError) {
            let connection = try connected()
            let (libvirt, hypervisor) = connection.versions
            var versions: [String: String] = [:]
            versions["libvirt"] = libvirt
            versions[connection.driver.lowercased()] = hypervisor
            return versions
        }
    }

    /// All guests, running or not, by name.
    ///
    /// - Throws: ``GuestError``.
    package func guests() throws(GuestError) -> [LibvirtGuest] {
        let connection = try connected()
        do throws(LibvirtFailure) {
            var guests: [LibvirtGuest] = []
            for domain in try connection.domains() {
                guests.append(LibvirtGuest(self, name: domain.name, uuid: try domain.uuid()))
            }
            return guests
        } catch { throw error.guestError("the guests of \(uri) could not be listed") }
    }

    /// The guest of that name or UUID.
    ///
    /// - Throws: ``GuestError`` `noGuest`.
    package func guest(named name: String) throws(GuestError) -> LibvirtGuest {
        let connection = try connected()
        do throws(LibvirtFailure) {
            let domain = try connection.domain(named: name)
            return LibvirtGuest(self, name: domain.name, uuid: try domain.uuid())
        } catch {
            guard error.code == LibvirtFailure.Code.noDomain else {
                throw error.guestError("the guest \(name) could not be looked up at \(uri)")
            }
            throw GuestError(.noGuest, "\(uri) has no guest \(name); `dozo guests --connect \(uri)` lists them")
        }
    }
}
