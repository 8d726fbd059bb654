import BackupModel
import ChunkEncryption
import Effects
import ObjectStorage
import Repository
import RepositoryFormat

/// Makes the repository.
struct Maker {
    let folder: String
    let chunkCount: Int

    func run() async throws {
        try HostPaths.makeFolders(folder + "/repository")
        try HostPaths.makeFolders(folder + "/state")
        let store = try IndexAtScale.store(folder)
        let owner = try await RepositoryCreation.create(
            in: store, secret: .passphrase(SecretBytes(copying: Array(IndexAtScale.passphrase.utf8))),
            label: "index at scale", createdAt: 0, randomness: .system)
        var repository = try await OpenRepository.open(store: store, key: .credential(owner))
        let seed = SecretBytes(copying: Randomness.system.bytes(SigningKey.seedByteCount))
        try await repository.enrol(
            Enrolment(key: SigningKey(seed: seed).publicKey, role: .writer, domain: 0, label: "writer"), createdAt: 0)
        let writer = repository.credential.restricted(
            to: .writer, signingSeed: seed, ownerHead: repository.chain.head)
        let state = try IndexAtScale.state(folder, owner.repository)
        try state.keep(writerCredential: writer)
        // The host's list of finished packs is not what is measured: on a disk that is only memory.
        let memory = try HostState(files: MemoryFiles(), repository: owner.repository, randomness: .system)
        var next = 0
        while next < chunkCount {
            let opened = try await OpenRepository.open(store: store, key: .credential(writer))
            let session = try await WritingSession.begin(opened, state: memory, randomness: .system)
            var chain = SessionChain(session)
            for _ in 0..<IndexAtScale.checkpointsPerSession where next < chunkCount {
                for _ in 0..<IndexAtScale.packsPerCheckpoint where next < chunkCount {
                    try await session.put(pack(&next), objectClass: .content)
                }
                try await chain.checkpoint(roots: [])
            }
            try await chain.commit(point(UInt64(next)))
            print("\(next) chunks, \(IndexAtScale.residentMebibytes()) MiB")
        }
    }

    /// A point of nothing: what a session's end needs.
    private func point(_ number: UInt64) throws -> RestorePointRecord {
        guard let identifier = PointID(bytes: Randomness.system.bytes(16)),
            let guest = GuestID(bytes: [UInt8](repeating: 1, count: 16))
        else { preconditionFailure("16 bytes make an id") }
        return RestorePointRecord(
            identifier: identifier, guest: guest, label: "guest", takenAt: number, consistency: "crash",
            trust: "scanned", host: "host", tool: "IndexAtScale", images: [], base: nil, startedAt: number,
            endedAt: number, volume: RestorePointRecord.Volume())
    }

    private func pack(_ next: inout Int) -> FinishedPack {
        let count = min(IndexAtScale.entriesPerPack, chunkCount - next)
        let entries = (0..<count).map { position in
            PackEntry(
                identifier: IndexAtScale.identifier(next + position), kind: .data, codec: .zstd, keyNumber: 0,
                counter: UInt32(position), offset: 96, storedByteCount: 100, plainByteCount: 200)
        }
        defer { next += count }
        return FinishedPack(
            bytes: [UInt8](repeating: 0, count: FakedPacksStore.packByteCount), hash: entries[0].identifier,
            entries: entries)
    }
}
