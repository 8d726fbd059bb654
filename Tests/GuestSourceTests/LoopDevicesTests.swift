import Effects
import Glibc
import GuestSource
import Testing

@Suite("files behind loop devices")
struct LoopDevicesTests {
    /// A made-up list of the kernel, and a file to ask about.
    private final class FakeHost {
        let folder: TemporaryFolder
        let descriptor: CInt
        var path: String { folder.file("image.raw") }
        var search: LoopDevices {
            LoopDevices(
                devices: folder.file("block"), numbers: folder.file("numbers"), nodes: folder.file("nodes"),
                mounts: folder.file("mounts"))
        }

        init() throws {
            folder = try TemporaryFolder()
            let path = try folder.write([1, 2, 3], to: "image.raw")
            // Safety: the path is a terminated copy for the call.
            descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
            try #require(descriptor >= 0)
            try makeFolder("block")
        }

        deinit { close(descriptor) }

        private func makeFolder(_ name: String) throws {
            // Safety: the path is a terminated copy for the call.
            try #require(unsafe mkdir(folder.file(name), 0o700) == 0)
        }

        func attach(_ file: String?, to name: String, number: String, isReadOnly: Bool = false) throws {
            try makeFolder("block/\(name)")
            _ = try folder.write(Array("\(number)\n".utf8), to: "block/\(name)/dev")
            _ = try folder.write(Array(isReadOnly ? "1\n".utf8 : "0\n".utf8), to: "block/\(name)/ro")
            guard let file else { return }
            try makeFolder("block/\(name)/loop")
            _ = try folder.write(Array("\(file)\n".utf8), to: "block/\(name)/loop/backing_file")
        }

        func addPartition(_ partition: String, of name: String, number: String) throws {
            try makeFolder("block/\(name)/\(partition)")
            _ = try folder.write(Array("\(number)\n".utf8), to: "block/\(name)/\(partition)/dev")
        }

        func mount(_ lines: [String]) throws {
            _ = try folder.write(Array((lines.joined(separator: "\n") + "\n").utf8), to: "mounts")
        }
    }

    @Test("a file is found behind its device, whatever it is called there, and no other file is")
    func found() throws {
        let host = try FakeHost()
        // Safety: both paths are terminated copies for the call, here and below.
        #expect(unsafe link(host.path, host.folder.file("other name")) == 0)
        #expect(unsafe link(host.path, host.folder.file("kept (deleted)")) == 0)
        let stranger = try host.folder.write([1, 2, 3], to: "stranger")
        try host.attach(stranger, to: "loop0", number: "7:0")
        try host.attach(nil, to: "loop1", number: "7:1")
        try host.attach(host.folder.file("other name"), to: "loop10", number: "7:10", isReadOnly: true)
        try host.attach(host.path, to: "loop2", number: "7:2")
        try host.attach(host.path + " (deleted)", to: "loop3", number: "7:3")
        try host.attach(host.folder.file("kept (deleted)"), to: "loop4", number: "7:4")
        try host.attach(host.folder.file("gone (deleted)"), to: "loop5", number: "7:5")
        try host.attach(host.path, to: "loopback", number: "7:6")
        try host.attach(host.path, to: "sda", number: "8:0")
        let found = host.search.attachments(of: host.descriptor)
        #expect(found.map(\.device) == ["loop2", "loop3", "loop4", "loop10"].map { host.folder.file("nodes/\($0)") })
        #expect(found.map(\.isReadOnly) == [false, false, false, true])
        #expect(found.allSatisfy { $0.mountPoints.isEmpty })
        #expect(found[0].reason.contains("loop2; detach it"))
    }

