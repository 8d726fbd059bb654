import BackupModel
import ChunkEncryption
import RepositoryFormat

// What a close says
// -----------------
// See format page §12 (4). Everything here only chooses what becomes absent: that a wrong or old choice costs no chunk
// is the verdict's part, which reads the sessions that did not know of it.

/// The ledger that closes an epoch.
struct LedgerComposition {
    /// Closes for which what an unfinished session had stored waits for its writer to go on.
    static let graceCloses: UInt32 = 7

    /// What the close says.
    let ledger: Ledger
    /// Points that the last ledger, or an outcome, had and this one leaves out.
    let dropped: [PointID]
    /// Whether it changes anything: else there is nothing to close for.
    let isWorthClosing: Bool
    /// What the next composing of this host need not read again.
    let marks: MarksBuilder
    /// Maps that were read, and maps of which marks were kept.
    let maps: (read: Int, kept: Int)
    /// What would be worth doing before the close.
    let upkeep: UpkeepPlan
    /// Packs that locked points lean on, and the rest of those that count; `nil` where nobody has locked anything ever.
    let locked: (packs: Set<ObjectKey>, others: [ObjectKey])?

    /// What composing needs to know besides the repository.
    struct Circumstances {
        /// The verdict on the last close; `nil` before the first.
        let verdict: Verdict?
        /// Keys of it whose deletion was answered.
        let deleted: Set<Ledger.Condemned>
        /// Sessions that have not ended and seem dead.
        let silent: Set<SessionID>
        /// Whether a point that was forgotten so is to go now.
        let isDue: (SaidOfPoints.Forget) -> Bool
        /// Up to when locks are over, and approvals count; see ``LockTime``.
        let times: DecisionTimes
        /// Bytes of packs that may be rewritten; 0 for none.
        let rewriteByteLimit: UInt64
    }

    /// Composes what closes the epoch that `view` ends in.
    ///
    /// - Parameters:
    ///   - view: with what is dead as absent, and pardoned packs as present.
    ///   - kept: marks of an earlier sweep of this host; `nil` when there are none.
    /// - Throws: ``RepositoryError``: `refused` and `damaged` when not everything that is needed is there.
    init(
        _ repository: OpenRepository, view: RepositoryView, keys: RepositoryKeys, damage: HostState.Damage,
        kept: KeptMarks?, circumstances: Circumstances
    ) async throws {
        let shelf = PackShelf(repository.access, keys: keys)
        let index = try await ChunkIndex(repository.access, view: view, keys: keys, shelf: shelf)
        try SweepRefusal.requireWhole(index)
        let epoch = view.log.next.epoch
        let waiting = view.sessions.filter { LedgerComposition.isAwaited($0, in: view, epoch: epoch) }
        let awaited = Set(waiting.map(\.name))
        let unlisted = Set(index.unlistedPacks)
        let taken = view.sessions.filter { session in
            // Behind the horizon a pack counts by a run that names it: a session with others stays before it.
            (session.hasEnded || !SweepRule.horizonHasEnded.holds) && !awaited.contains(session.name)
                && !session.entries.flatMap(\.inventory.packs).contains { unlisted.contains($0.key) }
        }
        let horizon = Set(taken.map(\.name)).union(view.log.takenOver)
        let (live, dropped) = LedgerComposition.points(in: view, horizon: horizon, circumstances)
        self.dropped = dropped.map(\.record.identifier)

        let blobs = BlobReader(repository.access, keys: keys, index: index, shelf: shelf)
        let choice = Keep(repository.access, copies: view.copies, damage: damage)
        var kept = kept
        if try await kept?.compare(with: index, shelf: shelf, damage: damage.packs) != true { kept = nil }
        var walk = NeededWalk(index: index, blobs: blobs, choice: choice, kept: kept, marks: MarksBuilder(index))
        let times = circumstances.times
        let locks = live.filter { view.said.lock(of: $0.record, at: times) ?? 0 > times.lock }
        try await LedgerComposition.need(locks, walk: &walk)
        // What a locked point leans on is not rewritten.
        let locked = walk.needed.packs
        self.locked =
            view.said.hasLocks
            ? (locked, index.knownPacks.filter { $0.isLive && !locked.contains($0.key) }.map(\.key)) : nil
        try await LedgerComposition.need(live, walk: &walk)
        let outside = view.sessions.filter { !horizon.contains($0.name) }
        for session in outside {
            for root in try CheckpointRoots(session, keys: keys).all {
                try await walk.need(structure: root, mayMiss: true, name: "a checkpoint")
            }
        }
        try SweepRefusal.requireWhole(index)
        marks = walk.marks ?? MarksBuilder(index)
        maps = (walk.readCount, walk.keptCount)
        let (fresh, hasYoungOrphans) = try await LedgerComposition.garbage(
            repository, view: view, index: index, needed: walk.needed, silent: circumstances.silent,
            unlisted: unlisted)
        let dead = Set(view.condemned.filter { $0.kind == .pack }.map(\.key))
        let namedOutside = Set(outside.flatMap(\.entries).flatMap(\.inventory.runs).map(\.key))
        let orphans = try await ReplacedRuns.orphans(repository.access, view: view, epoch: epoch)
        let freshRuns = try await ReplacedRuns.runs(in: index, dead: dead, besides: namedOutside).union(orphans.runs)
        upkeep = try await UpkeepPlan(
            index: index, view: view, shelf: shelf, needed: walk.needed, verdict: circumstances.verdict,
            excluded: LedgerComposition.leftAlone(in: view, waiting: waiting).union(locked).union(damage.packs),
            byteLimit: circumstances.rewriteByteLimit)
        let carried = try await LedgerComposition.carried(
            index: index, view: view, outside: outside, circumstances: circumstances)
        ledger = Ledger(
            points: live.map {
                Ledger.LivePoint(
                    point: $0.record.identifier, writer: $0.writer, session: $0.session, number: $0.entry)
            },
            horizon: LedgerComposition.heads(taken, view: view), generation: index.countedRuns,
            condemnedFresh: fresh.sorted().map { Ledger.Condemned(kind: .pack, key: $0) }
                + freshRuns.sorted().map { Ledger.Condemned(kind: .indexRun, key: $0) },
            condemnedCarried: carried)
        // What was pardoned counts for everybody from the next close on.
        let hasPardoned = view.log.ledger?.condemnedFresh.contains { !view.condemned.contains($0) } ?? false
        isWorthClosing =
            hasPardoned || !fresh.isEmpty || !freshRuns.isEmpty || orphans.hasYoung || !dropped.isEmpty
            || Set(carried) != Set(view.log.ledger?.condemnedCarried ?? [])
            || hasYoungOrphans || waiting.contains { $0.hasEnded }
    }

