import BackupModel
import ChunkEncryption
import RepositoryFormat

/// The key of a maintainer or of the owner, which may fence sessions, compose ledgers and close epochs; or of an
/// approver, which may not.
struct MaintainerKey {
    let key: SigningKey
    /// Name of its sessions.
    let writer: WriterID

    /// - Throws: ``RepositoryError``: `roleLacksKey` for other roles; `unsupported` when the repository needs a newer
    ///   program; `refused` for a revoked key.
    init(_ repository: OpenRepository) throws {
        let credential = repository.credential
        guard credential.role.closesEpochs, let key = credential.signingKey else {
            throw RepositoryError(
                .roleLacksKey,
                "this \(credential.role.rawValue) credential may not forget, hold or sweep; use a maintainer's, or the "
                    + "passphrase")
        }
        try self.init(repository, key: key)
    }

    /// A key of any role.
    ///
    /// - Throws: as the other.
    init(_ repository: OpenRepository, key: SigningKey) throws {
        for act in [RepositoryAct.read, .write, .sweep] { try repository.requireFeatures(for: act) }
        try WritingSession.refuseRevoked(key.publicKey.fingerprint, chain: repository.chain)
        self.key = key
        writer = WriterID(fingerprint: key.publicKey.fingerprint)
    }
}
