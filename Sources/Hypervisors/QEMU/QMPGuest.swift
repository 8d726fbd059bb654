package import Effects
import GuestSource
import Synchronization

/// A QEMU that is not run by libvirt, through a monitor of its own (`-qmp unix:…`).
///
/// How the disks are taken at one instant (QEMU 7.2 and newer, `docs/design/0008-fleecing.md`): the guest is stopped
/// for some milliseconds; in that time a filter is put before each disk that keeps what the guest is going to overwrite
/// in scratch space of ours, and the lists of changes begin. Then the guest goes on; what was the disk at the instant
/// is read from the disk and the scratch space together. When the scratch space runs full the filter gives up the
/// instant, never the guest's write.
// Safety: everything mutable is behind the lock.
package final class QMPGuest: Guest, Sendable {
    /// The monitor's socket.
    package let socket: String
    /// The guest agent's socket; `nil` when none was given.
    package let agent: String?
    let clock: SystemClock
    private let monitor: Mutex<QMPMonitor>

    /// Connects.
    ///
    /// - Parameters:
    ///   - socket: absolute path of the monitor's socket.
    ///   - agent: absolute path of the guest agent's socket, if there is one.
    /// - Throws: ``GuestError``: `unreachable`; `busy`; `refused` when it is no monitor.
    package init(socket: String, agent: String?, clock: SystemClock = .system) throws(GuestError) {
        self.socket = socket
        self.agent = agent
        self.clock = clock
        monitor = Mutex(QMPMonitor(try QMPClient(path: socket, clock: clock)))
    }

    /// Runs commands while nobody else does.
    func withMonitor<Result>(_ body: (QMPClient) throws -> Result) rethrows -> Result {
        // Safety: the client is used only here, under the lock.
        try monitor.withLock { monitor in try body(unsafe monitor.client) }
    }

    /// As ``withMonitor(_:)``, also in a task that was cancelled: for what the guest must not be left with.
    func whateverHappens<Result>(_ body: (QMPClient) throws -> Result) rethrows -> Result {
        try withMonitor { client in
            client.isEnding = true
            defer { client.isEnding = false }
            return try body(client)
        }
    }

    package var capabilities: GuestCapabilities {
        var found: GuestCapabilities = [.live, .changedBlocks, .memory, .group]
        if agent != nil { found.insert(.quiesce) }
        return found
    }

    package func definition() async throws -> GuestDefinition {
        try withMonitor { client in
            func text(_ command: String, _ member: String) throws -> String {
                try client.execute(command)[member]?.text ?? ""
            }
            func property(_ path: String, _ name: String) -> String? {
                (try? client.execute("qom-get", ["path": .text(path), "property": .text(name)]))?.text
            }
            var definition = GuestDefinition(
                hypervisor: "qemu", name: try text("query-name", "name"), uuid: try text("query-uuid", "UUID"),
                versions: ["qemu": client.version])
            definition.machine = property("/machine", "type").map { QMPGuest.without("-machine", $0) }
            // The first processor; all have one type.
            let processors = try client.execute("query-cpus-fast").elements
            if let path = processors.first?["qom-path"]?.text {
                definition.processor = property(path, "type").map { QMPGuest.without("-cpu", $0) }
            }
            for drive in try QMPGuest.drives(client) where drive.isRemovable {
                if let location = drive.location { definition.media[drive.name] = location }
            }
            if let process = client.process,
                let line = try? HostPaths.read("/proc/\(process)/cmdline", limit: QMPGuest.longestCommandLine)
            {
                definition.files["command-line"] = line
            }
            return definition
        }
    }

    /// Most bytes of QEMU's command line that are kept; Linux allows 2 MiB unless told otherwise.
    private static let longestCommandLine = 2 << 20

    private static func without(_ suffix: String, _ text: String) -> String {
        text.hasSuffix(suffix) ? String(text.dropLast(suffix.count)) : text
    }

    static func drives(_ client: QMPClient) throws(GuestError) -> [QMPDrive] {
        try client.execute("query-block").elements.compactMap(QMPDrive.init)
    }

    package func disks() async throws -> [GuestDisk] {
        try withMonitor { client in
            try QMPGuest.drives(client).map { try QMPGuest.disk($0, client) }
        }
    }

    static func disk(_ drive: QMPDrive, _ client: QMPClient) throws(GuestError) -> GuestDisk {
        var omission: GuestDisk.Omission?
        if drive.isRemovable {
            omission = .removable
        } else if drive.node == nil {
            omission = .empty
        } else if drive.isReadOnly {
            omission = .readOnly
        } else if drive.driver == "host_device" && drive.device.contains("scsi-generic") {
            omission = .passedThrough
        } else {
            let answer = try? client.execute(
                "qom-get", ["path": .text(drive.properties), "property": "share-rw"])
            if answer?.bool == true { omission = .shareable }
        }
        var disk = GuestDisk(
            name: drive.name, location: drive.location, format: drive.driver, byteCount: drive.byteCount,
            identity: drive.identity, omission: omission)
        disk.isOnThread = isOnThread(drive, client)
        return disk
    }

    /// Buses and controllers above a device that are looked at: a disk, its controller, and what virtio puts between.
    private static let highestController = 6

    /// Whether a device, or a controller above it, has an I/O thread.
    private static func isOnThread(_ drive: QMPDrive, _ client: QMPClient) -> Bool {
        func property(_ path: String, _ name: String) -> String? {
            (try? client.execute("qom-get", ["path": .text(path), "property": .text(name)]))?.text
        }
        var path: String? = drive.device
        for _ in 0..<highestController {
            guard let device = path else { return false }
            if property(device, "iothread")?.isEmpty == false { return true }
            // The bus is a child of the controller.
            guard let bus = property(device, "parent_bus"), let slash = bus.lastIndex(of: "/") else { return false }
            let above = String(bus[..<slash])
            path = above.isEmpty ? nil : above
        }
        return false
    }

    package func prepare(_ request: CaptureRequest) async throws -> any CapturePreparation {
        try QMPPreparation(self, request)
    }

    package func freeze() async throws -> Int {
        guard let agent else { throw QMPGuest.noAgent(socket) }
        return try GuestAgent(path: agent, clock: clock).freeze()
    }

    package func thaw() async throws -> Int {
        guard let agent else { throw QMPGuest.noAgent(socket) }
        return try GuestAgent(path: agent, clock: clock).thaw()
    }

    package func applications() async throws -> ApplicationReport {
        guard let agent else { throw QMPGuest.noAgent(socket) }
        return try GuestAgent(path: agent, clock: clock).applications()
    }

    static func noAgent(_ socket: String) -> GuestError {
        GuestError(
            .agent,
            "no agent socket was given for the guest behind \(socket): give it with --agent, or take the guest as it is"
        )
    }
}

/// The one connection to the monitor.
// Safety: used only while the guest's lock is held.
struct QMPMonitor: ~Copyable, Sendable {
    nonisolated(unsafe) let client: QMPClient

    init(_ client: sending QMPClient) { unsafe self.client = client }
}
