import BackupModel
import RepositoryFormat

extension WritingSession {
    /// Composes an index run and puts it. Durable when it returns; it counts once an entry names it.
    ///
    /// - Throws: ``RepositoryError``: `storage`; `damaged` when the name holds other bytes.
    func put(
        _ entries: [IndexEntry], packs: [ObjectKey], merged: [Hash256] = [], parts: [Hash256] = []
    ) async throws -> PutRun {
        let runs = RunWriter(
            access: repository.access, keys: keys, signer: signer, randomness: randomness,
            generation: slot.slot.epoch, filters: state.filters)
        let run = try await runs.put(entries, packs: packs, merged: merged, parts: parts)
        count(stored: Int(run.byteCount))
        didPut(run: run.key.hash)
        return run
    }
}
