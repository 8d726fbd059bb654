package import BackupModel
package import ObjectStorage
package import RepositoryFormat
import Synchronization

// How a repository is opened
// --------------------------
// Nothing a store says is believed for itself. The owner's fingerprint comes from a credential or out of an opened key
// slot; it makes the owner chain believable, the chain makes signers believable, signers make slots and session entries
// believable, and those name packs and runs by hash. A listing is a hint and no more: it finds the key slots and,
// behind damage, sessions and packs that nothing readable names.

/// What somebody presents to open a repository.
package enum RepositoryAccessKey: Sendable {
    /// A passphrase or recovery key, which opens a key slot and with it the owner's credential.
    case secret(SlotSecret)
    /// A credential of any role.
    case credential(Credential)
}

/// A repository whose owner chain and store identity were read and believed.
package struct OpenRepository: Sendable {
    /// Reads and puts its objects.
    package let access: ObjectAccess
    /// Who the owner is and whom it enrolled.
    package internal(set) var chain: OwnerChain
    /// What the holder may do.
    package private(set) var credential: Credential
    /// Which store this is.
    package let identity: StoreIdentity
    /// Hash of the identity's object: what the first slot of the log names.
    package let identityHash: Hash256

    /// What opening found to be damaged, missing or in the way, though nothing was lost by it.
    package internal(set) var findings: [RepositoryFinding]
    /// Names of owner statements and store identities that have no spare.
    package internal(set) var lacking: [String]
    /// The end of the owner chain may hold a damaged statement: its name.
    var doubtful: String?
    /// Why the store could not read a place that may hold a statement: whoever writes needs all of them.
    var unread: RepositoryError?
    private var made = MadeKeys()

    /// The keys as they were made last: making them costs two multiplications on the curve.
    private final class MadeKeys: Sendable {
        let last = Mutex<(head: OwnerHead, keys: RepositoryKeys)?>(nil)
    }

    /// Opens a repository.
    ///
    /// - Throws: ``RepositoryError``: `notFound`, `wrongKey`, `damaged`, `refused` when the store shows another owner
    ///   or an older state than the credential knows, `unsupported`.
    package static func open(
        store: any ObjectStore, key: RepositoryAccessKey
    ) async throws -> OpenRepository {
        let access = ObjectAccess(store: store)
        let credential: Credential
        switch key {
        case .credential(let given): credential = given
        case .secret(let secret):
            let geneses = try await TrustReader.claimedGenesis(access)
            credential = try await KeySlots.open(access, secret: secret, geneses: geneses)
        }
        var reader = TrustReader(access)
        let chain = try await reader.chain(for: credential)
        if let refusal = chain.refusal(remembering: credential.ownerHead) { throw RepositoryError.format(refusal) }
        let (identity, hash) = try await reader.identity(chain)
        return OpenRepository(
            access: access, chain: chain, credential: credential, identity: identity, identityHash: hash,
            findings: reader.findings, lacking: reader.lacking, doubtful: reader.doubtful, unread: reader.unread)
    }

    /// A verifier's credential for whatever owner the store shows: enough to find damage, not to notice an exchanged
    /// repository.
    ///
    /// - Throws: ``RepositoryError``: `notFound`, `damaged`.
    package static func claimedVerifier(_ store: any ObjectStore) async throws -> Credential {
        let geneses = try await TrustReader.claimedGenesis(ObjectAccess(store: store))
        // A damaged one beside its whole spare is not the one to believe.
        let whole = geneses.first { (try? OwnerChain(genesis: $0, expectedOwner: $0.header.signer)) != nil }
        guard let genesis = whole ?? geneses.first else {
            preconditionFailure("a claimed genesis is one that was read")
        }
        return .verifier(
            repository: genesis.header.repository, owner: genesis.header.signer,
            ownerHead: OwnerHead(number: 0, hash: genesis.hash))
    }

    /// The repository's id as the store claims it, believed by nobody: only to find what a host keeps about it.
    package static func claimedRepository(_ store: any ObjectStore) async throws -> RepositoryID? {
        try await claimedVerifier(store).repository
    }

    /// The keys of the default domain that the credential holds.
    package func keys() throws -> RepositoryKeys {
        if let last = made.last.withLock({ $0 }), last.head == chain.head { return last.keys }
        let keys = try RepositoryKeys(chain: chain, credential: credential)
        made.last.withLock { $0 = (chain.head, keys) }
        return keys
    }

    /// The same repository in the hands of another credential of it: an owner that goes on as this host's writer.
    ///
    /// - Precondition: the credential names the same owner.
    package func acting(as credential: Credential) -> OpenRepository {
        precondition(credential.owner == self.credential.owner, "both credentials are of one repository")
        var other = self
        other.credential = credential
        other.made = MadeKeys()
        return other
    }

    /// Refuses when the repository has features that this program does not know and must know for the act.
    package func requireFeatures(for act: RepositoryAct) throws {
        if let refusal = chain.refusal(for: act) { throw RepositoryError.format(refusal) }
    }

    /// Reads on what the owner has stated since the repository was opened.
    ///
    /// - Throws: ``RepositoryError``: `damaged` when a statement was lost; `storage`.
    package mutating func readOn() async throws {
        var reader = TrustReader(access)
        try await reader.readOn(&chain)
        let (told, known) = (findings, lacking)
        findings += reader.findings.filter { !told.contains($0) }
        lacking += reader.lacking.filter { !known.contains($0) }
        doubtful = reader.doubtful
        unread = reader.unread
    }

    /// Reads on when the chain that was read ends before what is remembered of it.
    package mutating func readOn(to head: OwnerHead) async throws {
        if head.number > chain.head.number { try await readOn() }
    }

    /// Writers whose keys the owner has revoked.
    package var revokedWriters: Set<WriterID> { Set(chain.revocations.keys.map(WriterID.init(fingerprint:))) }

    /// Reads the control log from its first slot.
    package func readLog() async throws -> ControlLog {
        var log = ControlLog(identity: identity, identityHash: identityHash)
        try await log.readOn(access, chain: chain)
        return log
    }

    /// Reads the log and all sessions, and folds them.
    ///
    /// - Throws: ``RepositoryError``; `unsupported` when the repository needs to be read by a newer program.
    package func view() async throws -> RepositoryView {
        try requireFeatures(for: .read)
        return try await view(of: readLog())
    }

    /// Folds a log that was read.
    package func view(of log: ControlLog) async throws -> RepositoryView {
        var opened: [Hash256: OpenedPoints] = [:]
        return try await view(of: log, opened: &opened)
    }

    /// As ``view(of:)``, for whoever looks several times.
    ///
    /// - Parameter opened: points that were opened before; those of commits that are new are added.
    func view(of log: ControlLog, opened: inout [Hash256: OpenedPoints]) async throws -> RepositoryView {
        let sessions = try await SessionChainReader.sessions(log, access, chain: chain)
        let view = try await view(of: log, sessions: sessions, regained: [], opened: &opened)
        let withdrawn = view.said.approvals.withdrawn
        guard view.showsPoints, !withdrawn.isEmpty else { return view }
        // Whoever cannot read approvals believes every revocation: that holds less for true, and leans on less.
        let regained = try await RegainedSessions(
            log, beside: sessions, access, chain: chain.believing(without: withdrawn))
        return try await self.view(of: log, sessions: regained.sessions, regained: regained.slots, opened: &opened)
    }

    private func view(
        of log: ControlLog, sessions: [ReadSession], regained: [ReadSlot], opened: inout [Hash256: OpenedPoints]
    ) async throws -> RepositoryView {
        let keys = credential.domains.isEmpty ? nil : try keys()
        let unseen = try await HeadsComparison(log: log, sessions: sessions, chain: chain).hidden(access)
        opened = try await RepositoryView.openedPoints(sessions, chain: chain, keys: keys, known: opened)
        return try RepositoryView(
            log: log, sessions: sessions, chain: chain, opening: findings, unseen: unseen, keys: keys, opened: opened,
            regained: regained)
    }

    /// The number and hash of the last owner statement, log slot and sessions seen.
    package func heads(_ view: RepositoryView) -> Heads {
        Heads(owner: (chain.head.number, chain.head.hash), log: view.log.head, sessions: view.openHeads())
    }
}
