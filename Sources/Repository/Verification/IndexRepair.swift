package import Effects
package import RepositoryFormat

/// Lists the packs of lost or damaged index runs in new ones, which take their place (format page §9).
package enum IndexRepair {
    /// The runs that are asked and are lost or damaged, in whatever byte.
    ///
    /// - Throws: ``RepositoryError``: `roleLacksKey` for a credential without the index key; `storage`.
    package static func damagedRuns(_ repository: OpenRepository, view: RepositoryView) async throws -> Set<ObjectKey> {
        let passedOver = Set(try await RepositoryReader(repository, view: view).index.passedOver)
        var damaged = Set<ObjectKey>()
        for run in view.runs where !passedOver.contains(run.key) && !damaged.contains(run.key) {
            if try await RunCheck.damage(of: run, in: repository) != nil { damaged.insert(run.key) }
        }
        return damaged
    }

    /// Puts the new runs, with the key of a writer.
    ///
    /// - Throws: ``RepositoryError``, as ``WritingSession/begin(_:state:randomness:bases:)``.
    package static func run(
        _ damaged: Set<ObjectKey>, _ repository: OpenRepository, state: HostState, randomness: Randomness
    ) async throws {
        let damage = try state.damage()
        try state.keep(damage: HostState.Damage(packs: damage.packs, runs: damaged), insteadOf: damage)
        let session = try await WritingSession.begin(repository, state: state, randomness: randomness)
        // What a session finds lost when it begins, its first entry makes good.
        var chain = SessionChain(session)
        try await chain.checkpoint(roots: [])
    }
}
