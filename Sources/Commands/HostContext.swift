import BackupModel
import ChunkEncryption
import Effects
import ObjectStorage
import Repository
import RepositoryFormat

/// Dozo's state on this host: where it is, and what it says about one repository (mode 0700, never in the repository).
struct HostContext {
    /// Absolute path of the state folder.
    let folder: String
    /// What the host remembers about the repository.
    let state: HostState
    private let repository: RepositoryID

    /// `$XDG_STATE_HOME/dozo`, else `/var/lib/dozo` for root and `~/.local/state/dozo` for others.
    static func stateFolder() throws -> String {
        if let home = Environment["XDG_STATE_HOME"] {
            guard home.hasPrefix("/") else {
                throw CommandFailure(.usage, "XDG_STATE_HOME is \(home), which is not an absolute path")
            }
            return home + "/dozo"
        }
        if HostPaths.isRoot { return "/var/lib/dozo" }
        guard let home = Environment["HOME"] else {
            throw CommandFailure(.usage, "neither XDG_STATE_HOME nor HOME is set: nowhere to keep this host's state")
        }
        return home + "/.local/state/dozo"
    }

    /// Opens the state, making its folders.
    init(_ repository: RepositoryID) throws {
        folder = try HostContext.stateFolder()
        try HostPaths.makeFolders(folder)
        state = try HostState(
            files: HostFiles(root: folder), root: folder, repository: repository, randomness: .system)
        self.repository = repository
    }

    /// The credential that this host keeps for the repository in a store; `nil` when it keeps none.
    static func keptCredential(for store: DirectoryStore) async throws -> Credential? {
        guard let repository = try await OpenRepository.claimedRepository(store) else { return nil }
        return try HostContext(repository).state.writerCredential()
    }

    /// The filters of index runs that this host keeps for a repository; `nil` when its state cannot be opened: reading
    /// does without.
    static func filters(of repository: OpenRepository) -> IndexFilterFolder? {
        (try? HostContext(repository.chain.repository))?.state.filters
    }

    /// Waits for nobody: one session of a host writes at a time.
    func lock() throws -> FileLock {
        guard let lock = try FileLock(path: "\(folder)/repositories/\(repository)/lock") else {
            throw CommandFailure(
                .refused, "another backup of this host into this repository is running; start again when it is done")
        }
        return lock
    }

    /// The credential this host writes with: the one it keeps, or one that the owner enrols now.
    ///
    /// - Parameters:
    ///   - repository: opened with any credential; gains the enrolment.
    ///   - note: is told of a new enrolment, which happens once for a host and otherwise means that its state is gone.
    func writer(
        _ repository: inout OpenRepository, label: String, note: (String) -> Void
    ) async throws -> Credential {
        if repository.credential.role == .writer { return repository.credential }
        guard repository.credential.role == .owner else { throw HostContext.mayNotWrite(repository.credential.role) }
        if let kept = try state.writerCredential(), let key = kept.signingKey,
            repository.chain.signer(key.publicKey.fingerprint) != nil
        {
            return kept
        }
        let twins = repository.chain.enrolments.filter { key, enrolment in
            enrolment.label == label && enrolment.role == .writer && repository.chain.revocations[key] == nil
        }
        let credential = try await renewWriter(&repository, label: label)
        let key = credential.signingKey?.publicKey.fingerprint.abbreviated ?? ""
        note("note: this host was enrolled as writer \(Console.printable(label)) with a new key, \(key)")
        if let twin = twins.max(by: { $0.value.statement < $1.value.statement })?.key {
            note(
                "note: a writer \(Console.printable(label)) was enrolled before (key \(twin.abbreviated)), and its "
                    + "state is not in \(folder): if it is lost for good, `dozo key revoke \(twin.abbreviated)` ends "
                    + "that key; what this host had seen of the repository is not remembered either")
        }
        return credential
    }

    private static func mayNotWrite(_ role: Role) -> CommandFailure {
        CommandFailure(
            .wrongKey,
            "a \(role.rawValue) credential may not add restore points; use a writer's credential or the passphrase")
    }

