import BackupModel
import ChunkEncryption
import Effects
import ObjectStorage
import RepositoryFormat

/// A run that was put.
struct PutRun {
    let key: ObjectKey
    let byteCount: UInt64
    /// What its end says; the run itself is not kept.
    let fence: IndexRunFence
    /// Its filter by its hash, when this host keeps filters and the run is large enough.
    let filters: [Hash256: IndexFilter]

    /// As an entry names it.
    var listed: Inventory.Run { Inventory.Run(key: key, byteCount: byteCount) }
}

/// Composes the index runs of one session and puts them.
struct RunWriter {
    let access: ObjectAccess
    let keys: RepositoryKeys
    let signer: SigningKey
    let randomness: Randomness
    /// Epoch of the session's slot.
    let generation: UInt32
    /// Where this host keeps filters of runs; `nil` for who keeps none.
    let filters: IndexFilterFolder?

    /// Composes an index run and puts it. Durable when it returns; it counts once an entry names it.
    ///
    /// - Throws: ``RepositoryError``: `storage`; `damaged` when the name holds other bytes.
    func put(
        _ entries: [IndexEntry], packs: [ObjectKey], merged: [Hash256] = [], parts: [Hash256] = []
    ) async throws -> PutRun {
        let run = IndexRunBuilder.run(
            entries: entries, packs: packs, merged: merged, parts: parts, repository: keys.repository,
            domain: keys.domain.id, keyEpoch: keys.domain.epoch, indexKey: try keys.indexKey(), signer: signer,
            randomness: randomness.bytes(SealedSection.saltByteCount))
        let key = ObjectKey(hash: run.hash, generation: generation)
        guard case .mine = try await access.put(key.runName, run.bytes) else {
            throw RepositoryError(
                .damaged, "\(key.runName) holds other bytes than those it is named after; run `dozo verify`", .repair)
        }
        var filters: [Hash256: IndexFilter] = [:]
        if let folder = self.filters, entries.count >= IndexFilterFolder.smallestEntryCount {
            var builder = IndexFilter.Builder(run: run.hash, entryCount: entries.count)
            for entry in entries { builder.add(entry.identifier) }
            filters[run.hash] = folder.keep(builder.bytes, of: run.hash)
        }
        let fence = try await RepositoryError.translating {
            try IndexRunFence(
                front: run.bytes[...], tail: run.bytes[...], runByteCount: run.bytes.count,
                repository: keys.repository, indexKey: keys.indexKey(), name: key.runName)
        }
        return PutRun(key: key, byteCount: UInt64(run.bytes.count), fence: fence, filters: filters)
    }
}
