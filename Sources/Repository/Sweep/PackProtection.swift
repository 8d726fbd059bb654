import BackupModel
import ObjectStorage
import RepositoryFormat

// Protection of what locked points lean on
// ----------------------------------------
// A hint against slips and scripts, and never a part of the argument for the sweep's safety: that no sweep deletes
// these packs is decided by what it composes, whatever is protected. Killed between any two steps it leaves some packs
// protected too many or too few, and the next sweep compares all of them anew. It looks only at packs that count, and
// only in repositories where somebody has locked something; of other objects it touches those alone that are dead.

extension Sweep {
    /// What stands in the store against the deletion of packs of locked points by others.
    package struct Protection: Hashable, Sendable {
        /// Packs that locked points lean on and that are protected.
        package internal(set) var protected = 0
        /// Packs that locked points lean on and that are not.
        package internal(set) var open = 0
        /// Packs from which the protection was taken, because no locked point leans on them any more.
        package internal(set) var released = 0
        /// The first reason why one could not be protected, or not be released; `nil` when there was none.
        package internal(set) var trouble: String?
    }
}

/// Protects packs and takes that off.
struct PackProtection {
    /// Calls in vain, one after the other, before no more are made: a store that cannot do it is not asked for each of
    /// its packs.
    static let vainCallLimit = 8

    private let store: any SweepableStore
    /// Calls in vain: looks, and changes.
    private var (vainLooks, vainChanges) = (0, 0)
    private var protection = Sweep.Protection()

    private init(_ store: any SweepableStore) { self.store = store }

    /// Makes the store protect some packs and no others of those that count.
    ///
    /// - Parameters:
    ///   - locked: what locked points lean on.
    ///   - others: the rest of the packs that count.
    /// - Throws: `CancellationError`, and nothing else: what cannot be done is told.
    static func apply(
        locked: Set<ObjectKey>, others: [ObjectKey], in store: any SweepableStore
    ) async throws -> Sweep.Protection {
        var work = PackProtection(store)
        for key in locked.sorted() {
            if try await work.set(key, true) { work.protection.protected += 1 }
        }
        work.protection.open = locked.count - work.protection.protected
        for key in others where try await work.set(key, false) { work.protection.released += 1 }
        return work.protection
    }

    /// Sees to it that a pack is protected, or is not. - Returns: for `true`, whether it is now; for `false`, whether
    /// that changed anything.
    private mutating func set(_ key: ObjectKey, _ wanted: Bool) async throws -> Bool {
        try Task.checkCancellation()
        guard let store = store as? any ProtectingStore else {
            protection.trouble = protection.trouble ?? "this store protects nothing"
            return false
        }
        guard vainLooks < PackProtection.vainCallLimit else { return false }
        let name = ObjectAccess.name(key.packName)
        let isProtected: Bool?
        do throws(StorageError) { isProtected = try await store.isProtected(name) } catch {
            vainLooks += 1
            // What cannot be looked at and need not be protected is no trouble.
            try failed(error, isTrouble: wanted)
            return false
        }
        vainLooks = 0
        // One that the store does not show now is for the next sweep.
        guard let isProtected else { return false }
        if isProtected == wanted { return wanted }
        guard vainChanges < PackProtection.vainCallLimit else { return false }
        do throws(StorageError) { try await store.setProtected(name, wanted) } catch {
            vainChanges += 1
            try failed(error, isTrouble: true)
            return false
        }
        vainChanges = 0
        return true
    }

    private mutating func failed(_ error: StorageError, isTrouble: Bool) throws {
        guard error.code != .interrupted else { throw CancellationError() }
        if isTrouble, protection.trouble == nil { protection.trouble = error.sentence }
    }

    /// Deletes a dead object, whoever has protected it.
    ///
    /// - Throws: ``StorageError``, also when the protection cannot be taken off.
    static func delete(_ name: ObjectName, from store: any SweepableStore) async throws(StorageError) {
        do throws(StorageError) { return try await store.delete(name) } catch {
            // Asked only now: of all that is deleted hardly anything is protected.
            guard error.code == .refused, let store = store as? any ProtectingStore,
                let isProtected = try? await store.isProtected(name), isProtected
            else { throw error }
            do throws(StorageError) { try await store.setProtected(name, false) } catch {
                guard error.code != .interrupted else { throw error }
                throw StorageError(
                    code: error.code,
                    sentence: "\(error.sentence): no point needs it any more; sweep as root, or take the flag off with "
                        + "`chattr -i`")
            }
        }
        try await store.delete(name)
    }
}
