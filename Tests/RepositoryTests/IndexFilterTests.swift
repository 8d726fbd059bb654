import BackupModel
import ChunkEncryption
import Effects
import Foundation
import ObjectStorage
import Repository
import RepositoryFormat
import TestKit
import Testing

@Suite("filters of index runs in the state folder")
struct IndexFilterTests {
    @Test("built, they answer the same and read less; damaged, they cost dedup and no data; others are removed")
    func built() async throws {
        let folder = FileManager.default.temporaryDirectory.path + "/dozo-filters-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let writer = try await IndexWriter()
        for session in 0..<3 { _ = try await writer.add(session * 20_000..<(session + 1) * 20_000) }
        let filters = IndexFilterFolder(
            files: HostFiles(root: folder), root: folder, folder: "filters", randomness: .seeded(1))
        func look(_ index: ChunkIndex) async throws -> (hits: Int, misses: Int) {
            var (hits, misses) = (0, 0)
            for number in stride(from: 0, to: 60_000, by: 7) {
                if try await index.contains(IndexWriter.identifier(number)) { hits += 1 }
                if try await !index.contains(IndexWriter.identifier(number + 1_000_000)) { misses += 1 }
            }
            return (hits, misses)
        }
        let counting = CountingStore(writer.store)
        let without = try await look(writer.index(counting))
        let reads = counting.reads
        let first = try await writer.index(counting, filters: filters)
        await first.buildFilters(filters)
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder + "/filters").count == 3)
        let index = try await writer.index(counting, filters: filters)
        let before = counting.reads
        let with = try await look(index)
        #expect(with == without && with.hits == 8_572 && with.misses == 8_572)
        // A miss reads nothing: hits alone read at most the 1,200 blocks there are, and wrong "maybe"s a few more.
        #expect(counting.reads - before <= 1_300 && reads > 0, "\(counting.reads - before) reads, \(reads) without")
        // Damage: zeros say of everything that it is not there.
        for name in try FileManager.default.contentsOfDirectory(atPath: folder + "/filters") {
            let path = folder + "/filters/" + name
            let handle = try #require(FileHandle(forUpdatingAtPath: path))
            try handle.seek(toOffset: 64)
            try handle.write(contentsOf: Data(count: 20_000))
            try handle.close()
        }
        let damaged = try await writer.index(filters: filters)
        #expect(try await look(damaged).misses == 8_572)
        for number in stride(from: 0, to: 60_000, by: 101) {
            #expect(try await damaged.places(of: IndexWriter.identifier(number)).count == 1)
        }
        // A file of another size or name is no filter; what no run is called is removed.
        try Data(count: 10).write(to: URL(fileURLWithPath: folder + "/filters/" + String(repeating: "a", count: 64)))
        try Data(count: 10).write(to: URL(fileURLWithPath: folder + "/filters/tmp-1"))
        await damaged.buildFilters(filters)
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder + "/filters").count == 3)
    }

    @Test("a state folder without room goes without filters")
    func noRoom() async throws {
        let writer = try await IndexWriter()
        _ = try await writer.add(0..<2_000)
        let filters = IndexFilterFolder(
            files: HostFiles(root: "/proc/nothing"), root: "/proc/nothing", folder: "filters", randomness: .seeded(1))
        let index = try await writer.index(filters: filters)
        await index.buildFilters(filters)
        #expect(try await index.contains(IndexWriter.identifier(1_999)))
        #expect(try await !index.contains(IndexWriter.identifier(2_000)))
    }
}
