import BackupModel
import Glibc
import GuestSource
import Testing

@Suite("raw images")
struct RawImageSourceTests {
    @Test("every size is read to the byte", arguments: [0, 1, 511, 512, 513, 4095, 4096, 4097, 1 << 20 + 1])
    func sizes(size: Int) async throws {
        let folder = try TemporaryFolder()
        var random = Seeded()
        let bytes = random.bytes(size)
        let path = try folder.write(bytes, to: "disk.img")
        for cacheUse in [CacheUse.keep, .leaveAsFound] {
            let source = try await ImageOpener.open(path: path, options: OpenOptions(cacheUse: cacheUse))
            #expect(source.byteCount == UInt64(size))
            #expect(source.summary.format == .raw && source.summary.formatOrigin == .detected)
            #expect(try await Reading.whole(source) == bytes)
            #expect(
                try await Reading.code { _ = try await Reading.part(source, at: UInt64(size), count: 1) } == .outOfRange
            )
            let behind = Extent(start: UInt64(size), length: 1)
            #expect(try await Reading.code { _ = try await source.extents(in: behind) } == .outOfRange)
            #expect(try await source.extents(in: Extent(start: UInt64(size), length: 0)).isEmpty)
            try await source.confirmUnchanged()
            await source.close()
            await source.close()
            #expect(try await Reading.code { _ = try await Reading.part(source, at: 0, count: 0) } == .closed)
        }
    }

    private static let terabytes = 4 << 40
    /// Whether the file system of the temporary folders holds a file of that size; ext4 and tmpfs do.
    private static let holdsTerabytes: Bool = {
        guard let folder = try? TemporaryFolder(), let path = try? folder.write([], to: "big.raw") else { return false }
        return TestFile.resize(path, to: terabytes)
    }()

    @Test(
        "a sparse file of 4 TiB costs its data, not its size",
        .enabled(if: holdsTerabytes, "the file system of the temporary folders holds no file of 4 TiB"))
    func sparse() async throws {
        let folder = try TemporaryFolder()
        let path = try folder.write([], to: "big.raw")
        let size = RawImageSourceTests.terabytes
        try #require(TestFile.resize(path, to: size))
        var random = Seeded()
        let data = random.bytes(65536)
        let places = [0, size / 2, size - 65536]
        for place in places { try TestFile.overwrite(data, at: place, in: path) }
        let source = try await ImageOpener.open(path: path)
        let clock = ContinuousClock()
        let began = clock.now
        let all = Extent(start: 0, length: source.byteCount)
        let extents = try await source.extents(in: all)
        try Reading.checkCover(extents, all)
        #expect(extents.map(\.kind) == [.data, .hole, .data, .hole, .data])
        #expect(extents.filter { $0.kind == .data }.map { Int($0.extent.start) } == places)
        for place in places { #expect(try await Reading.part(source, at: UInt64(place), count: 65536) == data) }
        #expect(clock.now - began < .seconds(2))
        #expect(source.summary.allocatedBytes ?? 0 < 1 << 20)
        let inside = try await source.extents(in: Extent(start: 1 << 30, length: 5))
        #expect(inside == [SourceExtent(extent: Extent(start: 1 << 30, length: 5), kind: .hole)])
    }

    @Test("random patterns of data and holes come back, for any window")
    func patterns() async throws {
        let folder = try TemporaryFolder()
        var random = Seeded()
        let size = 1 << 20 + 4095
        var bytes = [UInt8](repeating: 0, count: size)
        let path = try folder.write([], to: "holes.raw")
        #expect(TestFile.resize(path, to: size))
        for _ in 0..<20 {
            let piece = random.bytes(Int.random(in: 1...20000, using: &random))
            let place = Int.random(in: 0...(size - piece.count), using: &random)
            try TestFile.overwrite(piece, at: place, in: path)
            bytes.replaceSubrange(place..<(place + piece.count), with: piece)
        }
        let source = try await ImageOpener.open(path: path)
        #expect(try await Reading.whole(source) == bytes, "seed \(Seeded.seed)")
        for _ in 0..<200 {
            let start = Int.random(in: 0...size, using: &random)
            let window = Extent(
                start: UInt64(start), length: UInt64(Int.random(in: 0...(size - start), using: &random)))
            let extents = try await source.extents(in: window)
            try Reading.checkCover(extents, window)
            for extent in extents where extent.kind == .hole {
                let range = Int(extent.extent.start)..<Int(extent.extent.end)
                #expect(bytes[range].allSatisfy { $0 == 0 }, "seed \(Seeded.seed)")
            }
        }
    }

    @Test("a source written, grown, cut or replaced while it is read is refused")
    func changed() async throws {
        let folder = try TemporaryFolder()
        let path = folder.file("disk.raw")
        func after(_ change: () throws -> Void) async throws -> SourceError.Code? {
            try TestFile.write([UInt8](repeating: 7, count: 10000), to: path)
            let source = try await ImageOpener.open(path: path)
            _ = try await Reading.part(source, at: 0, count: 5000)
            try change()
            return try await Reading.code { try await source.confirmUnchanged() }
        }
        #expect(try await after {} == nil)
        #expect(try await after { try TestFile.overwrite([7], at: 100, in: path) } == .changed)
        #expect(try await after { _ = TestFile.resize(path, to: 10001) } == .changed)
        #expect(try await after { _ = TestFile.resize(path, to: 9999) } == .shrank)
        #expect(try await after { _ = unsafe unlink(path) } == .changed)
    }

    @Test("a read behind the new end of a source that shrank says so")
    func shrank() async throws {
        let folder = try TemporaryFolder()
        let path = try folder.write([UInt8](repeating: 7, count: 10000), to: "disk.raw")
        let source = try await ImageOpener.open(path: path)
        #expect(TestFile.resize(path, to: 6000))
        #expect(try await Reading.code { _ = try await Reading.part(source, at: 5000, count: 5000) } == .shrank)
    }

    @Test("what is no image is refused with a sentence: folders, FIFOs, devices, nothing (S61)")
    func refused() async throws {
        let folder = try TemporaryFolder()
        let fifo = folder.file("fifo.raw")
        #expect(unsafe mkfifo(fifo, 0o600) == 0)
        for path in [folder.path, fifo, "/dev/null"] {
            #expect(try await Reading.code { _ = try await ImageOpener.open(path: path) } == .notAnImage)
        }
        for path in [folder.file("none.raw"), ""] {
            #expect(try await Reading.code { _ = try await ImageOpener.open(path: path) } == .notFound)
        }
    }

    @Test("a symbolic link is followed and reported; awkward names are only names")
    func names() async throws {
        let folder = try TemporaryFolder()
        let path = try folder.write([1, 2, 3], to: "- a%s,b:ü.raw")
        let link = folder.file("link.raw")
        #expect(unsafe symlink(path, link) == 0)
        let source = try await ImageOpener.open(path: link)
        #expect(source.summary.resolvedPath.hasSuffix("- a%s,b:ü.raw") && source.summary.notes.count == 1)
        #expect(source.summary.fileName == "link.raw")
        #expect(try await Reading.whole(source) == [1, 2, 3])
    }

    /// Some file systems (tmpfs) are their own page cache.
    private static let dropsPages: Bool = {
        guard let folder = try? TemporaryFolder(),
            let path = try? folder.write([UInt8](repeating: 9, count: 1 << 20), to: "disk.raw")
        else { return false }
        dropCache(path)
        return (try? residentPages(path, 1 << 20)) == 0
    }()

    private static func dropCache(_ path: String) {
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
        defer { close(descriptor) }
        fsync(descriptor)
        posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED)
    }

    @Test(
        "what a read brought into the page cache is dropped, what was there stays",
        .enabled(if: dropsPages, "the file system of the temporary folders keeps its pages"))
    func cache() async throws {
        let folder = try TemporaryFolder()
        let path = try folder.write([UInt8](repeating: 9, count: 1 << 20), to: "disk.raw")
        let source = try await ImageOpener.open(path: path)
        _ = try await Reading.whole(source, region: 1 << 20)
        #expect(try Self.residentPages(path, 1 << 20) == 256)
        Self.dropCache(path)
        try #require(try Self.residentPages(path, 1 << 20) == 0)
        _ = try await Reading.whole(source, region: 1 << 20)
        #expect(try Self.residentPages(path, 1 << 20) == 0)
    }

    private static func residentPages(_ path: String, _ size: Int) throws -> Int {
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
        defer { close(descriptor) }
        // Safety: mapped, asked about and unmapped here.
        let map = try unsafe #require(mmap(nil, size, PROT_READ, MAP_SHARED, descriptor, 0))
        defer { unsafe munmap(map, size) }
        var flags = [UInt8](repeating: 0, count: size / 4096)
        #expect(unsafe mincore(map, size, &flags) == 0)
        return flags.filter { $0 & 1 == 1 }.count
    }

    @Test("an image a running QEMU writes is refused")
    func inUse() async throws {
        let folder = try TemporaryFolder()
        let path = try folder.write([UInt8](repeating: 9, count: 512), to: "disk.raw")
        let descriptor = unsafe open(path, O_RDWR | O_CLOEXEC)
        defer { close(descriptor) }
        var lock = flock()
        lock.l_type = Int16(F_RDLCK)
        lock.l_start = 101
        lock.l_len = 1
        // 37 is F_OFD_SETLK: QEMU's writer mark.
        #expect(unsafe fcntl(descriptor, 37, &lock) == 0)
        #expect(try await Reading.code { _ = try await ImageOpener.open(path: path) } == .inUse)
    }
}
