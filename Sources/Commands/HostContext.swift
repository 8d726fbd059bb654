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

    /// Where what is kept about the repository lies.
    var repositoryFolder: String { "\(folder)/repositories/\(repository)" }
    private var lockPath: String { "\(repositoryFolder)/lock" }

    /// For as long as this host writes sessions: any number of processes may at once. Waits for nobody.
    func shareLock() throws -> FileLock {
        guard let lock = try FileLock(path: lockPath, isShared: true) else {
            throw CommandFailure(
                .refused,
                "this host gets a new key for this repository at the moment, or an older dozo backs up into it; start "
                    + "again when it is done")
        }
        return lock
    }

    /// For what must not happen while this host writes a session. Waits for nobody.
    func lock() throws -> FileLock {
        guard let lock = try FileLock(path: lockPath) else {
            throw CommandFailure(
                .refused, "a backup of this host into this repository is running; start again when it is done")
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
        if let kept = try keptWriter(repository) { return kept }
        // Of several that begin at once one enrols the host, and the others write with its key.
        let lock = try HostFiles(root: folder).waitForLock("repositories/\(repository.chain.repository)/enrolment.lock")
        defer { withExtendedLifetime(lock) {} }
        try await repository.readOn()
        if let kept = try keptWriter(repository) { return kept }
        let twins = repository.chain.enrolments.filter { key, enrolment in
            enrolment.label == label && enrolment.role == .writer && enrolment.person == nil
                && repository.chain.revocations[key] == nil
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

    /// The credential that this host keeps, when the owner chain as it was read knows its key.
    private func keptWriter(_ repository: OpenRepository) throws -> Credential? {
        guard let kept = try state.writerCredential(), let key = kept.signingKey,
            repository.chain.signer(key.publicKey.fingerprint) != nil
        else { return nil }
        return kept
    }

    private static func mayNotWrite(_ role: Role) -> CommandFailure {
        CommandFailure(
            .wrongKey,
            "this \(role.rawValue) credential may not add restore points; use a writer's credential or the passphrase")
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
        try state.keep(memory: HostState.Memory(of: repository))
    }

    /// Remembers what was seen, so that a store that goes back is noticed by this host from now on.
    func remember(_ view: RepositoryView, chain: OwnerChain) throws {
        // What was seen behind the newest readable slot stays remembered while that place is spoiled.
        try state.keep(
            memory: HostState.Memory(
                owner: chain.head, log: view.log.head, incarnation: view.log.identity.incarnation, sessions: []))
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
        var repository = try await open(rates: rates)
        let (host, remembered) = await recall(&repository)
        var view = try await repository.view()
        // Of whom the owner has enrolled while this looked, slots look like somebody's.
        if !view.findings.isEmpty {
            let head = repository.chain.head
            try await repository.readOn()
            if repository.chain.head != head { view = try await repository.view() }
        }
        // A host that cannot keep state can still read; it only cannot notice that a store went back.
        do {
            let host = try host.get()
            try host.state.check(view, chain: repository.chain, remembering: try remembered.get())
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

    /// As ``openAndLook(rates:)``, with what a revocation makes void that waits for approval: for commands that list
    /// and restore.
    func openAndShow(
        rates: Rates = Rates()
    ) async throws -> (repository: OpenRepository, view: RepositoryView) {
        let (repository, view) = try await openAndLook(rates: rates)
        return (repository, try await repository.showing(view))
    }

    /// What this host remembers before it looks, or why it cannot say.
    private func recall(
        _ repository: inout OpenRepository
    ) async -> (Result<HostContext, any Error>, Result<HostState.Memory?, any Error>) {
        do {
            let host = try HostContext(repository.chain.repository)
            do { return (.success(host), .success(try await host.state.recall(&repository))) } catch {
                return (.success(host), .failure(error))
            }
        } catch { return (.failure(error), .failure(error)) }
    }

    /// As ``openAndLook()``, and looks in a listing for what nothing leads to: for commands that say which points there
    /// are, or choose the newest one.
    func openAndSearch(rates: Rates = Rates()) async throws -> LookedAt {
        let (repository, view) = try await openAndShow(rates: rates)
        let unreached = try await repository.unreached(view)
        notes(unreached.map(\.sentence))
        return LookedAt(repository: repository, view: view, gaps: view.gaps + unreached.map(\.object))
    }
}
