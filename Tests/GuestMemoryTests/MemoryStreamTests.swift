import BackupModel
import GuestMemory
import GuestSource
import Testing

/// Streams are taken apart into pages by address, and come back.
@Suite("streams of memory")
struct MemoryStreamTests {
    private func parsed(_ bytes: [UInt8]) throws -> MemoryStream { try MemoryStream(parsing: BytesOfTest(bytes)) }

    @Test("pages of a migration stream lie by address, zero pages are holes, and heads cost nothing")
    func migration() async throws {
        let bytes = StreamSample.migration(seed: 1, blocks: [.init(name: "pc.ram", pages: 600)])
        let stream = try parsed(bytes)
        #expect(stream.format == .qemuMigration)
        #expect(stream.notes.isEmpty)
        let memory = try await stored(stream.memory)
        // The bytes of page n stand behind its head.
        for number in [1, 5, 77, 599] {
            let head = UInt64(number) * 4096 | 0x28
            let bigEndian = (0..<8).reversed().map { UInt8(truncatingIfNeeded: head >> UInt64(8 * $0)) }
            guard let place = bytes.indices.first(where: { bytes[$0...].starts(with: bigEndian) }) else { continue }
            #expect(Array(memory[number * 4096..<number * 4096 + 4096]) == Array(bytes[place + 8..<place + 4104]))
        }
        let skeleton = try #require(stream.skeleton)
        #expect(skeleton.byteCount < 600 * 4 + 1200)
        #expect(stream.literalByteCount < 1000)
        #expect(try await fault(of: bytes) == nil)
    }

    @Test("memory of a PC goes on at 4 GiB behind its devices, other blocks lie behind it")
    func layout() async throws {
        let pages = 0xC000_0000 / 4096 + 2
        var sample = StreamSample(seed: 1)
        // By hand: nobody wants 3 GiB of pages.
        sample.append("QEVM")
        sample.big(3, 4)
        sample.append([7])
        sample.big(10, 4)
        sample.append("pc-q35-7.2")
        sample.append([1, 0, 0, 0, 2, 3])
        sample.append("ram")
        sample.big(0, 4)
        sample.big(4, 4)
        sample.big(UInt64(pages + 4) * 4096 | 4, 8)
        for (name, count) in [("pc.ram", pages), ("vga.vram", 4)] {
            sample.append([UInt8(name.utf8.count)])
            sample.append(name)
            sample.big(UInt64(count) * 4096, 8)
        }
        for (name, offset) in [("pc.ram", 0x7FFF_F000), ("pc.ram", 0x8000_0000), ("vga.vram", 0x1000)]
            as [(String, UInt64)]
        {
            sample.big(offset | 8, 8)
            sample.append([UInt8(name.utf8.count)])
            sample.append(name)
            sample.append([UInt8](repeating: 7, count: 4096))
        }
        sample.big(0x10, 8)
        let stream = try parsed(sample.bytes)
        #expect(stream.pageCount == 3)
        let data = try await stream.memory.extents(in: .init(start: 0, length: stream.memory.byteCount))
            .filter { $0.kind == .data }.map(\.extent.start)
        let behind = ((UInt64(1) << 32) + 0x4000_2000 + 0xFF_FFFF) & ~0xFF_FFFF
        #expect(data == [0x7FFF_F000, 1 << 32, behind + 0x1000])
    }

    @Test("every format comes back byte for byte, whatever the size of the pieces", arguments: 1...12)
    func comesBack(seed: Int) async throws {
        for (name, bytes) in StreamSample.small(seed: UInt64(seed)) {
            for size in [5000, 8191, 4 << 20] {
                #expect(try await fault(of: bytes, bufferByteCount: size) == nil, "\(name)")
            }
        }
    }

    @Test("each format is recognised by name and by pages")
    func formats() throws {
        let expected: [MemoryFormat] = [
            .qemuMigration, .qemuMigration, .libvirtSave, .elfCore, .xenCore, .xenCore, .xenLibxc, .xenSave,
        ]
        for ((name, bytes), format) in zip(StreamSample.small(seed: 3), expected) {
            let stream = try parsed(bytes)
            #expect(stream.format == format, "\(name)")
            #expect(stream.pageCount > 0, "\(name)")
            #expect(stream.notes.isEmpty, "\(name): \(stream.notes)")
        }
    }

    @Test("a stream that is cut at any byte comes back, and says that it was cut when pages are missing")
    func cut() async throws {
        for (name, bytes) in StreamSample.small(seed: 5) {
            // Every byte near the heads, every 61st in between.
            for count in 0..<bytes.count where count < 700 || count > bytes.count - 700 || count % 61 == 0 {
                let found = try await fault(of: Array(bytes[..<count]))
                #expect(found == nil, "\(name) cut at \(count)")
            }
        }
        let whole = StreamSample.core(seed: 1)
        #expect(try await storedAndBack(whole) == whole)
        let notes = try parsed(Array(whole[..<(whole.count - 5000)])).notes
        #expect(notes.count == 1 && notes[0].contains("was it cut short?"))
    }

