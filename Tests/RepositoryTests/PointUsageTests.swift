import BackupModel
import ChunkEncryption
import ObjectStorage
import Repository
import RepositoryFormat
import Testing

/// `dozo show --usage` against sums that are made the plain way: every chunk of every point from its own map.
@Suite("what a point takes up, and what it has for itself")
struct PointUsageTests {
    /// Chunks of a point with the bytes that they stand for, holes left out.
    private func chunks(of point: RestorePoint, _ reader: RepositoryReader) async throws -> (Set<Hash256>, UInt64) {
        let walker = MapWalker(reader.blobs())
        var chunks = Set<Hash256>()
        var data: UInt64 = 0
        for image in point.record.images {
            try await walker.leaves(of: walker.root(of: image), title: image.title) { place in
                for slice in try await walker.leaf(place, title: image.title).slices {
                    guard let chunk = slice.chunk else { continue }
                    chunks.insert(chunk)
                    data += slice.byteCount
                }
            }
        }
        return (chunks, data)
    }

    @Test("sums of all points of a repository with shared chunks, at once and in shares", arguments: [1 << 20, 40, 3])
    func sums(chunksAtOnce: Int) async throws {
        let sample = try await Samples.sample()
        let repository = try await OpenRepository.open(
            store: SampleRepository.store(sample.objects), key: .credential(sample.maintainer))
        let view = try await repository.view()
        let reader = try await RepositoryReader(repository, view: view)
        var entries: [Hash256: PackEntry] = [:]
        for pack in view.packs where pack.objectClass == .content {
            for entry in try await reader.shelf.contents(of: pack.key).entries { entries[entry.identifier] = entry }
        }
        var used: [PointID: Set<Hash256>] = [:]
        for point in view.points { used[point.record.identifier] = try await chunks(of: point, reader).0 }
        var shared = 0
        for point in view.points {
            let usage = try await PointUsage(of: point, reader: reader, chunksAtOnce: chunksAtOnce)
            let own = try #require(used[point.record.identifier])
            let others = used.filter { $0.key != point.record.identifier }.values.reduce(into: Set()) {
                $0.formUnion($1)
            }
            func stored(_ chunks: Set<Hash256>) -> UInt64 {
                chunks.reduce(0) { $0 + UInt64(entries[$1]?.storedByteCount ?? 0) }
            }
            #expect(usage.diskByteCount == point.record.images.reduce(0) { $0 + $1.byteCount })
            #expect(try await usage.dataByteCount == chunks(of: point, reader).1)
            #expect(usage.chunkCount == own.count)
            #expect(usage.distinctByteCount == own.reduce(0) { $0 + UInt64(entries[$1]?.plainByteCount ?? 0) })
            #expect(usage.storedByteCount == stored(own))
            #expect(usage.uniqueByteCount == stored(own.subtracting(others)))
            shared += own.intersection(others).count
        }
        #expect(shared > 0)
    }

    @Test("a writer's key adds nothing up")
    func writer() async throws {
        let sample = try await Samples.sample()
        let owner = try await OpenRepository.open(
            store: SampleRepository.store(sample.objects), key: .credential(sample.owner))
        let point = try #require(try await owner.view().points.first)
        let repository = owner.acting(as: sample.hosts[0].credential)
        let reader = try await RepositoryReader(repository, view: repository.view())
        do {
            _ = try await PointUsage(of: point, reader: reader)
            Issue.record("a writer opened a map")
        } catch let error as RepositoryError { #expect(error.code == .roleLacksKey) }
    }
}
