import BackupModel
import Effects
import GuestSource
import Synchronization

/// The disks of a QEMU guest at one instant, served by QEMU itself over NBD.
final class QMPCapture: GuestCapture, Sendable {
    /// Behind the name of the new point's list: the copy of the base's list that is read meanwhile.
    static let readingSuffix = "-read"
    /// Connections to each disk: one a worker.
    private static let connections = 3
    /// Bytes that are read to see whether the instant still holds.
    private static let probeByteCount = 512

    let takenAt: UInt64
    let uncertainty: UInt64
    let pause: UInt64
    let omitted: [GuestDisk]
    private let guest: QMPGuest
    private let request: CaptureRequest
    private let captured: [QMPDiskCapture]
    private let stream: QMPMemory?
    private let opened = Mutex<[CapturedDisk]>([])

    init(
        _ guest: QMPGuest, _ request: CaptureRequest, _ captured: [QMPDiskCapture], omitted: [GuestDisk],
        takenAt: UInt64, uncertainty: UInt64, pause: UInt64, memory: QMPMemory?
    ) {
        self.pause = pause
        stream = memory
        self.guest = guest
        self.request = request
        self.captured = captured
        self.omitted = omitted
        self.takenAt = takenAt
        self.uncertainty = uncertainty
    }

    var disks: [CapturedDisk] { opened.withLock { $0 } }
    var notes: [String] {
        guard case .stopped(let reason?)? = stream?.way else { return [] }
        return ["its memory was not taken while it runs: \(reason)"]
    }

    private func list(_ item: QMPDiskCapture) -> String { request.listName(request.point, disk: item.disk.name) }
    private func readingList(_ item: QMPDiskCapture) -> String { list(item) + QMPCapture.readingSuffix }

    /// Serves the disks and connects to them.
    func open() async throws {
        let path = request.serverSocket
        defer { HostPaths.removeSocket(path) }
        try guest.withMonitor { client in
            try QMPServer.start(client, at: path, prefix: request.listPrefix)
            for item in captured {
                var arguments: [String: JSONValue] = [
                    "type": "nbd", "id": .text(item.export), "node-name": .text(item.viewNode),
                    "name": .text(item.export),
                ]
                if item.plan.base != nil {
                    arguments["bitmaps"] = [["node": .text(item.node), "name": .text(readingList(item))]]
                }
                try client.execute("block-export-add", .object(arguments))
            }
        }
        for item in captured {
            let context = item.plan.base.map { _ in "qemu:dirty-bitmap:\(readingList(item))" }
            let source = try NBDExportSource.open(
                socket: path, export: item.export, dirtyContext: context, connections: QMPCapture.connections,
                name: item.disk.name)
            let changes: DiskChanges =
                if let base = item.plan.point, context != nil {
                    .since(base, try await source.dirtyExtents())
                } else {
                    .unknown(item.plan.reason ?? "QEMU keeps no list of what changed")
                }
            opened.withLock { $0.append(CapturedDisk(disk: item.disk, source: source, changes: changes)) }
        }
    }

    func memory() async throws -> (any PositionedBytes)? { try await stream?.complete() }

    func confirm() async throws {
        // A QEMU that is gone says nothing of scratch space.
        try guest.withMonitor { client in _ = try client.execute("query-status") }
        for disk in disks where disk.source.byteCount > 0 {
            let count = min(QMPCapture.probeByteCount, Int(clamping: disk.source.byteCount))
            let room = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 16)
            // Safety: allocated, filled by the read and freed here.
            defer { unsafe room.deallocate() }
            do throws(SourceError) { try await unsafe disk.source.read(at: 0, into: room) } catch {
                throw GuestError(
                    .scratch,
                    "the instant of disk \(disk.disk.name) was lost while it was read, most likely because the scratch "
                        + "space in \(request.scratchFolder) is full; the guest goes on. Make room there, or give "
                        + "another folder with --scratch")
            }
        }
    }

    private func close() async -> [String] {
        stream?.end()
        for disk in disks { await disk.source.close() }
        return guest.whateverHappens { client in
            do throws(GuestError) {
                try QMPLeftovers.remove(client, prefix: request.listPrefix)
                return []
            } catch {
                return ["what the capture put into QEMU could not be taken out, the next run tries again: \(error)"]
            }
        }
    }

    func committed() async -> [String] {
        var notes = await close()
        notes += guest.whateverHappens { client in
            captured.flatMap { item in
                var names = item.plan.superseded
                if item.plan.base != nil { names.append(readingList(item)) }
                return QMPLeftovers.removeLists(client, node: item.node, names)
            }
        }
        return notes
    }

    /// A filter that gave its instant up lets no read succeed from then on, nor does a QEMU that is gone: what was read
    /// is of the instant as long as it was read through what was put in for it.
    func vouchesForReads() async -> Bool {
        guest.whateverHappens { client in
            guard let exports = try? client.execute("query-block-exports").elements else { return false }
            let names = Set(exports.compactMap { $0["id"]?.text })
            return captured.allSatisfy { names.contains($0.export) }
        }
    }

    func interrupted() async -> [String] {
        var notes = await close()
        notes += guest.whateverHappens { client in
            captured.flatMap { item in
                var names = [item.plan.outdone].compactMap(\.self)
                if item.plan.base != nil { names.append(readingList(item)) }
                return QMPLeftovers.removeLists(client, node: item.node, names)
            }
        }
        return notes
    }

    func abandon() async {
        _ = await close()
        guest.whateverHappens { client in
            for item in captured {
                var names = [list(item)]
                if item.plan.base != nil { names.append(readingList(item)) }
                QMPLeftovers.removeLists(client, node: item.node, names)
            }
        }
    }
}

extension CaptureRequest {
    /// Where the disks of a QEMU of its own are served.
    var serverSocket: String { "\(scratchFolder)/nbd-\(point.hexadecimal.prefix(8))" }
}
