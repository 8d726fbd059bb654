import BackupModel
import ChunkEncryption
import Effects
import Repository

/// What keeps a second backup of one guest into one repository from running on this host, as long as it is there.
///
/// A guest is looked for by a name or by the hypervisor's identity of it, and only then its id is known; a new one gets
/// a fresh id each time. So what it is looked for by is locked first, which keeps two first backups of it from making
/// two guests; and then its id, because one guest may be named in two ways.
final class GuestLock {
    private let host: HostContext
    private let name: String
    private let first: FileLock?
    private var second: FileLock?

    /// Locks what the guest is looked for by. Waits for nobody.
    ///
    /// - Parameters:
    ///   - uuid: the hypervisor's identity of it; two guests of one name that have their own run beside each other.
    ///   - isNew: whether it is another guest than those that are known by the name.
    /// - Throws: ``CommandFailure``, `refused`, while another backup of it runs.
    init(_ name: String, uuid: String?, isNew: Bool, host: HostContext) throws {
        self.host = host
        self.name = name
        guard !isNew else {
            first = nil
            return
        }
        let text = uuid.map { "uuid \($0)" } ?? "name \(name)"
        first = try GuestLock.take("name-\(SecureHash.sha256(Array(text.utf8)).hexadecimal)", of: name, host: host)
    }

    /// Locks a door that lets one in at a time, before anybody knocks: whoever comes second would hear no more than
    /// that nobody answers.
    ///
    /// - Parameters:
    ///   - socket: path of a monitor.
    ///   - name: what to call the guest in messages.
    /// - Throws: ``CommandFailure``, `refused`, while another backup goes through it.
    static func door(_ socket: String, of name: String, host: HostContext) throws -> FileLock {
        let path = HostPaths.resolved(socket)
        return try take("door-\(SecureHash.sha256(Array(path.utf8)).hexadecimal)", of: name, host: host)
    }

    /// Finds the guest and locks its id.
    ///
    /// - Throws: what `find` throws; ``CommandFailure``, `refused`, while another backup of the guest runs.
    func taken(_ find: () async throws -> KnownGuest) async throws -> KnownGuest {
        let before = try host.state.guests()
        let known = try await find()
        second = try GuestLock.take(known.guest.hexadecimal, of: name, host: host)
        func kept(_ guests: [String: HostState.Guest]) -> HostState.Guest? {
            guests.values.first { $0.identifier == known.guest }
        }
        // A backup of it under another name may have ended since it was looked for, and made the point to build on.
        guard kept(before) != kept(try host.state.guests()) else { return known }
        let again = try await find()
        guard again.guest == known.guest else {
            throw GuestLock.refusal(name)
        }
        return again
    }

    private static func take(_ file: String, of name: String, host: HostContext) throws -> FileLock {
        let folder = "\(host.repositoryFolder)/running"
        try HostPaths.makeFolders(folder)
        guard let lock = try FileLock(path: "\(folder)/\(file)") else { throw refusal(name) }
        return lock
    }

    private static func refusal(_ name: String) -> CommandFailure {
        CommandFailure(
            .refused,
            "another backup of \(Console.printable(name)) into this repository is running on this host; start again "
                + "when it is done")
    }
}
