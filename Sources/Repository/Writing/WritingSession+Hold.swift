package import BackupModel
package import RepositoryFormat

extension WritingSession {
    /// Makes a point that this writer committed stay, whatever is said of it, until a maintainer or the owner releases
    /// the hold (format page §11, "Forgotten").
    ///
    /// A writer opens no point, and needs not: that the point is there is known by the entry that committed it. Comes
    /// behind the commits of this session, by the one who runs it.
    ///
    /// - Parameter commit: the entry that committed the point.
    /// - Returns: the slot that holds it.
    /// - Throws: ``RepositoryError``: `noSuchPoint` when it is gone, or was when the slot was claimed; `refused` for a
    ///   store that hides something; `storage`.
    package func hold(_ point: PointID, committedBy commit: SessionHead) async throws -> LogHead {
        var log = try await repository.readLog()
        let before = try await repository.view(of: log)
        try WritingSession.refuseUnread(before, repository)
        try WritingSession.refuseHidden(before)
        guard before.shows(point, committedBy: commit) else { throw WritingSession.gone(point) }
        let slot = try await SlotClaim(repository: repository, signer: signer, sessions: before.sessions)
            .claim(.hold([point]), heads: repository.heads(before), log: &log)
        // Only now: what was read before the claim may have been left out by a ledger since.
        guard try await repository.view(of: log).shows(point, committedBy: commit) else {
            throw WritingSession.gone(point)
        }
        return slot
    }

    private static func gone(_ point: PointID) -> RepositoryError {
        RepositoryError(
            .noSuchPoint, "point \(point) is gone: a sweep has left it out of what lives on; it cannot be held")
    }
}
