import BackupModel
package import ChunkEncryption
package import Effects
package import ObjectStorage
package import RepositoryFormat

/// Makes a new repository in an empty store.
package enum RepositoryCreation {
    /// Sizes of a new repository: design §4.1 and §4.3.
    package static let defaults: RepositoryDefaults = {
        let image = ImageParameters()
        return RepositoryDefaults(
            minimum: image.minimum, maximum: image.maximum, threshold: image.threshold,
            zeroRun: image.zeroRunMinimum, region: image.regionByteCount, leaf: image.leafByteCount,
            fanOut: image.fanOut, pack: 32 << 20)
    }()

    /// Puts key slot, genesis and store identity, in this order, each with its spare: a repository exists once its
    /// genesis does.
    ///
    /// Interrupted before the genesis it leaves a key slot that belongs to nothing, and can be started again;
    /// interrupted behind it, it is completed by a second call with the same secret.
    ///
    /// - Parameters:
    ///   - createdAt: seconds since 1970, for people.
    ///   - cost: of turning the passphrase into a key.
    /// - Returns: the owner's credential.
    /// - Throws: ``RepositoryError``: `exists` when there is a repository already; `storage`.
    package static func create(
        in store: any ObjectStore, secret: SlotSecret, label: String, defaults: RepositoryDefaults = defaults,
        cost: PassphraseCost = .standard, createdAt: UInt64, randomness: Randomness
    ) async throws -> Credential {
        let access = ObjectAccess(store: store)
        if try await access.bytes(OwnerStatement.name(0)) != nil {
            return try await complete(access, secret: secret, randomness: randomness)
        }
        // A key slot alone is what an interrupted creation leaves.
        try await refuseRemains(access, missing: OwnerStatement.name(0)) { !isSlot($0) }
        guard let repository = RepositoryID(bytes: randomness.bytes(RepositoryID.byteCount)) else {
            preconditionFailure("16 bytes make a repository id")
        }
        let seed = SecretBytes(copying: randomness.bytes(SigningKey.seedByteCount))
        let owner = SigningKey(seed: seed)
        let secrets = DomainSecrets.generate(id: 0, epoch: 0, randomness: randomness.bytes)
        let genesis = OwnerChain.genesis(
            repository: repository, domains: [DomainKeys(of: secrets, dedupTrust: .all)], defaults: defaults,
            createdAt: createdAt,
            signedBy: owner)
        let credential = Credential.owner(
            repository: repository, signingSeed: seed, ownerHead: OwnerHead(number: 0, hash: genesis.hash),
            domains: [secrets])
        let slot = try await RepositoryError.translating {
            try KeySlot.seal(
                credential, secret: secret, label: label, cost: cost, randomness: randomness.bytes)
        }
        guard case .mine = try await access.putSpared(slot.name, slot.object.bytes),
            case .mine = try await access.putSpared(OwnerStatement.name(0), genesis.bytes)
        else { throw RepositoryError(.exists, "somebody else made a repository here at the same time") }
        try await putIdentity(access, repository: repository, owner: owner, randomness: randomness)
        return credential
    }

    /// Finishes an interrupted creation; a repository that is complete is an error.
    private static func complete(
        _ access: ObjectAccess, secret: SlotSecret, randomness: Randomness
    ) async throws -> Credential {
        guard try await access.pair(ObjectPaths.storeIdentity(0)).isAbsent else {
            throw RepositoryError(.exists, "there is a repository here already; nothing was changed")
        }
        // A repository that was used had an identity; a second one would void everything that names the first.
        try await refuseRemains(access, missing: ObjectPaths.storeIdentity(0)) {
            !isSlot($0) && $0 != OwnerStatement.name(0) && $0 != ObjectPaths.spare(OwnerStatement.name(0))
        }
        do {
            _ = try await OpenRepository.open(store: access.store, key: .secret(secret))
        } catch let error as RepositoryError where error.code == .damaged {
            // The identity is missing, as was just seen; everything before it was fine.
        }
        let owners = try await TrustReader.claimedGenesis(access).map(\.header.signer)
        for slot in try await KeySlots.listed(access).all {
            guard let credential = try? slot.open(secret), let owner = credential.signingKey,
                owners.contains(credential.owner)
            else { continue }
            try await putIdentity(access, repository: credential.repository, owner: owner, randomness: randomness)
            // The interruption may have come between an object and its spare.
            let begun = try await OpenRepository.open(store: access.store, key: .credential(credential))
            for name in begun.lacking + [slot.objectName] {
                guard let bytes = try await access.bytes(name) else { continue }
                _ = try await access.put(ObjectPaths.spare(name), bytes)
            }
            return credential
        }
        throw RepositoryError(
            .wrongKey, "a repository was begun here with another passphrase; use that one or an empty folder")
    }

    private static func isSlot(_ name: String) -> Bool { name.hasPrefix("keys/") || name.hasPrefix("spare/keys/") }

    /// Refuses to make anything among objects of a repository that lost its beginning.
    private static func refuseRemains(
        _ access: ObjectAccess, missing: String, isRemains: (String) -> Bool
    ) async throws {
        guard let first = try await access.names(under: "").first(where: isRemains) else { return }
        throw RepositoryError(
            .damaged,
            "\(first) lies here and \(missing) is missing: this is a repository that lost an object; bring that object "
                + "back from a copy, nothing was changed", .repair)
    }

    private static func putIdentity(
        _ access: ObjectAccess, repository: RepositoryID, owner: SigningKey, randomness: Randomness
    ) async throws {
        guard let store = StoreID(bytes: randomness.bytes(16)) else { preconditionFailure("16 bytes make a store id") }
        let identity = StoreIdentity(
            repository: repository, store: store, incarnation: 0, previous: nil, reason: "created")
        let object = SignedObject(kind: .storeIdentity, repository: repository, body: identity.body, signedBy: owner)
        if case .theirs = try await access.putSpared(ObjectPaths.storeIdentity(0), object.bytes) {
            throw RepositoryError(
                .exists, "somebody else completed the repository at the same time; nothing was changed")
        }
    }
}
