import Effects
import Hypervisors
import Jobs

/// The guests of all connections that the agent's file names, and of this host's own libvirt.
struct HostGuests {
    /// A guest that was found.
    struct Found {
        let name: String
        let connection: GuestConnection
        let state: String
        /// Of libvirt.
        var libvirt: LibvirtGuest?
        /// Words that people gave it in libvirt; `nil` when its definition could not be understood.
        var tags: Set<String>? = []
    }

    /// Guests, by connection and name.
    private(set) var guests: [Found] = []
    /// Connections that could not be asked, and why.
    private(set) var silences: [(connection: GuestConnection, reason: String)] = []

    /// Asks all connections.
    ///
    /// - Parameters:
    ///   - configuration: the agent's file; `nil` without one.
    ///   - others: URIs of libvirt, or that of Xen, that are asked besides; this host's own libvirt and Xen, if they
    ///     are there, when left out.
    init(_ configuration: AgentConfiguration?, others: [String]) {
        var wanted: [GuestConnection] = []
        for (_, chosen) in (configuration?.guests ?? [:]).sorted(by: { $0.key < $1.key })
        where !wanted.contains(chosen.connection) {
            wanted.append(chosen.connection)
            guests += HostGuests.monitored(chosen)
        }
        let named = Set(wanted)
        for uri in others {
            let connection: GuestConnection = uri == XenHost.uri ? .xen : .libvirt(uri: uri)
            if !wanted.contains(connection) { wanted.append(connection) }
        }
        if others.isEmpty {
            let usual: [GuestConnection] =
                [.libvirt(uri: LibvirtHost.systemURI)] + (XenHost.isControlDomain ? [.xen] : [])
            for connection in usual where !wanted.contains(connection) { wanted.append(connection) }
        }
        for connection in wanted {
            do throws(GuestError) { guests += try HostGuests.ask(connection) } catch {
                // A host without libvirt needs none unless somebody names it.
                let isOptional = others.isEmpty && !named.contains(connection)
                guard isOptional, error.code == .missing || error.code == .unreachable else {
                    silences.append((connection, error.sentence))
                    continue
                }
            }
        }
    }

    /// Guests of a QEMU of its own, which the file alone names. Its monitor is not asked: it serves one program at a
    /// time, and that may be a backup. Empty for other connections.
    static func monitored(_ chosen: GuestSelection) -> [Found] {
        guard case .monitor(let socket, _) = chosen.connection else { return [] }
        let state = HostPaths.exists(socket) ? "has a monitor" : "no monitor"
        return chosen.names.map { Found(name: $0, connection: chosen.connection, state: state) }
    }

    private static func ask(_ connection: GuestConnection) throws(GuestError) -> [Found] {
        switch connection {
        case .monitor: return []
        case .xen:
            return try XenHost().domains().map {
                Found(name: $0.name, connection: connection, state: $0.state.rawValue)
            }
        case .libvirt(let uri):
            var found: [Found] = []
            for guest in try LibvirtHost(uri: uri).guests() {
                do throws(GuestError) {
                    let state = try guest.state
                    let tags = (try? guest.domainDefinition()).map { Set($0.tags) }
                    found.append(
                        Found(
                            name: guest.name, connection: connection, state: state.rawValue, libvirt: guest,
                            tags: tags))
                } catch {
                    // One that was undefined meanwhile is none.
                    guard error.code == .noGuest else { throw error }
                }
            }
            return found
        }
    }

    /// Whether a connection could not be asked.
    func isSilent(_ connection: GuestConnection) -> Bool { silences.contains { $0.connection == connection } }
}

extension GuestConnection {
    /// How it is told.
    var words: String {
        if case .monitor(let socket, _) = self { socket } else { text }
    }
}
