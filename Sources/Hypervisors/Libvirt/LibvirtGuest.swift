import BackupModel
import Effects
import GuestSource

/// A guest that libvirt runs or knows.
///
/// How its disks are taken at one instant (`docs/design/0007-libvirt-on-first-use.md`): one backup job in pull mode for
/// all disks, with a checkpoint that begins at its instant. libvirt does the bookkeeping of bitmaps: through restarts
/// of the guest, snapshots and block jobs; what is here decides which checkpoint is asked for and which ones are
/// removed. Only checkpoints whose names begin with `dozo-` and this repository's id are.
package final class LibvirtGuest: Guest {
    /// What it does now.
    package enum State: String, Sendable {
        /// Its processors run.
        case running
        /// It exists and stands still.
        case paused
        /// It is not there.
        case shutOff = "shut off"
        /// It stopped by itself.
        case crashed
    }

    let host: LibvirtHost
    /// Name on the host.
    package let name: String
    /// Lower case, `8-4-4-4-12`.
    package let uuid: String

    init(_ host: LibvirtHost, name: String, uuid: String) {
        self.host = host
        self.name = name
        self.uuid = uuid
    }

    /// Asks libvirt about the domain. - Parameter doing: what for, behind "guest NAME: … failed".
    func ask<Result>(
        _ doing: String, remedy: String? = nil, _ body: (LibvirtDomain) throws(LibvirtFailure) -> Result
    ) throws(GuestError) -> Result {
        let connection = try host.connected()
        do throws(LibvirtFailure) { return try body(try connection.domain(uuid: uuid)) } catch {
            if error.code == LibvirtFailure.Code.noDomain {
                throw GuestError(.noGuest, "the guest \(name) is gone from \(host.uri)")
            }
            throw error.guestError("guest \(name): \(doing) failed", remedy: remedy)
        }
    }

    /// What it does now.
    package var state: State {
        get throws(GuestError) {
            switch try ask("asking for its state", { domain throws(LibvirtFailure) in try domain.state() }) {
            case .running, .blocked, .shuttingDown: .running
            case .paused, .suspended: .paused
            case .crashed: .crashed
            case .none, .shutOff: .shutOff
            }
        }
    }

    /// libvirt's description, as it runs or would be started.
    package func domainDefinition() throws(GuestError) -> DomainDefinition {
        try DomainDefinition(
            xml: try ask("asking for its description") { domain throws(LibvirtFailure) in try domain.xml(.current) })
    }

    package var capabilities: GuestCapabilities {
        get async throws { try capabilities(of: try domainDefinition(), state: try state) }
    }

    /// What can be done with it in that state.
    package func capabilities(of domain: DomainDefinition, state: State) throws(GuestError) -> GuestCapabilities {
        var found: GuestCapabilities = []
        guard state == .running || state == .paused, try canBackUp(domain) else { return found }
        let taken = domain.disks.filter { $0.omission == nil }
        if !taken.isEmpty { found.insert(.live) }
        if taken.contains(where: { $0.format == "qcow2" }) { found.insert(.changedBlocks) }
        if !taken.isEmpty { found.insert(.memory) }
        if domain.hasAgent, state == .running { found.insert(.quiesce) }
        return found
    }

    /// Whether libvirt and the program that runs the guest know backup jobs.
    func canBackUp(_ domain: DomainDefinition) throws(GuestError) -> Bool {
        let connection = try host.connected()
        guard connection.driver == "QEMU",
            let xml = try? connection.capabilities(
                emulator: domain.emulator, architecture: domain.architecture, machine: domain.machine,
                kind: domain.kind), let root = try? XMLElement(parsing: xml)
        else { return false }
        return root.at("features", "backup")?["supported"] == "yes"
    }

    package func disks() async throws -> [GuestDisk] { try disks(of: try domainDefinition()) }

    /// The disks of a description, with their sizes.
    package func disks(of domain: DomainDefinition) throws(GuestError) -> [GuestDisk] {
        var disks: [GuestDisk] = []
        for disk in domain.disks {
            // A size that nobody can tell now is told by the export.
            let byteCount = try? ask("asking for a disk's size") { domain throws(LibvirtFailure) in
                try domain.byteCount(disk: disk.name)
            }
            disks.append(disk.guestDisk(byteCount: disk.location == nil ? nil : byteCount))
        }
        return disks
    }

    package func freeze() async throws -> Int {
        try agent("bringing its file systems to rest") { domain throws(LibvirtFailure) in try domain.freeze() }
    }

    package func thaw() async throws -> Int {
        try agent("letting its file systems go on") { domain throws(LibvirtFailure) in try domain.thaw() }
    }

    package var isMarkedByQuestions: Bool { true }

    package func applications() async throws -> ApplicationReport {
        try ApplicationReport { command, arguments throws(GuestError) in
            let line: JSONValue = ["execute": .text(command), "arguments": arguments]
            // Libvirt itself tells an agent that does not answer from one that says no.
            let answer = try ask("asking its agent (\(command))") { domain throws(LibvirtFailure) in
                try domain.agentCommand(String(decoding: line.encoded, as: UTF8.self))
            }
            guard let value = try? JSONValue(decoding: Array(answer.utf8)), let result = value["return"] else {
                throw GuestError(.refused, "guest \(name): its agent refused \(command)")
            }
            return result
        }
    }

    /// As ``ask(_:remedy:_:)``, where everything that goes wrong is the agent's but a guest that is gone.
    private func agent<Result>(
        _ doing: String, _ body: (LibvirtDomain) throws(LibvirtFailure) -> Result
    ) throws(GuestError) -> Result {
        do throws(GuestError) {
            return try ask(doing, remedy: "is qemu-guest-agent running in it, and has it a channel for it?", body)
        } catch {
            guard error.code == .noGuest || error.code == .unreachable else {
                throw GuestError(.agent, error.sentence)
            }
            throw error
        }
    }

    package func prepare(_ request: CaptureRequest) async throws -> any CapturePreparation {
        try LibvirtPreparation(self, request)
    }
}
