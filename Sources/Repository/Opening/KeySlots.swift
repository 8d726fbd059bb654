package import Effects
package import ObjectStorage
package import RepositoryFormat

/// Adding and removing key slots: each opens the whole repository.
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
                "only the owner adds key slots; open the repository with the "
                    + "passphrase")
        }
        let credential = repository.credential.updated(ownerHead: repository.chain.head)
        let slot = try await RepositoryError.translating {
            try KeySlot.seal(credential, secret: secret, label: label, randomness: randomness.bytes)
        }
        guard case .mine = try await repository.access.put(slot.name, slot.object.bytes) else {
            throw RepositoryError(.refused, "\(slot.name) was put by somebody else; run the command again", .retry)
        }
        return slot.name
    }

    /// Removes a slot. Copies of it that somebody kept still open what was sealed so far.
    ///
    /// - Parameter prefix: the slot's id or the beginning of it.
    /// - Throws: ``RepositoryError``: `refused` when it is the last that can be read; `noSuchPoint` when none or
    ///   several slots begin so.
    package static func remove(_ prefix: String, from store: any SweepableStore) async throws -> String {
        // As `add` prints it, or the id alone.
        let prefix = prefix.hasPrefix("keys/") ? String(prefix.dropFirst("keys/".count)) : prefix
        let slots = try await OpenRepository.keySlots(ObjectAccess(store: store)).slots
        let found = slots.filter { $0.objectName.dropFirst("keys/".count).hasPrefix(prefix) }
        guard found.count == 1, let slot = found.first else {
            throw RepositoryError(
                .noSuchPoint, "\(found.count) key slots begin with \(prefix); `dozo key list` shows them")
        }
        guard slots.count > 1 else {
            throw RepositoryError(
                .refused,
                "\(slot.objectName) is the last key slot; without it nobody opens the repository "
                    + "again; add another first")
        }
        try await RepositoryError.translating { try await store.delete(ObjectAccess.name(slot.objectName)) }
        return slot.objectName
    }
}
