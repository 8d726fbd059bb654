import BackupModel
import ChunkEncryption
import Effects
import ObjectStorage
import Repository
import RepositoryFormat

/// Makes the repository.
struct IndexMaker {
    let folder: String
    let chunkCount: Int

    func run() async throws {
        let (store, writer, owner) = try await RepositoryAtScale.make(folder)
        // The host's list of finished packs is not what is measured: on a disk that is only memory.
        let memory = try HostState(files: MemoryFiles(), repository: owner.repository, randomness: .system)
        var next = 0
        while next < chunkCount {
            let opened = try await OpenRepository.open(store: store, key: .credential(writer))
            let session = try await WritingSession.begin(opened, state: memory, randomness: .system)
            var chain = SessionChain(session)
            for _ in 0..<RepositoryAtScale.checkpointsPerSession where next < chunkCount {
                for _ in 0..<RepositoryAtScale.packsPerCheckpoint where next < chunkCount {
                    try await session.put(pack(&next), objectClass: .content)
                }
                try await chain.checkpoint(roots: [])
            }
            try await chain.commit(RepositoryAtScale.point(UInt64(next)))
            print("\(next) chunks, \(RepositoryAtScale.residentMebibytes()) MiB")
        }
    }

    private func pack(_ next: inout Int) -> FinishedPack {
        let count = min(RepositoryAtScale.entriesPerPack, chunkCount - next)
        let entries = (0..<count).map { position in
            PackEntry(
                identifier: RepositoryAtScale.identifier(next + position), kind: .data, codec: .zstd, keyNumber: 0,
                counter: UInt32(position), offset: 96, storedByteCount: 100, plainByteCount: 200)
        }
        defer { next += count }
        return FinishedPack(
            bytes: [UInt8](repeating: 0, count: FakedPacksStore.packByteCount), hash: entries[0].identifier,
            entries: entries)
    }
}
