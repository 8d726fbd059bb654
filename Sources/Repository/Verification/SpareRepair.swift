import ChunkEncryption
package import ObjectStorage
import RepositoryFormat

/// Puts back what is missing or damaged of the objects that stand twice: owner statements, store identity and key
/// slots, each from its place or its spare (format page §1).
package struct SpareRepair {
    /// Names of the objects that were put back.
    package private(set) var mended: [String] = []
    /// What could not be put back: why, naming the object.
    package private(set) var failures: [String] = []

    private let access: ObjectAccess
    private let store: any SweepableStore

    /// Mends whatever is whole once; what stands in the way of one object keeps no other from being mended.
    ///
    /// Bytes that are damaged are removed before the right ones are put: a name is never written twice. Interrupted in
    /// between, the other copy is still whole.
    ///
    /// - Throws: ``RepositoryError``, `storage`, when the store cannot be read at all.
    package init(_ repository: OpenRepository, in store: any SweepableStore) async throws {
        access = repository.access
        self.store = store
        let chain = repository.chain
        for head in chain.statements {
            await mend(OwnerStatement.name(head.number)) { SecureHash.sha256($0) == head.hash }
        }
        await mend(ObjectPaths.storeIdentity(repository.identity.incarnation)) {
            SecureHash.sha256($0) == repository.identityHash
        }
        for slot in try await KeySlots.listed(access, owners: [chain.owner]).signed {
            await mend(slot.objectName) { $0 == slot.object.bytes }
        }
    }

    private mutating func mend(_ name: String, isGood: ([UInt8]) -> Bool) async {
        do {
            let pair = try await access.pair(name)
            // What was whole a moment ago may be so no more: the verification that follows says it.
            guard let good = pair.candidates.first(where: isGood) else { return }
            for copy in pair.copies where copy.look != .bytes(good) { await put(good, in: copy) }
        } catch { failures.append("\(name) could not be looked at: \(error)") }
    }

    private mutating func put(_ good: [UInt8], in copy: (name: String, look: ObjectAccess.Look)) async {
        do {
            if copy.look != .absent {
                try await RepositoryError.translating { try await store.delete(ObjectAccess.name(copy.name)) }
            }
            switch try await RepositoryError.translating({
                try await store.putIfAbsent(ObjectAccess.name(copy.name), good)
            }) {
            case .mine: mended.append(copy.name)
            case .theirs: failures.append("\(copy.name) could not be put back: somebody else has put something there")
            case .unknown(let why): failures.append("\(copy.name) could not be put back: \(why)")
            }
        } catch { failures.append("\(copy.name) could not be put back: \(error)") }
    }
}
