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
    /// - Parameter owner: whose signature tells a whole slot from a damaged one, when that is known already.
    package static func listed(_ access: ObjectAccess, owner: VerifyingKey? = nil) async throws -> KeySlotListing {
        let places = try await access.names(under: "keys/")
        let spares = try await access.names(under: "spare/keys/").map { String($0.dropFirst("spare/".count)) }
        var listing = KeySlotListing()
        for name in Set(places + spares).sorted() where ObjectPaths.isName(name) {
            do { try await read(name, access, owner: owner, into: &listing) } catch let error as RepositoryError {
                listing.unread = listing.unread ?? error
                listing.findings.append(RepositoryFinding(object: name, sentence: error.sentence))
            }
        }
        return listing
    }

    private static func read(
        _ name: String, _ access: ObjectAccess, owner: VerifyingKey?, into listing: inout KeySlotListing
    ) async throws {
        let pair = try await access.pair(name)
        var refusal: FormatError?
        var good: [UInt8]?
        for bytes in pair.candidates {
            do throws(FormatError) {
                let object = try SignedObject(parsing: bytes, name: name, kind: .keySlot, repository: nil)
                listing.slots.append(try KeySlot(object, name: name))
                // A slot of another repository belongs to nothing here, and is as good as it can be.
                guard let owner, object.header.signer == owner.fingerprint else {
                    good = good ?? bytes
                    continue
                }
                if object.isSigned(by: owner) {
                    good = bytes
                } else {
                    refusal = refusal ?? .damaged("\(name) is damaged")
                }
            } catch { refusal = refusal ?? error }
        }
        if good != nil {
            listing.findings += pair.findings(good: good)
            if pair.lacksSpare { listing.lacking.append(name) }
        } else if refusal != nil {
            listing.findings += pair.findings(good: nil, why: ": no key slot that the owner has signed")
        }
    }

    /// Opens the slot that the secret belongs to.
    ///
    /// - Parameter owners: the owner keys that the store names: a slot of an `init` that was interrupted opens too, and
    ///   belongs to nothing.
    /// - Throws: ``RepositoryError``: `wrongKey`, `notFound`, `refused`; `storage` when a slot could not be read and no
    ///   other opens.
    static func open(_ access: ObjectAccess, secret: SlotSecret, owners: Set<Hash256>) async throws -> Credential {
        let listing = try await listed(access)
        var reasons = listing.findings.map(\.sentence)
        var other: Hash256?
        for slot in listing.slots.prefix(FormatLimits.keySlotCount) {
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
        guard !listing.slots.isEmpty else {
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
    package static func remove(_ prefix: String, from store: any SweepableStore) async throws -> String {
        // As `add` prints it, or the id alone.
        let prefix = prefix.hasPrefix("keys/") ? String(prefix.dropFirst("keys/".count)) : prefix
        let slots = Set(try await listed(ObjectAccess(store: store)).slots.map(\.objectName))
        let found = slots.filter { $0.dropFirst("keys/".count).hasPrefix(prefix) }
        guard found.count == 1, let slot = found.first else {
            throw RepositoryError(
                .noSuchPoint, "\(found.count) key slots begin with \(prefix); `dozo key list` shows them")
        }
        guard slots.count > 1 else {
            throw RepositoryError(
                .refused,
                "\(slot) is the last key slot; without it nobody opens the repository again; add another first")
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
    /// The slots that can be read; one whose place and spare differ stands twice.
    package fileprivate(set) var slots: [KeySlot] = []
    /// What is damaged or missing.
    package fileprivate(set) var findings: [RepositoryFinding] = []
    /// Names of slots that have no spare.
    package fileprivate(set) var lacking: [String] = []
    /// Why a slot could not be read from the store, when one could not.
    fileprivate(set) var unread: RepositoryError?
}
