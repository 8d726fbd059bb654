import Effects
import Jobs

/// Which policies of the agent's file cover a guest.
struct PolicyCoverage {
    /// The whole file.
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
        do { bytes = try ConfigurationFile.bytes(file) } catch {
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
    ///
    /// - Parameter tags: of libvirt.
    func policies(of guest: String, _ connection: GuestConnection, tags: Set<String> = []) -> [String] {
        configuration.policies(covering: guest, connection, tags: tags)
    }
}
