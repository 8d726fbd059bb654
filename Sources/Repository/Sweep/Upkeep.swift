import BackupModel
import ChunkEncryption
import Effects
import ObjectStorage
import RepositoryFormat

// What a sweep adds
// -----------------
// Freeing alone does not keep a repository small: every backup leaves index runs, and a pack that holds one needed
// chunk holds all its dead ones as well. So before it composes a close, a sweep merges runs and copies what is needed
// of packs that are mostly dead, as a session of its own: slot, then index, then packs, run and entry, like any other.
// It names no restore point. What it copied from and what it merged goes by the close that is composed next, and stays
// when a session below that needs it after all (docs/models: `Merger`, `Rewriter`).

/// The session of a sweep that merges and copies.
struct Upkeep {
    /// What became of it.
    struct Done: Hashable, Sendable {
        /// Packs of which the needed blobs were copied.
        var rewritten = 0
        /// Bytes of the packs that were put.
        var copiedByteCount: UInt64 = 0
        /// Runs that a merged one takes the place of.
        var mergedRuns = 0
        /// Names of packs that were to be copied from and are damaged: they stay as they are.
        var damaged: [String] = []
    }

    let repository: OpenRepository
    let keys: RepositoryKeys
    let signer: MaintainerKey
    /// `nil` for a look from nowhere: then a session that dies is ended by patience alone.
    let state: HostState?
    let randomness: Randomness
    /// Told of the bytes that were read so far, and of those to read in all.
    let progress: (UInt64, UInt64) -> Void

    /// Does what is planned.
    ///
    /// - Parameters:
    ///   - log: as the plan was made of; afterwards read up to and with the slot that was claimed.
    ///   - before: the same.
    /// - Returns: what was done; `nil` when the plan is out of date, or somebody ended the session.
    /// - Throws: ``RepositoryError``: `storage`, `refused`. The session is ended then, if the store can still be told.
    func run(_ plan: UpkeepPlan, log: inout ControlLog, view before: RepositoryView) async throws -> Done? {
        let taken = Set(before.sessions.map(\.session)).union(try state?.begunSessions() ?? [])
        guard let session = SessionID(bytes: randomness.bytes(16)), !taken.contains(session) else {
            throw RepositoryError(.refused, "the random generator of this machine repeats itself; nothing was written")
        }
        // Held while it runs: the next sweep of this host knows by it whether the session is dead.
        let lock = try state?.begin(session)
        if state != nil, lock == nil { return nil }
        defer { withExtendedLifetime(lock) {} }
        let slot = try await SlotClaim(repository: repository, signer: signer.key, sessions: before.sessions)
            .open(session: session, bases: [], ended: [], heads: repository.heads(before), log: &log)
        let work = Work(upkeep: self, session: session, slot: slot, randomness: randomness.bound(to: slot.hash))
        do {
            // Another sweep has closed meanwhile: what this one knows to be dead or needed is older than its slot.
            if log.lastClose == plan.close, let done = try await work.done(plan, log: log) { return done }
        } catch {
            _ = try? await work.say(.abandon, heads: repository.heads(before), inventory: Inventory())
            throw error
        }
        try await work.say(.abandon, heads: repository.heads(before), inventory: Inventory())
        return nil
    }
}

/// One such session, behind its slot.
private struct Work {
    let upkeep: Upkeep
    let session: SessionID
    let slot: LogHead
    let randomness: Randomness

    private var repository: OpenRepository { upkeep.repository }
    private var access: ObjectAccess { upkeep.repository.access }

    /// - Returns: `nil` when there was nothing to do after all, or the session was ended from outside.
    func done(_ plan: UpkeepPlan, log: ControlLog) async throws -> Upkeep.Done? {
        var done = Upkeep.Done()
        // Only now: what was read before the claim may be swept away by somebody who has not seen it.
        let view = try await repository.view(of: log)
        try SweepRefusal.requireWhole(view, repository)
        let shelf = PackShelf(access, keys: upkeep.keys)
        let index = try await ChunkIndex(access, view: view, keys: upkeep.keys, shelf: shelf)
        try SweepRefusal.requireWhole(index)
        let runs = RunWriter(
            access: access, keys: upkeep.keys, signer: upkeep.signer.key, randomness: randomness,
            generation: slot.slot.epoch, filters: nil)
        var inventory = Inventory()
        let condemned = Set(view.condemned.filter { $0.kind == .pack }.map(\.key))
        // Before anything of its own is there: what is merged was named by others.
        let groups = index.groups
        let due = IndexMerge.due(index.weights(without: plan.dead)).map { groups[$0] }
        if !due.isEmpty {
            let merge = IndexMerge(
                index: index, access: access,
                // A verdict is final: what it found dead is left out as the carried keys are.
                gone: SweepRule.runsHoldWhatTheyReplace.holds ? plan.dead : plan.dead.union(condemned),
                named: Set((view.runs.map(\.key) + view.generation).map(\.hash)), put: runs.put)
            inventory.runs = try await merge.merged(due).map(\.listed)
            if !inventory.runs.isEmpty { done.mergedRuns = due.reduce(0) { $0 + $1.parts.count } }
        }
        var copying = PackCopying(
            access: access, keys: upkeep.keys, signer: upkeep.signer.key, randomness: randomness,
            generation: slot.slot.epoch, packByteCount: Int(repository.chain.defaults.pack))
        let sources = plan.sources.filter { !condemned.contains($0) }
        try await copying.copy(sources, needed: plan.needed, shelf: shelf, progress: upkeep.progress)
        inventory.packs = copying.packs
        done.rewritten = copying.rewritten.count
        done.damaged = copying.damaged.map(\.packName)
        done.copiedByteCount = copying.packs.reduce(0) { $0 + $1.byteCount }
        for piece in copying.listed() {
            inventory.runs.append(try await runs.put(piece.entries, packs: piece.packs).listed)
        }
        guard !inventory.runs.isEmpty else { return nil }
        return try await say(.commit, heads: repository.heads(view), inventory: inventory) ? done : nil
    }

    /// Puts the one entry of the session. - Returns: whether it won its place.
    @discardableResult
    func say(_ action: SessionEntry.Action, heads: Heads, inventory: Inventory) async throws -> Bool {
        let draft = SessionEntry.Draft(
            writer: upkeep.signer.writer, session: session, number: 0, previous: slot.hash, slot: slot.slot,
            action: action, heads: heads, inventory: inventory, records: [])
        let object = try SessionEntry.compose(
            draft, recipient: try upkeep.keys.recipient(.structure), signer: upkeep.signer.key,
            randomness: randomness)
        let name = ObjectPaths.sessionEntry(writer: upkeep.signer.writer, session: session, number: 0)
        guard case .mine = try await access.put(name, object.bytes) else { return false }
        return true
    }
}
