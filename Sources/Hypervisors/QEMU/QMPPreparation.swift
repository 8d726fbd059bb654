import BackupModel
import Effects
import GuestSource
import Synchronization

/// One disk of a capture, and what was put into QEMU for it.
struct QMPDiskCapture: Sendable {
    let disk: GuestDisk
    let drive: QMPDrive
    /// The node that the device used, and will use again.
    let node: String
    let plan: ChangeListPlan
    /// Number in the names of what is put into QEMU: node names have at most 31 bytes.
    let number: Int
    let prefix: String

    var scratchNode: String { "\(prefix)t\(number)" }
    var filterNode: String { "\(prefix)c\(number)" }
    var viewNode: String { "\(prefix)s\(number)" }
    var export: String { "\(prefix)e\(number)" }
}

/// Scratch space is attached, nothing that the guest does was touched yet.
final class QMPPreparation: CapturePreparation {
    private let guest: QMPGuest
    private let request: CaptureRequest
    private let captured: [QMPDiskCapture]
    private let omitted: [GuestDisk]
    /// How memory is taken; `nil` when it is not.
    private let way: QMPMemory.Way?
    private var isWritten: Bool { way != nil && way != .live }

    init(_ guest: QMPGuest, _ request: CaptureRequest) throws {
        self.guest = guest
        self.request = request
        (captured, omitted, way) = try guest.withMonitor { client in
            try QMPLeftovers.remove(client, prefix: request.listPrefix)
            let way = try request.memory.map { choice in try QMPMemory.way(choice, guest, client) }
            var captured: [QMPDiskCapture] = []
            var omitted: [GuestDisk] = []
            let nodes = try client.execute("query-named-block-nodes", ["flat": true]).elements
            for drive in try QMPGuest.drives(client) {
                var disk = try QMPGuest.disk(drive, client)
                if disk.omission == nil, request.excluded.contains(disk.name) { disk.omission = .excluded }
                guard disk.omission == nil, let node = drive.node else {
                    omitted.append(disk)
                    continue
                }
                guard !node.hasPrefix(CaptureRequest.ownPrefix) else {
                    throw GuestError(
                        .busy,
                        "disk \(disk.name) of the guest behind \(guest.socket) is being captured for another "
                            + "repository; wait until that run ends")
                }
                let known = nodes.first { $0["node-name"]?.text == node }
                let bitmaps = (known?["dirty-bitmaps"]?.elements ?? []).compactMap(ChangeListPlan.Bitmap.init)
                let plan = ChangeListPlan(
                    bitmaps, request: request, disk: disk.name, base: request.bases[disk.name])
                captured.append(
                    QMPDiskCapture(
                        disk: disk, drive: drive, node: node,
                        plan: plan, number: captured.count, prefix: request.listPrefix))
            }
            try GuestDisk.requireSome(captured.map(\.disk), guest: "behind \(guest.socket)")
            try GuestDisk.requireSafe(captured.map(\.disk), guest: "behind \(guest.socket)")
            if let way, way != .live {
                try QMPServer.requireFree(client, at: request.serverSocket, prefix: request.listPrefix)
            }
            do {
                for item in captured {
                    for name in item.plan.stale {
                        try client.execute(
                            "block-dirty-bitmap-remove", ["node": .text(item.node), "name": .text(name)])
                    }
                    // QEMU writes no stream to its end while a filter has an image open, and closes scratch space too.
                    if way == nil || way == .live {
                        try QMPPreparation.attachScratch(item, client, folder: request.scratchFolder)
                    }
                }
            } catch {
                try? QMPLeftovers.remove(client, prefix: request.listPrefix)
                throw error
            }
            return (captured, omitted, way)
        }
    }

    /// Gives QEMU a nameless file as the place for what the guest overwrites: by descriptor, for it may run as another
    /// user or in another world of files.
    private static func attachScratch(_ item: QMPDiskCapture, _ client: QMPClient, folder: String) throws {
        guard let size = item.disk.byteCount else {
            throw GuestError(.refused, "QEMU does not say how large disk \(item.disk.name) is")
        }
        let file: PassedDescriptor
        do throws(FileError) { file = try PassedDescriptor(scratchIn: folder, byteCount: size) } catch {
            throw GuestError(.scratch, "\(error.sentence); give another folder with --scratch")
        }
        let answer = try client.execute("add-fd", ["opaque": .text(item.scratchNode)], passing: file)
        guard let set = answer["fdset-id"]?.integer else {
            throw GuestError(.refused, "QEMU took the scratch space of disk \(item.disk.name) and does not name it")
        }
        try client.execute(
            "blockdev-add",
            [
                "driver": "file", "filename": .text("/dev/fdset/\(set)"), "node-name": .text(item.scratchNode),
                "discard": "unmap", "locking": "off",
            ])
        // The node has its own copy of the descriptor; with the set's gone, removing the node frees the room.
        try client.execute("remove-fd", ["fdset-id": .integer(set)])
        try client.execute(
            "blockdev-add",
            [
                "driver": "copy-before-write", "node-name": .text(item.filterNode), "file": .text(item.node),
                "target": .text(item.scratchNode), "on-cbw-error": "break-snapshot",
            ])
    }

