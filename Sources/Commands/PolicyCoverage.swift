import Effects
import Jobs

/// Which policies of the agent's file cover a guest.
struct PolicyCoverage {
    /// The file as a whole.
    let configuration: AgentConfiguration

    /// Reads the file that was named, or the usual one if it is there.
    ///
    /// - Returns: `nil` when none was named and there is none.
    /// - Throws: ``CommandFailure``: `failed` for a file that cannot be read, `refused` for one that is wrong: what it
    ///   covers is not known.
    static func read(_ named: String?) throws -> PolicyCoverage? {
        let file = named ?? AgentCheckCommand.usualFile
        if named == nil, !HostPaths.exists(file) { return nil }
        let bytes: [UInt8]
        do { bytes = try HostPaths.read(HostPaths.absolute(file), limit: AgentConfiguration.mostBytes) } catch {
            throw CommandFailure(.failed, "\(error.sentence); name the agent's file with --config")
        }
        guard let configuration = AgentConfiguration.read(bytes).configuration else {
            throw CommandFailure(
                .refused,
                "\(Console.printable(file)) is wrong, so which guests it covers is not known: "
                    + "`dozo agent check --config \(Console.printable(file))` says what")
        }
        return PolicyCoverage(configuration: configuration)
    }

    /// Names of the policies that cover a guest, sorted.
    func policies(of guest: String, _ connection: GuestConnection) -> [String] {
        configuration.policies(covering: guest, connection)
    }

    /// Whether a policy chooses guests of a connection by tags, which are not read yet: one that no policy is said to
    /// cover may be covered by that.
    func choosesByTag(_ connection: GuestConnection) -> Bool {
        configuration.policies.values.contains { policy in
            policy.guests.contains { name in
                guard let chosen = configuration.guests[name] else { return false }
                return chosen.connection == connection && !chosen.tags.isEmpty
            }
        }
    }
}