    /// Enrols a new writer key for this host and keeps it.
    ///
    /// - Precondition: the repository was opened by its owner.
    @discardableResult
    func renewWriter(_ repository: inout OpenRepository, label: String) async throws -> Credential {
        let seed = SecretBytes(copying: Randomness.system.bytes(SigningKey.seedByteCount))
        let key = SigningKey(seed: seed)
        try await repository.enrol(
            Enrolment(key: key.publicKey, role: .writer, domain: 0, label: label),
            createdAt: SystemClock.system.wall() / 1_000_000_000)
        let credential = repository.credential.restricted(
            to: .writer, signingSeed: seed, ownerHead: repository.chain.head)
        try state.keep(writerCredential: credential)
        try remember(repository)
        return credential
    }

    /// Remembers the end of the owner chain.
    func remember(_ repository: OpenRepository) throws {
        var memory = try state.memory() ?? HostState.Memory(of: repository)
        memory.saw(repository.chain.head)
        try state.keep(memory: memory)
    }

    /// Remembers what was seen, so that a store that goes back is noticed by this host from now on.
    func remember(_ view: RepositoryView, chain: OwnerChain) throws {
        var known = try state.memory()
        if known?.incarnation != view.log.identity.incarnation {
            known?.log = nil
            known?.sessions = []
        }
        // What was seen behind the newest readable slot stays remembered while that place is spoiled.
        var memory = HostState.Memory(
            owner: known?.owner ?? chain.head,
            log: [known?.log, view.log.head].compactMap(\.self).max { $0.slot < $1.slot },
            incarnation: view.log.identity.incarnation, sessions: known?.sessions ?? [])
        memory.saw(chain.head)
        if known != memory { try state.keep(memory: memory) }
    }
}

/// A repository that was opened and looked at.
struct LookedAt {
    let repository: OpenRepository
    let view: RepositoryView
    /// Names of objects that are lost, hidden or damaged and may have named points that are not shown.
    let gaps: [String]

    /// Ends a command that did what it was asked with status 3 when it may have missed points.
    ///
    /// - Parameter what: what was done, and what may be wrong with it.
    func requireWhole(_ what: String) throws {
        guard let first = gaps.first else { return }
        let more = gaps.count > 1 ? " and \(gaps.count - 1) more" : ""
        throw CommandFailure(
            .partial, "\(what): \(first)\(more) cannot be read and may have named points; `dozo verify` says more")
    }
}

extension RepositoryOptions {
    /// Opens the repository and its view, refuses a store that went back, remembers what was seen, prints what is odd.
    func openAndLook(
        rates: Rates = Rates()
    ) async throws -> (repository: OpenRepository, view: RepositoryView) {
        let repository = try await open(rates: rates)
        let view = try await repository.view()
        // A host that cannot keep state can still read; it only cannot notice that a store went back.
        do {
            let host = try HostContext(repository.chain.repository)
            try host.state.check(view, chain: repository.chain)
            try host.remember(view, chain: repository.chain)
        } catch let error as RepositoryError where error.code == .storage {
            note("note: \(error.sentence); whether the store went back to an earlier state was not checked")
        } catch let error as RepositoryError where error.code == .damaged {
            // Damage where this host had seen or written something is no reason to keep the rest from it.
            note("note: \(error.sentence)")
        } catch let error as FileError {
            note("note: \(error.sentence); whether the store went back to an earlier state was not checked")
        }
        notes(view.notes)
        return (repository, view)
    }

    /// As ``openAndLook()``, and looks in a listing for what nothing leads to: for commands that say which points there
    /// are, or choose the newest one.
    func openAndSearch(rates: Rates = Rates()) async throws -> LookedAt {
        let (repository, view) = try await openAndLook(rates: rates)
        let unreached = try await repository.unreached(view)
        notes(unreached.map(\.sentence))
        return LookedAt(repository: repository, view: view, gaps: view.gaps + unreached.map(\.object))
    }
}
