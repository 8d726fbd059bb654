package import BackupModel
package import ObjectStorage
package import RepositoryFormat

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
    /// Statements of others that an enrolment lets pass before it gives up.
    static let enrolmentAttempts = 16

    /// Reads and puts its objects.
    package let access: ObjectAccess
    /// Who the owner is and whom it enrolled.
    package private(set) var chain: OwnerChain
    /// What the holder may do.
    package private(set) var credential: Credential
    /// Which store this is.
    package let identity: StoreIdentity
    /// Hash of the identity's object: what the first slot of the log names.
    package let identityHash: Hash256

    /// Opens a repository.
    ///
    /// - Throws: ``RepositoryError``: `notFound`, `wrongKey`, `damaged`, `refused` when the store shows another owner
    ///   or an older state than the credential knows, `unsupported`.
    package static func open(
        store: any ObjectStore, key: RepositoryAccessKey
    ) async throws -> OpenRepository {
        let access = ObjectAccess(store: store)
        let genesis = try await RepositoryError.translating {
            try await access.object(OwnerStatement.name(0), kind: .ownerStatement, repository: nil)
        }
        guard let genesis else { throw try await nothingHere(access) }
        let credential: Credential
        switch key {
        case .credential(let given): credential = given
        case .secret(let secret): credential = try await openSlots(access, secret: secret, genesis: genesis)
        }
        var chain = try await RepositoryError.translating {
            try OwnerChain(
                genesis: genesis, expectedOwner: credential.owner, expectedRepository: credential.repository)
        }
        try await readOn(&chain, access)
        if let refusal = chain.refusal(remembering: credential.ownerHead) { throw RepositoryError.format(refusal) }
        let (identity, hash) = try await readIdentity(access, chain: chain)
        return OpenRepository(
            access: access, chain: chain, credential: credential, identity: identity, identityHash: hash)
    }

    /// Takes the statements that follow, to the first that is not there.
    ///
    /// - Throws: ``RepositoryError``: `damaged` for a statement that is missing while the owner has signed the next;
    ///   and for one that readers do not take.
    private static func readOn(_ chain: inout OwnerChain, _ access: ObjectAccess) async throws {
        while true {
            while let object = try await access.object(
                chain.nextName, kind: .ownerStatement, repository: chain.repository)
            {
                try await RepositoryError.translating { try chain.append(object, name: chain.nextName) }
            }
            let behind = OwnerStatement.name(chain.head.number + 2)
            guard
                let next = try? await access.object(behind, kind: .ownerStatement, repository: chain.repository),
                next.isSigned(by: chain.owner)
            else { return }
            // The owner may have stated both between the two looks.
            guard try await access.bytes(chain.nextName) == nil else { continue }
            throw RepositoryError(
                .damaged, "\(chain.nextName) is missing, and \(behind) follows it: restore that object", .repair)
        }
    }

    /// What it means that the genesis is not there: no repository, or one that lost it.
    private static func nothingHere(_ access: ObjectAccess) async throws -> RepositoryError {
        let remains = try await access.names(under: "").first { !$0.hasPrefix("keys/") && ObjectPaths.isName($0) }
        guard let remains else {
            return RepositoryError(
                .notFound,
                "there is no repository here: owner/00000000 is missing; check the path, or make one with `dozo init`")
        }
        return RepositoryError(
            .damaged,
            "owner/00000000 is missing, and \(remains) lies here: the repository lost the object that says whose it "
                + "is; bring it back from a copy", .repair)
    }

    /// A verifier's credential for whatever owner the store shows: enough to find damage, not to notice an exchanged
    /// repository.
    ///
    /// - Throws: ``RepositoryError``, `notFound`.
    package static func claimedVerifier(_ store: any ObjectStore) async throws -> Credential {
        let access = ObjectAccess(store: store)
        guard let genesis = try await access.object(OwnerStatement.name(0), kind: .ownerStatement, repository: nil)
        else {
            throw try await nothingHere(access)
        }
        return .verifier(
            repository: genesis.header.repository, owner: genesis.header.signer,
            ownerHead: OwnerHead(number: 0, hash: genesis.hash))
    }

    /// The repository's id as the store claims it, believed by nobody: only to find what a host keeps about it.
    package static func claimedRepository(_ store: any ObjectStore) async throws -> RepositoryID? {
        let access = ObjectAccess(store: store)
        return try await access.object(OwnerStatement.name(0), kind: .ownerStatement, repository: nil)?.header
            .repository
    }

    /// Which key slots there are, as far as the store lists them, and those that cannot be read.
    package static func keySlots(_ access: ObjectAccess) async throws -> (slots: [KeySlot], notes: [String]) {
        let names = try await RepositoryError.translating { try await access.store.list(prefix: "keys/") }
        var slots: [KeySlot] = []
        var notes: [String] = []
        for name in names {
            do {
                guard let object = try await access.object(name.text, kind: .keySlot, repository: nil) else { continue }
                slots.append(try await RepositoryError.translating { try KeySlot(object, name: name.text) })
            } catch let error as RepositoryError { notes.append(error.sentence) }
        }
        return (slots, notes)
    }

    private static func openSlots(
        _ access: ObjectAccess, secret: SlotSecret, genesis: SignedObject
    ) async throws -> Credential {
        let (slots, notes) = try await keySlots(access)
        var reasons = notes
        var other: Hash256?
        for slot in slots.prefix(FormatLimits.keySlotCount) {
            do throws(FormatError) {
                let credential = try slot.open(secret)
                // A slot of an `init` that was interrupted opens too, and belongs to nothing.
                if credential.owner == genesis.header.signer { return credential }
                reasons.append("\(slot.objectName) belongs to another owner")
                other = credential.owner
            } catch {
                if error.code != .wrongSecret { reasons.append(error.sentence) }
            }
        }
        guard !slots.isEmpty else {
            throw RepositoryError(
                .notFound,
                "the repository shows no key slot that can be read; restore the folder keys/, or use a credential file")
        }
        if let other {
            throw RepositoryError(
                .refused,
                "the secret opens a key slot of the owner key \(other.abbreviated), and owner/00000000 names "
                    + "\(genesis.header.signer.abbreviated): this is another repository, or the store has swapped it")
        }
        let more = reasons.isEmpty ? "" : " (\(reasons.joined(separator: "; ")))"
        throw RepositoryError(
            .wrongKey, "the passphrase or recovery key opens none of the \(slots.count) key slots\(more)")
    }

    private static func readIdentity(
        _ access: ObjectAccess, chain: OwnerChain
    ) async throws -> (StoreIdentity, Hash256) {
        var found: (StoreIdentity, Hash256)?
        var number: UInt32 = 0
        while let object = try await access.object(
            ObjectPaths.storeIdentity(number), kind: .storeIdentity, repository: chain.repository)
        {
            let name = ObjectPaths.storeIdentity(number)
            guard let signer = chain.signer(object.header.signer), signer.role.closesEpochs,
                object.isSigned(by: signer.key)
            else { throw RepositoryError(.refused, "\(name) is signed by a key that may not say who the store is") }
            let identity = try await RepositoryError.translating { try StoreIdentity(object, expected: number) }
            guard identity.previous == found?.1, found.map({ $0.0.store == identity.store }) ?? true else {
                throw RepositoryError(.refused, "\(name) does not follow the incarnation before it")
            }
            found = (identity, object.hash)
            number += 1
        }
        guard number <= 1 else {
            throw RepositoryError(
                .unsupported,
                "the store is in incarnation \(number - 1), which this program does not read; use a newer one",
                .useOtherVersion)
        }
        guard let found else {
            throw RepositoryError(
                .damaged,
                "store/00000000 is missing: the store lost it, and it has to come back from a copy; or `dozo init` was "
                    + "interrupted, and then the same command completes it",
                .repair)
        }
        return found
    }

    /// The keys of the default domain that the credential holds.
    package func keys() throws -> RepositoryKeys { try RepositoryKeys(chain: chain, credential: credential) }

    /// The same repository in the hands of another credential of it: an owner that goes on as this host's writer.
    ///
    /// - Precondition: the credential names the same owner.
    package func acting(as credential: Credential) -> OpenRepository {
        precondition(credential.owner == self.credential.owner, "both credentials are of one repository")
        var other = self
        other.credential = credential
        return other
    }

    /// Refuses when the repository has features that this program does not know and must know for the act.
    package func requireFeatures(for act: RepositoryAct) throws {
        if let refusal = chain.refusal(for: act) { throw RepositoryError.format(refusal) }
    }

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
        let sessions = try await SessionChainReader.sessions(log, access, chain: chain)
        let keys = credential.domains.isEmpty ? nil : try keys()
        let unseen = try await HeadsComparison(log: log, sessions: sessions, chain: chain).hidden(access)
        return try RepositoryView(log: log, sessions: sessions, chain: chain, unseen: unseen, keys: keys)
    }

    /// Enrols a key for a role and puts the statement.
    ///
    /// - Parameter createdAt: seconds since 1970, for people.
    /// - Throws: ``RepositoryError``: `roleLacksKey` unless this is the owner; `refused` when others keep adding
    ///   statements at the same time.
    package mutating func enrol(_ enrolment: Enrolment, createdAt: UInt64) async throws {
        guard credential.role == .owner, let owner = credential.signingKey else {
            throw RepositoryError(.roleLacksKey, "only the owner enrols; open the repository with the passphrase")
        }
        for _ in 0..<OpenRepository.enrolmentAttempts {
            let object = try await RepositoryError.translating { [chain] in
                try chain.enrolling(enrolment, createdAt: createdAt, signedBy: owner)
            }
            let name = chain.nextName
            let answer = try await access.put(name, object.bytes)
            let statement: SignedObject
            switch answer {
            case .mine: statement = object
            case .theirs(let winner):
                statement = try await RepositoryError.translating { [chain] in
                    try SignedObject(
                        parsing: winner, name: name, kind: .ownerStatement, repository: chain.repository)
                }
            case .unknown: preconditionFailure("a put is asked about until it is decided")
            }
            try await RepositoryError.translating { try chain.append(statement, name: name) }
            if case .mine = answer { return }
        }
        throw RepositoryError(.refused, "others kept adding to the owner chain; run the command again", .retry)
    }

    /// The number and hash of the last owner statement, log slot and sessions seen.
    package func heads(_ view: RepositoryView) -> Heads {
        Heads(owner: (chain.head.number, chain.head.hash), log: view.log.head, sessions: view.openHeads())
    }
}
