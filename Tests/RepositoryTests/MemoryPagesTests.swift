import BackupModel
import Capture
import ChunkEncryption
import Effects
import Foundation
import GuestMemory
import GuestSource
import ObjectStorage
import Recovery
import Repository
import RepositoryFormat
import Simulation
import TestKit
import Testing

/// Pages of a guest's memory that its disks have are named as parts of their chunks, and nothing that the host keeps
/// about them makes a wrong byte.
@Suite("pages of memory in chunks of disks")
struct MemoryPagesTests {
    /// A repository of one host that keeps its state in a folder.
    private struct World {
        let store: MemoryStore
        let owner: Credential
        let writer: Credential
        let guest: GuestID
        let disk = try? TemporaryDisk()
        let randomness: Randomness

        init(seed: UInt64) async throws {
            store = MemoryStore(randomness: .seeded(seed))
            randomness = Randomness.seeded(seed + 1)
            owner = try await RepositoryCreation.create(
                in: store, secret: .passphrase(SecretBytes(copying: Array("horse".utf8))), label: "sample",
                defaults: RepositoryDefaults(
                    minimum: 8 << 10, maximum: 32 << 10, threshold: .max / 3, zeroRun: 8 << 10, region: 128 << 10,
                    leaf: 32 << 10, fanOut: 4, pack: 64 << 10),
                cost: try PassphraseCost(cost: 1 << 15, blockSize: 8, parallelization: 1), createdAt: 0,
                randomness: randomness)
            var repository = try await OpenRepository.open(store: store, key: .credential(owner))
            let seed = SecretBytes(copying: randomness.bytes(SigningKey.seedByteCount))
            try await repository.enrol(
                Enrolment(key: SigningKey(seed: seed).publicKey, role: .writer, domain: 0, label: "host"),
                createdAt: 1)
            writer = owner.restricted(to: .writer, signingSeed: seed, ownerHead: repository.chain.head)
            guest = try #require(GuestID(bytes: randomness.bytes(16)))
        }

        var folder: String { disk?.folder ?? "" }

        /// Names of the guest's log; empty when there is none.
        var log: String {
            "\(folder)/repositories/\(owner.repository)/pages/\(guest.hexadecimal)"
        }

        func backUp(_ disks: [BackupDisk], at time: UInt64) async throws -> RestorePointRecord {
            let repository = try await OpenRepository.open(store: store, key: .credential(writer))
            let state = try HostState(
                files: HostFiles(root: folder), root: folder, repository: owner.repository, randomness: randomness)
            let session = try await WritingSession.begin(
                repository, state: state, randomness: randomness, bases: { _ in [] })
            let plan = BackupPlan(
                guest: guest, label: "guest", takenAt: time, host: "host", tool: "test", base: nil, workers: 2,
                now: { time })
            return try await BackupRun(session, plan: plan).run(disks)
        }

        /// The stream of a point, as a restore writes it.
        func restored(_ point: RestorePointRecord) async throws -> [UInt8] {
            let repository = try await OpenRepository.open(store: store, key: .credential(owner))
            let reader = try await RepositoryReader(repository, view: try await repository.view())
            let name = "back-\(point.identifier)"
            _ = try await MemoryRestore(reader, point: point).run(to: .file("\(folder)/\(name)", replaces: false))
            return try #require(disk?.bytes(name))
        }

        func root(_ point: RestorePointRecord) async throws -> ImageRoot {
            let repository = try await OpenRepository.open(store: store, key: .credential(owner))
            let reader = try await RepositoryReader(repository, view: try await repository.view())
            return try await MapWalker(reader.blobs()).root(of: try #require(point.memory))
        }
    }

    /// A stream that lies in memory.
    private final class Bytes: PositionedBytes {
        let path = "the stream"
        private let bytes: [UInt8]
        private let changes: Bool
        var byteCount: UInt64 { UInt64(bytes.count) }

        init(_ bytes: [UInt8], changes: Bool = false) {
            self.bytes = bytes
            self.changes = changes
        }