    /// Walks from points, each blob once.
    private static func need(_ points: [RestorePoint], walk: inout NeededWalk<Keep>) async throws {
        for point in points where SweepRule.pointsAreRoots.holds || point.record.identifier.bytes[0] % 4 > 0 {
            for image in point.record.images {
                try await walk.need(structure: image.root, mayMiss: false, name: image.title)
            }
        }
    }

    /// Packs that may still be taken over, or that nobody may copy from before the next close.
    private static func leftAlone(in view: RepositoryView, waiting: [ReadSession]) -> Set<ObjectKey> {
        let unfinished = view.sessions.filter { !$0.hasEnded } + waiting
        return Set(unfinished.flatMap(\.entries).flatMap(\.inventory.packs).map(\.key))
            .union(view.log.ledger?.condemnedFresh.map(\.key) ?? [])
    }

    /// Whether what a session that ended without a commit had stored is left for its writer to go on with.
    private static func isAwaited(_ session: ReadSession, in view: RepositoryView, epoch: UInt32) -> Bool {
        let hasCommit = session.entries.contains { $0.action == .commit }
        guard !hasCommit, session.entries.contains(where: { $0.action == .checkpoint }) else { return false }
        let wentOn = view.sessions.contains { later in
            later.signer == session.signer && later.slot.slot > session.slot.slot
                && later.entries.contains { $0.action == .commit }
        }
        return !wentOn && session.slot.slot.epoch + graceCloses > epoch
    }

    /// Points that live on, and those that go.
    private static func points(
        in view: RepositoryView, horizon: Set<SessionName>, _ circumstances: Circumstances
    ) -> (live: [RestorePoint], dropped: [RestorePoint]) {
        var (live, dropped): ([RestorePoint], [RestorePoint]) = ([], [])
        for point in view.points {
            // Wording D: only of a session that is taken over is what goes void for those who would build on it.
            if horizon.contains(SessionName(writer: point.writer, session: point.session)),
                let forget = view.said.approvedForget(of: point.record.identifier, at: circumstances.times),
                circumstances.isDue(forget),
                view.said.lock(of: point.record, at: circumstances.times) ?? 0 <= circumstances.times.lock
            {
                dropped.append(point)
            } else {
                live.append(point)
            }
        }
        return (live, dropped)
    }

    /// The horizon: cumulative, each session once, with its last entry.
    private static func heads(_ taken: [ReadSession], view: RepositoryView) -> [SessionHead] {
        var heads = view.log.ledger?.horizon ?? []
        let known = Set(heads.map { SessionName(writer: $0.writer, session: $0.session) })
        heads += taken.filter { !known.contains($0.name) }.compactMap(\.head)
        return heads
    }

