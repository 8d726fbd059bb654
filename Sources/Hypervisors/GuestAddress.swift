package import Effects

/// How a guest is reached: what a command line or a policy says, and what a second process needs to reach it too.
package enum GuestAddress: Hashable, Sendable {
    /// A QEMU of its own, by the socket of its monitor and that of its guest agent.
    case monitor(socket: String, agent: String?)

    /// Connects. - Throws: ``GuestError``.
    package func open(clock: SystemClock = .system) async throws -> any Guest {
        switch self {
        case .monitor(let socket, let agent): try QMPGuest(socket: socket, agent: agent, clock: clock)
        }
    }
}