        func read(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws(SourceError) {
            precondition(offset + UInt64(buffer.count) <= byteCount, "a read lies inside of the stream")
            // Safety: the range was just found inside of the array, and is as long as the buffer.
            unsafe bytes[Int(offset)..<Int(offset) + buffer.count].withUnsafeBytes {
                unsafe buffer.copyMemory(from: $0)
            }
        }

        func confirmUnchanged() throws(SourceError) {
            if changes { throw SourceError(.changed, "the stream changed", .retry) }
        }
    }

    /// A core file with these pages from address 0 on.
    private static func core(_ pages: [[UInt8]]) -> [UInt8] {
        func number(_ value: Int, _ count: Int) -> [UInt8] {
            (0..<count).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
        }
        var bytes: [UInt8] = [0x7F, 0x45, 0x4C, 0x46, 2, 1, 1] + [UInt8](repeating: 0, count: 9)
        bytes += number(4, 2) + number(62, 2) + number(1, 4) + number(0, 8) + number(64, 8) + number(0, 8)
        for value in [0, 0, 64, 56, 1, 0, 0, 0] { bytes += number(value, 2) }
        bytes += number(1, 4) + number(0, 4) + number(120, 8) + number(0, 16)
        bytes += number(pages.count * 4096, 8) + number(pages.count * 4096, 8) + number(0, 8)
        return bytes + pages.flatMap { $0 }
    }

    private static func parts(_ stream: [UInt8], changes: Bool = false) throws -> [BackupDisk] {
        let parsed = try MemoryStream(parsing: Bytes(stream, changes: changes))
        let skeleton = try #require(parsed.skeleton)
        return [
            .memory(.memory(parsed.memory, format: parsed.format.name, isPaged: true)),
            .memory(.skeleton(skeleton, format: parsed.format.name)),
        ]
    }

    private static func page(_ dice: inout Dice) -> [UInt8] {
        switch dice.roll(below: 8) {
        case 0: [UInt8](repeating: 0, count: 4096)
        case 1: [UInt8](repeating: 0xAB, count: 4096)
        default: dice.bytes(256).flatMap { [UInt8](repeating: $0, count: 16) }
        }
    }

    /// Pages of a disk, and a memory that holds most of them in another order, some twice, among others of its own.
    private static func guest(_ dice: inout Dice) -> (disk: [[UInt8]], memory: [[UInt8]]) {
        let disk = (0..<(40 + Int(dice.roll(below: 120)))).map { _ in page(&dice) }
        var memory = disk.filter { _ in dice.roll(below: 20) > 0 }
        memory += memory.filter { _ in dice.roll(below: 10) == 0 }
        for _ in 0..<Int(dice.roll(below: 60)) { memory.append(page(&dice)) }
        // Stretches move as wholes, as they do in a page cache.
        var shuffled: [[UInt8]] = []
        while !memory.isEmpty {
            let start = Int(dice.roll(below: UInt64(memory.count)))
            let count = min(1 + Int(dice.roll(below: 6)), memory.count - start)
            shuffled += memory[start..<start + count]
            memory.removeSubrange(start..<start + count)
        }
        return (disk, shuffled)
    }

    @Test("memory comes back byte for byte, and what its disks have is not stored again", arguments: 1...12)
    func comesBack(seed: Int) async throws {
        var dice = Dice(seed: UInt64(seed))
        let (disk, memory) = Self.guest(&dice)
        let world = try await World(seed: UInt64(seed))
        _ = try await world.backUp([.image(name: "d", source: SimulatedImage(disk.flatMap { $0 }))], at: 1)
        let stream = Self.core(memory)
        let point = try await world.backUp(try Self.parts(stream), at: 2)
        #expect(try await world.restored(point) == stream)
        let fresh = Set(memory).subtracting(disk)
        let shared = Set(memory).intersection(disk).filter { $0.contains { $0 != 0 } }
        // Chunks of which a page is missing in memory are not found; most are whole.
        if shared.count > 30 {
            #expect(try await world.root(point).hasSlices)
            #expect(point.volume.new < UInt64(fresh.count + shared.count) * 4096)
        }
    }