    /// By way of two arrays that hold what a repository would.
    private func storedAndBack(_ bytes: [UInt8]) async throws -> [UInt8] {
        let stream = try parsed(bytes)
        let skeleton = try await stored(try #require(stream.skeleton))
        // Memory above 4 GiB is mostly holes.
        return try await emitted(memory: SourceOfTest(stream.memory), skeleton: StoredOfTest(skeleton))
    }

    @Test("a page that comes again stays literal, the first one is placed")
    func repeated() async throws {
        let bytes = StreamSample.migration(seed: 9, blocks: [.init(name: "pc.ram", pages: 40)], isLive: true)
        let stream = try parsed(bytes)
        #expect(stream.pageCount <= 40)
        #expect(stream.literalByteCount > 4096)
        #expect(try await fault(of: bytes) == nil)
    }

    @Test("program headers that share bytes of a file, odd sizes and addresses inside of a page")
    func cores() async throws {
        let shapes: [[StreamSample.Load]] = [
            [.init(address: 0, byteCount: 1)], [.init(address: 100, byteCount: 20_000)],
            [.init(address: 0, byteCount: 12_288), .init(address: 1 << 40, byteCount: 12_288, sharesFirst: true)],
            [.init(address: 1 << 44, byteCount: 8192), .init(address: .max - 4096, byteCount: 8192)],
            [.init(address: 0, byteCount: 8192), .init(address: 0, byteCount: 8192)],
            [.init(address: 8192, byteCount: 8192), .init(address: 0, byteCount: 8192)],
        ]
        for loads in shapes {
            #expect(try await fault(of: StreamSample.core(seed: 2, loads: loads)) == nil)
        }
        let elsewhere = StreamSample.core(seed: 2, countsElsewhere: true)
        #expect(try parsed(elsewhere).format == .elfCore)
        #expect(try await fault(of: elsewhere) == nil)
    }

    @Test("a core file and a migration stream of the same memory give the same pages")
    func sameMemory() async throws {
        var core = StreamSample(seed: 4)
        let pages = (0..<16).map { number in core.pageContent(number % 3 == 0) }
        var migration = StreamSample(seed: 4)
        migration.append("QEVM")
        migration.big(3, 4)
        migration.append([1, 0, 0, 0, 2, 3])
        migration.append("ram")
        migration.big(0, 4)
        migration.big(4, 4)
        migration.big(16 * 4096 | 4, 8)
        migration.append([6])
        migration.append("pc.ram")
        migration.big(16 * 4096, 8)
        for (number, page) in pages.enumerated() {
            migration.big(UInt64(number) * 4096 | (number == 0 ? 8 : 0x28), 8)
            if number == 0 {
                migration.append([6])
                migration.append("pc.ram")
            }
            migration.append(page)
        }
        migration.big(0x10, 8)
        var elf = StreamSample.core(seed: 4, loads: [.init(address: 0, byteCount: 16 * 4096)])
        elf.replaceSubrange((elf.count - 16 * 4096)..., with: pages.flatMap { $0 })
        let one = try await stored(try parsed(migration.bytes).memory)
        #expect(one == pages.flatMap { $0 })
        #expect(try await stored(try parsed(elf).memory) == one)
    }

    @Test("what is packed is refused with the way out, what is unknown is stored as it is and says so")
    func refusals() async throws {
        for magic in ["KDUMP   ", "makedumpfile\0\0\0\0"] {
            let bytes = Array(magic.utf8) + [UInt8](repeating: 1, count: 5000)
            let error = #expect(throws: MemoryError.self) { try parsed(bytes) }
            #expect(error?.code == .refused && error?.sentence.contains("--format elf") == true)
        }
        let unknown: [([UInt8], String)] = [
            ([], "none of the formats"), ([0x51], "none of the formats"),
            (Array("PAGEDU64".utf8), "none of the formats"),
            (StreamSample.save(seed: 1, compression: 3), "compressed (xz)"),
            (Array("QEVM".utf8) + [0, 0, 0, 2], "version 2"), (Array("QEVM".utf8), "cut short"),
            (Array(StreamSample.core(seed: 1)[..<16]), "cut short"),
            (Array("Xen saved domain, xl format\n \0 \r".utf8) + [1, 2, 3, 4], "order of bytes"),
        ]
        for (bytes, words) in unknown {
            let stream = try parsed(bytes)
            #expect(stream.format == .stream && stream.skeleton == nil)
            #expect(stream.notes.count == 1 && stream.notes[0].contains(words), "\(stream.notes)")
            #expect(try await stored(stream.memory) == bytes)
        }
    }
}
