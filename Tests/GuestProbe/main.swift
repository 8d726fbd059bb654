// Takes an instant of a guest and writes its disks as plain files, for the integration scripts.
//
//   GuestProbe URI DOMAIN FOLDER SCRATCH REPOSITORY POINT [word…]
//
// FOLDER gets DISK.raw for each disk: written whole, or, where the hypervisor says what changed since
// `base=DISK:POINT`, only that is written into the file that is there. Words: base=DISK:POINT, exclude=DISK, freeze,
// memory (the guest stands still until it is written), abandon (instead of committing), hold (waits for a line on
// standard input before it confirms), reserve=BYTES of scratch space. Each disk is told in one line: its name, `since`
// or `unknown`, bytes written, and the reason.
import BackupModel
import Glibc
import GuestSource
import Hypervisors

struct Probe {
    let words: [String]

    func values(_ name: String) -> [String] {
        words.filter { $0.hasPrefix("\(name)=") }.map { String($0.dropFirst(name.utf8.count + 1)) }
    }

    func run() async throws {
        guard words.count >= 7, let point = PointID(hexadecimal: words[6]) else {
            throw GuestError(.refused, "usage: GuestProbe URI DOMAIN FOLDER SCRATCH REPOSITORY POINT [word…]")
        }
        let guest = try LibvirtHost(
            uri: words[1],
            scratchReserve: values("reserve").first.flatMap { UInt64($0) } ?? LibvirtHost.usualScratchReserve
        ).guest(named: words[2])
        var bases: [String: PointID] = [:]
        for value in values("base") {
            let parts = value.split(separator: ":").map(String.init)
            bases[parts[0]] = PointID(hexadecimal: parts[1])
        }
        var request = CaptureRequest(
            point: point, repository: words[5], bases: bases, excluded: Set(values("exclude")),
            scratchFolder: words[4])
        if words.contains("memory") { request.memory = .auto }
        let preparation = try await guest.prepare(request)
        let capture = try await take(preparation, guest)
        do {
            try await write(capture, to: words[3])
            if words.contains("hold") {
                print("holding")
                fflush(nil)
                _ = readLine()
            }
            try await capture.confirm()
        } catch {
            await capture.abandon()
            throw error
        }
        if words.contains("abandon") {
            await capture.abandon()
        } else {
            for note in await capture.committed() { print("note \(note)") }
        }
    }

    private func take(_ preparation: any CapturePreparation, _ guest: any Guest) async throws -> any GuestCapture {
        guard words.contains("freeze") else { return try await preparation.take() }
        print("frozen \(try await guest.freeze())")
        do {
            let capture = try await preparation.take()
            try await guest.thaw()
            return capture
        } catch {
            try await guest.thaw()
            throw error
        }
    }

    private func write(_ capture: any GuestCapture, to folder: String) async throws {
        print("instant \(capture.takenAt) within \(capture.uncertainty / 1_000_000) ms")
        if let memory = try await capture.memory() {
            print("memory \(memory.byteCount) stood still for \(capture.pause / 1_000_000) ms")
        }
        for disk in capture.omitted { print("omitted \(disk.name) \(disk.omission.map { "\($0)" } ?? "")") }
        for disk in capture.disks {
            let all = Extent(start: 0, length: disk.source.byteCount)
            var extents = [all]
            var line = "\(disk.disk.name) "
            switch disk.changes {
            case .since(_, let changed):
                extents = changed
                line += "since "
            case .unknown: line += "unknown "
            }
            let path = "\(folder)/\(disk.disk.name).raw"
            line += "\(extents.reduce(0) { $0 + $1.length })"
            if case .unknown(let reason) = disk.changes { line += " \(reason)" }
            let file = unsafe open(path, O_RDWR | O_CREAT, 0o644)
            guard file >= 0, ftruncate(file, off_t(all.length)) == 0 else {
                throw GuestError(.refused, "\(path) cannot be written")
            }
            defer { close(file) }
            for extent in extents { try await copy(extent, of: disk.source, into: file) }
            print(line)
        }
    }

    private func copy(_ extent: Extent, of source: any ImageSource, into file: CInt) async throws {
        let room = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 4096)
        // Safety: allocated, filled by reads, written and freed here.
        defer { unsafe room.deallocate() }
        var position = extent.start
        while position < extent.end {
            let count = Int(min(extent.end - position, UInt64(room.count)))
            let piece = unsafe UnsafeMutableRawBufferPointer(rebasing: room[..<count])
            try await unsafe source.read(at: position, into: piece)
            guard unsafe pwrite(file, piece.baseAddress, count, off_t(position)) == count else {
                throw GuestError(.refused, "a disk could not be written")
            }
            position += UInt64(count)
        }
    }
}

// A daemon that goes while it is asked is an error and no end.
signal(SIGPIPE, SIG_IGN)
do {
    try await Probe(words: CommandLine.arguments).run()
} catch {
    print("error: \(error)")
    exit(1)
}
