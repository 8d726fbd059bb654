/// A guest as the agent knows it: by what it is reached, and its name there.
package struct AgendaGuest: Hashable, Comparable, Sendable {
    /// By what it is reached.
    package let connection: GuestConnection
    /// Its name there.
    package let name: String

    /// A guest.
    package init(connection: GuestConnection, name: String) {
        self.connection = connection
        self.name = name
    }

    /// By name, then by connection.
    package static func < (left: AgendaGuest, right: AgendaGuest) -> Bool {
        (left.name, left.connection.text) < (right.name, right.connection.text)
    }
}

/// One policy for one guest: what is scheduled, run, paused and reported by itself.
package struct JobKey: Hashable, Comparable, Sendable {
    /// The guest.
    package let guest: AgendaGuest
    /// The policy's name.
    package let policy: String

    /// A job.
    package init(guest: AgendaGuest, policy: String) {
        self.guest = guest
        self.policy = policy
    }

    /// By guest, then by policy.
    package static func < (left: JobKey, right: JobKey) -> Bool {
        (left.guest, left.policy) < (right.guest, right.policy)
    }
}

extension GuestConnection {
    private static let xenText = "xl:"
    private static let monitorPrefix = "qmp:"

    /// As one word, for files and messages: `qemu:///system`, `xl:`, `qmp:/run/web.qmp`.
    package var text: String {
        switch self {
        case .libvirt(let uri): uri
        case .monitor(let socket, _): GuestConnection.monitorPrefix + socket
        case .xen: GuestConnection.xenText
        }
    }
}