    /// Packs that are present and hold nothing that is needed; and whether there are packs that nobody has named and
    /// that only closes make old enough to go.
    private static func garbage(
        _ repository: OpenRepository, view: RepositoryView, index: ChunkIndex, needed: NeededBlobs,
        silent: Set<SessionID>, unlisted: Set<ObjectKey>
    ) async throws -> (fresh: Set<ObjectKey>, hasYoungOrphans: Bool) {
        var fresh = Set<ObjectKey>()
        var hasYoungOrphans = false
        let epoch = view.log.next.epoch
        // What a running session has named is its own affair until it has ended.
        let runningSessions = view.sessions.filter { !$0.hasEnded }
        let running = Set(runningSessions.flatMap(\.entries).flatMap(\.inventory.packs).map(\.key))
        let runningEpochs = Set(runningSessions.filter { !silent.contains($0.session) }.map(\.slot.slot.epoch))
        var known = Set<ObjectKey>()
        for facts in index.knownPacks {
            known.insert(facts.key)
            // A pack that no run lists waits for one: the verdict asks for it again, when it may be deleted already.
            guard facts.isLive, !running.contains(facts.key), !unlisted.contains(facts.key),
                needed.count(in: facts.key) == 0
            else { continue }
            fresh.insert(facts.key)
        }
        // A listing is a hint: what it misses is found by a later sweep. Whoever might adopt a pack has had its chance.
        for name in try await repository.access.hint(under: "packs/") {
            guard let key = ObjectKey(name: name, folder: "packs"), !known.contains(key), !running.contains(key) else {
                continue
            }
            guard key.generation + 1 < epoch else {
                if key.generation <= epoch, !runningEpochs.contains(key.generation) { hasYoungOrphans = true }
                continue
            }
            // A listing may show what was deleted.
            if try await repository.access.byteCount(name) != nil { fresh.insert(key) }
        }
        for condemned in view.condemned where condemned.kind == .pack { fresh.remove(condemned.key) }
        return (fresh, hasYoungOrphans)
    }

    /// What is dead and may still be there, or is still named by a run that counts or by an outcome outside the
    /// horizon: that would bring it back.
    private static func carried(
        index: ChunkIndex, view: RepositoryView, outside: [ReadSession], circumstances: Circumstances
    ) async throws -> [Ledger.Condemned] {
        guard let verdict = circumstances.verdict, !verdict.dead.isEmpty else { return [] }
        // What cannot be read any more may name anything.
        guard
            let named = try await index.namedPacks()?.union(
                outside.flatMap(\.entries).flatMap(\.inventory.packs).map(\.key))
        else { return LedgerComposition.sorted(verdict.dead) }
        // By the next close in any case: who opened before may still name it.
        let fresh = Set(view.log.ledger?.condemnedFresh ?? [])
        return LedgerComposition.sorted(
            verdict.dead.filter { condemned in
                fresh.contains(condemned) || !circumstances.deleted.contains(condemned)
                    || (condemned.kind == .pack && named.contains(condemned.key))
            })
    }

    private static func sorted(_ keys: some Sequence<Ledger.Condemned>) -> [Ledger.Condemned] {
        keys.sorted { ($0.kind.rawValue, $0.key) < ($1.kind.rawValue, $1.key) }
    }
}

/// Keeps one copy of each blob. Of the packs that are whole it is one that a sweep has copied, for that was taken from
/// the one that was kept; else the one of the lowest key, for the first is the one that no later writer can have
/// poisoned.
private final class Keep: CopyChoice {
    private let access: ObjectAccess
    private let copies: Set<ObjectKey>
    private let damaged: Set<ObjectKey>
    /// Packs that were read to see whether they are whole.
    private var isWhole: [ObjectKey: Bool] = [:]

    init(_ access: ObjectAccess, copies: Set<ObjectKey>, damage: HostState.Damage) {
        self.access = access
        self.copies = copies
        damaged = Set(damage.packs)
    }

    func needed(_ places: Few<BlobPlace>) async throws -> Few<BlobPlace> {
        guard places.count > 1 else { return places }
        func rank(_ pack: ObjectKey) -> (Int, UInt32, Hash256) {
            // Of copies the newest: it may have been taken from another.
            copies.contains(pack) ? (0, .max - pack.generation, pack.hash) : (1, pack.generation, pack.hash)
        }
        for place in places.sorted(by: { rank($0.pack) < rank($1.pack) }) where try await isWhole(place.pack) {
            var one = Few<BlobPlace>()
            one.append(place)
            return one
        }
        // None is whole: each may be what another cannot give.
        return places
    }

    /// Whether a pack has the bytes that it is named after. Asked only of packs that share a blob with others: few.
    private func isWhole(_ pack: ObjectKey) async throws -> Bool {
        if let known = isWhole[pack] { return known }
        var whole = false
        if !damaged.contains(pack), case .bytes(let bytes) = try await access.look(pack.packName) {
            whole = SecureHash.sha256(bytes) == pack.hash
        }
        isWhole[pack] = whole
        return whole
    }
}