    @Test("all of a disk in memory, in any order, costs nothing but the skeleton; disk and memory in one run as well")
    func wholeDisk() async throws {
        var dice = Dice(seed: 77)
        let disk = (0..<96).map { _ in dice.bytes(4096) }
        let stream = Self.core(disk.reversed())
        let image = SimulatedImage(disk.flatMap { $0 })
        let world = try await World(seed: 5)
        _ = try await world.backUp([.image(name: "d", source: image)], at: 1)
        let point = try await world.backUp(try Self.parts(stream), at: 2)
        #expect(point.volume.new < 1024)
        #expect(try await world.restored(point) == stream)
        let other = try await World(seed: 6)
        let both = try await other.backUp(
            [.image(name: "d", source: image)] + (try Self.parts(stream)), at: 1)
        #expect(both.volume.new < UInt64(disk.count * 4096 + 1024))
        #expect(try await other.restored(both) == stream)
    }

    @Test("whatever becomes of the host's log, memory comes back byte for byte", arguments: 1...12)
    func spoiledLog(seed: Int) async throws {
        var dice = Dice(seed: UInt64(seed) + 100)
        let (disk, memory) = Self.guest(&dice)
        let world = try await World(seed: UInt64(seed))
        _ = try await world.backUp([.image(name: "d", source: SimulatedImage(disk.flatMap { $0 }))], at: 1)
        var log = [UInt8](try Data(contentsOf: URL(fileURLWithPath: world.log)))
        #expect(!log.isEmpty)
        switch seed % 4 {
        case 0: log.removeLast(Int(dice.roll(below: UInt64(log.count))))
        case 1: for _ in 0..<8 { log[Int(dice.roll(below: UInt64(log.count)))] ^= 1 << UInt8(dice.roll(below: 8)) }
        case 2:
            // Ids exchanged: the values of one chunk under the name of another.
            let second = 36 + 8 * Int(log[32])
            if second + 32 <= log.count {
                let (one, two) = (Array(log[..<32]), Array(log[second..<second + 32]))
                log.replaceSubrange(0..<32, with: two)
                log.replaceSubrange(second..<second + 32, with: one)
            }
        default: log = dice.bytes(5000)
        }
        try Data(log).write(to: URL(fileURLWithPath: world.log))
        let stream = Self.core(memory)
        let point = try await world.backUp(try Self.parts(stream), at: 2)
        #expect(try await world.restored(point) == stream)
        // And the log is good for something again once the disk is read.
        _ = try await world.backUp([.image(name: "d", source: SimulatedImage(disk.flatMap { $0 }))], at: 3)
        let again = try await world.backUp(try Self.parts(stream), at: 4)
        #expect(try await world.restored(again) == stream)
    }

    @Test("a stream that changed while it was read makes no point")
    func changed() async throws {
        var dice = Dice(seed: 3)
        let stream = Self.core((0..<20).map { _ in dice.bytes(4096) })
        let world = try await World(seed: 4)
        let error = await #expect(throws: SourceError.self) {
            _ = try await world.backUp(try Self.parts(stream, changes: true), at: 1)
        }
        #expect(error?.code == .changed)
        let repository = try await OpenRepository.open(store: world.store, key: .credential(world.owner))
        #expect(try await repository.view().points.isEmpty)
    }

    @Test("a chunk that the repository lost since is stored again, not leant on")
    func lostChunk() async throws {
        var dice = Dice(seed: 9)
        let disk = (0..<64).map { _ in dice.bytes(4096) }
        let world = try await World(seed: 8)
        _ = try await world.backUp([.image(name: "d", source: SimulatedImage(disk.flatMap { $0 }))], at: 1)
        // Another repository knows nothing of these chunks, and gets the log of the first.
        let other = try await World(seed: 8)
        let folder = "\(other.folder)/repositories/\(other.owner.repository)/pages"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        try FileManager.default.copyItem(atPath: world.log, toPath: other.log)
        let stream = Self.core(disk.reversed())
        let point = try await other.backUp(try Self.parts(stream), at: 2)
        #expect(point.volume.new >= UInt64(disk.count * 4096))
        #expect(try await other.restored(point) == stream)
    }
}
