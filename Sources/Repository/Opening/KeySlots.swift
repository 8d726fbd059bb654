import BackupModel
package import ChunkEncryption
package import Effects
package import ObjectStorage
package import RepositoryFormat

/// Finding, opening, adding and removing key slots: each opens the whole repository.
package enum KeySlots {
    /// Seals the owner's credential to one more secret.
    ///
    /// - Returns: the slot's object name.
    /// - Throws: ``RepositoryError``: `roleLacksKey` unless the owner opened the repository; `storage`.
    package static func add(
        _ secret: SlotSecret, label: String, to repository: OpenRepository, randomness: Randomness
    ) async throws -> String {
        guard repository.credential.role == .owner else {
            throw RepositoryError(
                .roleLacksKey,
                "only the owner adds key slots; open the repository with the passphrase")
        }
        let credential = repository.credential.updated(ownerHead: repository.chain.head)
        let slot = try await RepositoryError.translating {
            try KeySlot.seal(credential, secret: secret, label: label, randomness: randomness.bytes)
        }
        guard case .mine = try await repository.access.putSpared(slot.name, slot.object.bytes) else {
            throw RepositoryError(.refused, "\(slot.name) was put by somebody else; run the command again", .retry)
        }
        return slot.name
    }

    /// The key slots that a listing shows, each from its place or its spare, and what is wrong with them.
    ///
    /// Slots are found by a listing alone, so one that is gone with its spare cannot be missed. A slot whose place and
    /// spare differ stands twice: which one is whole shows when it opens, or by the owner's signature.
    ///
    /// - Parameter owners: whose signature tells a whole slot from a damaged one, as far as that is known.
    package static func listed(_ access: ObjectAccess, owners: [VerifyingKey] = []) async throws -> KeySlotListing {
        let places = try await access.hint(under: "keys/")
        let spares = try await access.hint(under: "spare/keys/").map { String($0.dropFirst("spare/".count)) }
        var listing = KeySlotListing()
        for name in Set(places + spares).sorted() where ObjectPaths.isName(name) {
            do { try await read(name, access, owners: owners, into: &listing) } catch let error as RepositoryError {
                listing.unread = listing.unread ?? error
                listing.findings.append(RepositoryFinding(object: name, sentence: error.sentence))
            }
        }
        return listing
    }

    private static func read(
        _ name: String, _ access: ObjectAccess, owners: [VerifyingKey], into listing: inout KeySlotListing
    ) async throws {
        let pair = try await access.pair(name)
        var refusal: FormatError?
        var good: [UInt8]?
        for bytes in pair.candidates {
            do throws(FormatError) {
                let object = try SignedObject(parsing: bytes, name: name, kind: .keySlot, repository: nil)
                let slot = try KeySlot(object, name: name)
                // A slot of another repository belongs to nothing here, and is as good as it can be.
                guard let owner = owners.first(where: { $0.fingerprint == object.header.signer }) else {
                    listing.slots.append(slot)
                    good = good ?? bytes
                    continue
                }
                if object.isSigned(by: owner) {
                    listing.signed.append(slot)
                    good = bytes
                } else {
                    listing.slots.append(slot)
                    refusal = refusal ?? .damaged("\(name) is damaged")
                }
            } catch { refusal = refusal ?? error }
        }
        if good != nil {
            listing.findings += pair.findings(good: good)
            if pair.lacksSpare { listing.lacking.append(name) }
        } else if refusal != nil || pair.unreadable != nil {
            listing.findings += pair.findings(good: nil, why: ": no key slot that the owner has signed")
        }
    }

    /// Opens the slot that the secret belongs to.
    ///
    /// - Parameter geneses: what the store shows as the genesis. Slots that its owner key has signed are tried first,
    ///   so that nobody hides them behind others; a slot of an `init` that was interrupted opens too, and belongs to
    ///   nothing.
    /// - Throws: ``RepositoryError``: `wrongKey`, `notFound`, `refused`; `storage` when a slot could not be read and no
    ///   other opens.
    static func open(
        _ access: ObjectAccess, secret: SlotSecret, geneses: [SignedObject]
    ) async throws -> Credential {
        let owners = Set(geneses.map(\.header.signer))
        let listing = try await listed(access, owners: geneses.compactMap(KeySlots.claimedOwner))
        var reasons = listing.findings.map(\.sentence)
        var other: Hash256?
        for slot in listing.all.prefix(FormatLimits.keySlotCount) {
            do throws(FormatError) {
                let credential = try slot.open(secret)
                if owners.contains(credential.owner) { return credential }
                reasons.append("\(slot.objectName) belongs to another owner")
                other = credential.owner
            } catch {
                // Without memory for scrypt nothing can be said about the secret.
                if error.code == .exhausted { throw RepositoryError.format(error) }
                if error.code != .wrongSecret { reasons.append(error.sentence) }
            }
        }
        if let unread = listing.unread { throw unread }
        guard !listing.all.isEmpty else {
            throw RepositoryError(
                .notFound,
                "the repository shows no key slot that can be read; restore the folder keys/, or use a credential file")
        }
        if let other, let shown = owners.first {
            throw RepositoryError(
                .refused,
                "the secret opens a key slot of the owner key \(other.abbreviated), and owner/00000000 names "
                    + "\(shown.abbreviated): this is another repository, or the store has swapped it")
        }
        let more = reasons.isEmpty ? "" : " (\(KeySlots.shortened(reasons)))"
        throw RepositoryError(.wrongKey, "the passphrase or recovery key opens none of the key slots\(more)")
    }

    /// The owner key that a genesis names, believed by nobody.
    private static func claimedOwner(_ genesis: SignedObject) -> VerifyingKey? {
        (try? OwnerChain(genesis: genesis, expectedOwner: genesis.header.signer))?.owner
    }

    /// Reasons shown in one sentence.
    private static let reasonLimit = 4

    private static func shortened(_ reasons: [String]) -> String {
        let more = reasons.count - reasonLimit
        return reasons.prefix(reasonLimit).joined(separator: "; ") + (more > 0 ? "; and \(more) more" : "")
    }

    /// Removes a slot, its spare first: a removal that was interrupted leaves the slot to be seen. Copies of it that
    /// somebody kept still open what was sealed so far.
    ///
    /// - Parameter prefix: the slot's id or the beginning of it.
    /// - Throws: ``RepositoryError``: `refused` when it is the last that can be read; `noSuchPoint` when none or
    ///   several slots begin so.
    package static func remove(
        _ prefix: String, from store: any SweepableStore, owner: VerifyingKey
    ) async throws -> String {
        // As `add` prints it, or the id alone.
        let prefix = prefix.hasPrefix("keys/") ? String(prefix.dropFirst("keys/".count)) : prefix
        let listing = try await listed(ObjectAccess(store: store), owners: [owner])
        let slots = Set(listing.all.map(\.objectName))
        let found = slots.filter { $0.dropFirst("keys/".count).hasPrefix(prefix) }
        guard found.count == 1, let slot = found.first else {
            throw RepositoryError(
                .noSuchPoint, "\(found.count) key slots begin with \(prefix); `dozo key list` shows them")
        }
        // One that is damaged opens nothing.
        guard listing.signed.contains(where: { $0.objectName != slot }) else {
            throw RepositoryError(
                .refused,
                "\(slot) is the last key slot that is whole; without it nobody opens the repository again; add another "
                    + "first"
            )
        }
        try await RepositoryError.translating {
            try await store.delete(ObjectAccess.name(ObjectPaths.spare(slot)))
            try await store.delete(ObjectAccess.name(slot))
        }
        return slot
    }
}

/// Key slots as a listing shows them.
package struct KeySlotListing: Sendable {
    /// Slots that an owner key asked for has signed.
    package fileprivate(set) var signed: [KeySlot] = []
    /// The other slots that can be read: damaged, or of another owner.
    package fileprivate(set) var slots: [KeySlot] = []
    /// All of them, the signed ones first; one whose place and spare differ stands twice.
    package var all: [KeySlot] { signed + slots }
    /// What is damaged or missing.
    package fileprivate(set) var findings: [RepositoryFinding] = []
    /// Names of slots that have no spare.
    package fileprivate(set) var lacking: [String] = []
    /// Why a slot could not be read from the store, when one could not.
    fileprivate(set) var unread: RepositoryError?
}