    @Test("mounts are found by the numbers of a device and its partitions, and by name where the number is another")
    func mounted() throws {
        let host = try FakeHost()
        try host.attach(host.path, to: "loop1", number: "7:1")
        try host.addPartition("loop1p2", of: "loop1", number: "259:4")
        try host.mount([
            "20 1 7:1 / /mnt/one rw shared:1 - ext4 /dev/loop1 rw",
            "21 1 7:11 / /mnt/eleven rw - ext4 /dev/loop11 rw", "nonsense", "22 1 7:1 / /short",
            "23 1 259:4 / /mnt/a\\040b\\134c\\9 ro master:2 shared:5 - xfs /dev/loop1p2 ro",
            "24 1 0:44 / /mnt/own\\040number rw - btrfs \(host.folder.file("nodes/loop1p2")) rw",
            "25 1 7:1 /sub /mnt/one rw - ext4 /dev/loop1 rw", "26 1 0:9 / /mnt/other rw - tmpfs loop1 rw",
            "27 1 7:1 / /mnt/last rw - ext4 /dev/loop1 rw",
        ])
        let found = try #require(host.search.attachments(of: host.descriptor).first)
        #expect(found.mountPoints == ["/mnt/one", "/mnt/a b\\c\\9", "/mnt/own number", "/mnt/last"])
        let reason = "loop1, which is mounted on /mnt/one, /mnt/a b\\c\\9, /mnt/own number and elsewhere; unmount and "
        #expect(found.reason.contains(reason), "\(found.reason)")
    }

    @Test("without the kernel's list nothing is found, and with a file of it that is too large neither")
    func absent() throws {
        let host = try FakeHost()
        #expect(host.search.attachments(of: host.descriptor) == [])
        #expect(host.search.attachments(of: -1) == [])
        let nowhere = LoopDevices(devices: "/nowhere", numbers: "/nowhere", nodes: "/nowhere", mounts: "/nowhere")
        #expect(nowhere.attachments(of: host.descriptor) == [])
        try host.attach(String(repeating: "x", count: 10_000), to: "loop0", number: "7:0")
        #expect(host.search.attachments(of: host.descriptor) == [])
    }

    @Test(
        "a file that a loop device can write is not read, and one that any loop device shows is not written",
        .enabled(if: LoopDevice.refusal == nil, Comment(rawValue: LoopDevice.refusal ?? "loop devices work")),
        arguments: [false, true])
    func real(isReadOnly: Bool) async throws {
        let folder = try TemporaryFolder()
        let bytes = [UInt8](repeating: 7, count: 1 << 20)
        let device = try #require(try LoopDevice(folder, "image.raw", bytes, isReadOnly: isReadOnly))
        let attached = device.path
        // The device knows its file also when that has another name by now.
        let path = folder.file("renamed.raw")
        // Safety: both paths are terminated copies for the call.
        #expect(unsafe link(folder.file("image.raw"), path) == 0 && unlink(folder.file("image.raw")) == 0)
        let refusal = try #require(
            throws: FileError.self, performing: { _ = try ExistingDisk(path: path, ignoresUse: false) })
        #expect(refusal.number == EBUSY && refusal.sentence.contains(attached), "\(refusal.sentence)")
        _ = try ExistingDisk(path: path, ignoresUse: true)
        if isReadOnly {
            let source = try await ImageOpener.open(path: path)
            #expect(try await Reading.whole(source) == bytes)
            try await source.confirmUnchanged()
        } else {
            let error = await #expect(throws: SourceError.self) { _ = try await ImageOpener.open(path: path) }
            #expect(error?.code == .inUse && error?.exitStatus == 7)
            #expect(error?.sentence.contains("\(attached);") == true, "\(error?.sentence ?? "")")
            let forced = try await ImageOpener.open(path: path, options: OpenOptions(ignoresUse: true))
            #expect(try await Reading.whole(forced) == bytes)
            try await forced.confirmUnchanged()
        }
        withExtendedLifetime(device) {}
    }

    @Test(
        "a file that is attached while it is read is refused in the end",
        .enabled(if: LoopDevice.refusal == nil, Comment(rawValue: LoopDevice.refusal ?? "loop devices work")))
    func attachedLater() async throws {
        let folder = try TemporaryFolder()
        let path = try folder.write([UInt8](repeating: 7, count: 1 << 20), to: "image.raw")
        let source = try await ImageOpener.open(path: path)
        let device = try #require(try LoopDevice(attaching: path))
        #expect(try await Reading.code { try await source.confirmUnchanged() } == .inUse)
        withExtendedLifetime(device) {}
    }
}
