package import Effects
import RepositoryFormat

/// Lists the packs of lost or damaged index runs in new ones, which take their place (format page §9).
package enum IndexRepair {
    /// Names of the lost runs whose packs no other run lists.
    ///
    /// - Throws: ``RepositoryError``: `roleLacksKey` for a credential without the index key; `storage`.
    package static func lostRuns(_ repository: OpenRepository, view: RepositoryView) async throws -> [String] {
        let index = try await RepositoryReader(repository, view: view).index
        return index.unlistedPacks.isEmpty ? [] : index.lostRuns.map(\.runName)
    }

    /// Puts the new runs, with the key of a writer.
    ///
    /// The caller makes sure that no other session with the same host state is running.
    /// - Throws: ``RepositoryError``, as ``WritingSession/begin(_:state:randomness:bases:)``.
    package static func run(
        _ repository: OpenRepository, state: HostState, randomness: Randomness
    ) async throws {
        let session = try await WritingSession.begin(repository, state: state, randomness: randomness)
        // What a session finds lost when it begins, its first entry makes good.
        var chain = SessionChain(session)
        try await chain.checkpoint(roots: [])
    }
}
