package import BackupModel
import ChunkEncryption
package import Effects
import RepositoryFormat

/// Approves what others have asked for.
package struct ApprovingSession {
    private let session: MaintenanceSession

    /// - Parameter view: of the whole repository, as it was read now.
    /// - Throws: ``RepositoryError``: `roleLacksKey` for a key whose approval counts for nothing; `unsupported`.
    package init(_ repository: OpenRepository, view: RepositoryView, randomness: Randomness) throws {
        guard let key = repository.credential.signingKey,
            view.said.approvals.mayApprove(key.publicKey.fingerprint)
        else {
            throw RepositoryError(
                .roleLacksKey,
                "this \(repository.credential.role.rawValue) credential approves nothing: its key is not enrolled as a "
                    + "person's that may approve, or that enrolment waits for approval itself, or it is revoked; "
                    + "`dozo key list` tells")
        }
        session = try MaintenanceSession(
            repository, signer: MaintainerKey(repository, key: key), randomness: randomness)
    }

    /// Approves.
    ///
    /// - Parameters:
    ///   - hashes: of entries, statements and rules, 1 to ``ApprovalRecord/hashLimit``.
    ///   - until: the last moment of it, nanoseconds since 1970, UTC.
    ///   - time: now, as the first.
    /// - Throws: ``RepositoryError``: `refused` for a store that hides something; `storage`.
    package func approve(_ hashes: [Hash256], until: UInt64, at time: UInt64, reason: String) async throws {
        try await session.say([ApprovalRecord(hashes: hashes, until: until, at: time, reason: reason).record])
    }
}