    func abandon() async {
        guest.whateverHappens { client in
            try? QMPLeftovers.remove(client, prefix: request.listPrefix)
        }
    }

    func take(watch: (any CaptureWatch)?) async throws -> any GuestCapture {
        let instant: Instant
        let memory: QMPMemory?
        do {
            memory = try way.map { try QMPMemory(guest, folder: request.scratchFolder, way: $0) }
            try guest.withMonitor { client in try memory?.reserve(client) }
            // Not left in the middle: the guest stands still there.
            try Task.checkCancellation()
            instant = try guest.whateverHappens { client in try stopped(client, watch, memory) }
        } catch {
            await undo()
            throw error
        }
        let capture = QMPCapture(
            guest, request, captured, omitted: omitted, takenAt: instant.taken, uncertainty: instant.uncertainty,
            pause: instant.pause, memory: memory)
        do { try await capture.open() } catch {
            await capture.abandon()
            // A QEMU that is gone says so better than the socket of its disks.
            try guest.withMonitor { client in _ = try client.execute("query-status") }
            throw error
        }
        return capture
    }

    /// When the guest stood still, in nanoseconds.
    private struct Instant {
        let taken: UInt64
        /// The most that ``taken`` may lie off.
        let uncertainty: UInt64
        let pause: UInt64
    }

    /// Stops the guest, writes its memory if it is to be written now, puts the filters in and begins the lists, and
    /// lets it go on.
    private func stopped(
        _ client: QMPClient, _ watch: (any CaptureWatch)?, _ memory: QMPMemory?
    ) throws -> Instant {
        let wasRunning = try client.execute("query-status")["running"]?.bool ?? false
        if wasRunning { try watch?.stops() }
        let began = guest.clock.monotonic()
        if wasRunning { try client.execute("stop") }
        let taken = guest.clock.wall()
        let uncertainty = guest.clock.monotonic() - began
        let result = Result {
            if isWritten, let memory {
                try memory.write(client)
                try QMPServer.reopen(
                    captured.map(\.node), client, at: request.serverSocket, prefix: request.listPrefix)
                for item in captured {
                    try QMPPreparation.attachScratch(item, client, folder: request.scratchFolder)
                }
            }
            try begin(client)
            if isWritten, try client.execute("query-status")["running"]?.bool == true {
                throw GuestError(
                    .wrongState,
                    "somebody let the guest behind \(guest.socket) go on while its memory was taken; nothing was made")
            }
            // It lets the guest go on by itself, as soon as its pages are watched.
            if !isWritten { try memory?.begin(client, isRunning: wasRunning) }
        }
        // Whatever happened: a guest that ran goes on.
        if wasRunning, try client.execute("query-status")["running"]?.bool != true { try client.execute("cont") }
        let pause = wasRunning ? guest.clock.monotonic() - began : 0
        if wasRunning { try watch?.runs() }
        try result.get()
        return Instant(taken: taken, uncertainty: uncertainty, pause: pause)
    }

    private func begin(_ client: QMPClient) throws(GuestError) {
        for item in captured {
            try client.execute(
                "qom-set",
                ["path": .text(item.drive.device), "property": "drive", "value": .text(item.filterNode)])
            try client.execute(
                "blockdev-add",
                ["driver": "snapshot-access", "node-name": .text(item.viewNode), "file": .text(item.filterNode)])
        }
        var actions: [JSONValue] = []
        func bitmap(_ type: String, _ item: QMPDiskCapture, _ members: [String: JSONValue]) {
            let data = members.merging(["node": .text(item.node)]) { first, _ in first }
            actions.append(["type": .text(type), "data": .object(data)])
        }
        for item in captured {
            let name = request.listName(request.point, disk: item.disk.name)
            bitmap(
                "block-dirty-bitmap-add", item,
                ["name": .text(name), "persistent": .bool(item.drive.driver == "qcow2")])
            guard let base = item.plan.base else { continue }
            let copy = JSONValue.text(name + QMPCapture.readingSuffix)
            bitmap("block-dirty-bitmap-add", item, ["name": copy, "disabled": true])
            bitmap("block-dirty-bitmap-merge", item, ["target": copy, "bitmaps": [.text(base)]])
        }
        try client.execute("transaction", ["actions": .array(actions)])
    }

    /// Takes the lists of this point away again, and everything else of ours.
    private func undo() async {
        guest.whateverHappens { client in
            QMPMemory.cancel(client)
            try? QMPLeftovers.remove(client, prefix: request.listPrefix)
            for item in captured {
                QMPLeftovers.removeLists(
                    client, node: item.node,
                    [
                        request.listName(request.point, disk: item.disk.name),
                        request.listName(request.point, disk: item.disk.name) + QMPCapture.readingSuffix,
                    ])
            }
        }
    }
}
