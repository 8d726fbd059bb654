import ChunkEncryption
package import ObjectStorage
import RepositoryFormat

/// Puts back what is missing or damaged of the objects that stand twice: owner statements, store identity and key
/// slots, each from its place or its spare (format page §1).
package enum SpareRepair {
    /// Mends whatever is whole once.
    ///
    /// Bytes that are damaged are removed before the right ones are put: a name is never written twice. Interrupted in
    /// between, the other copy is still whole.
    ///
    /// - Returns: names of the objects that were put back.
    /// - Throws: ``RepositoryError``, `storage`.
    package static func run(_ repository: OpenRepository, in store: any SweepableStore) async throws -> [String] {
        let (access, chain) = (repository.access, repository.chain)
        var mended: [String] = []
        for head in chain.statements {
            let pair = try await access.pair(OwnerStatement.name(head.number))
            let good = pair.candidates.first { SecureHash.sha256($0) == head.hash }
            mended += try await mend(pair, good: good, access, store)
        }
        let pair = try await access.pair(ObjectPaths.storeIdentity(repository.identity.incarnation))
        let good = pair.candidates.first { SecureHash.sha256($0) == repository.identityHash }
        mended += try await mend(pair, good: good, access, store)
        for slot in try await KeySlots.listed(access, owner: chain.owner).slots
        where slot.object.isSigned(by: chain.owner) {
            mended += try await mend(access.pair(slot.objectName), good: slot.object.bytes, access, store)
        }
        return mended
    }

    private static func mend(
        _ pair: SparedObject, good: [UInt8]?, _ access: ObjectAccess, _ store: any SweepableStore
    ) async throws -> [String] {
        // What was whole a moment ago is so no more: the next look says it.
        guard let good else { return [] }
        var mended: [String] = []
        for (name, bytes) in [(pair.name, pair.place), (pair.spareName, pair.spare)] where bytes != good {
            if bytes != nil {
                try await RepositoryError.translating { try await store.delete(ObjectAccess.name(name)) }
            }
            guard case .mine = try await access.put(name, good) else { continue }
            mended.append(name)
        }
        return mended
    }
}
