package import BackupModel
import ChunkEncryption
package import RepositoryFormat

/// A restore point, and where its record stands.
package struct RestorePoint: Hashable, Sendable {
    /// What the record says.
    package let record: RestorePointRecord
    /// Whose session made it.
    package let writer: WriterID
    /// Which session.
    package let session: SessionID
    /// Which entry of it.
    package let entry: UInt32
    /// The slot of that session; orders points of one writer without a clock.
    package let slot: SlotNumber

    /// A point from its fields.
    package init(record: RestorePointRecord, writer: WriterID, session: SessionID, entry: UInt32, slot: SlotNumber) {
        self.record = record
        self.writer = writer
        self.session = session
        self.entry = entry
        self.slot = slot
    }
}

/// The restore points of an entry, and what does not open.
typealias OpenedPoints = (points: [RestorePoint], findings: [RepositoryFinding])

/// What the slots, sessions and ledgers of a repository come to (format page §§10, 11): which outcomes count, and so
/// which points, packs and index runs there are.
package struct RepositoryView: Sendable {
    /// The log it was read from.
    package let log: ControlLog
    /// All sessions, in the order of their slots.
    package let sessions: [ReadSession]
    /// Packs that outcomes which count have added, in that order.
    package private(set) var packs: [Inventory.Pack] = []
    /// Packs of sessions that the ledger has taken over: those that live are named by runs of the generation; of the
    /// others some are gone.
    package private(set) var takenOver: [Inventory.Pack] = []
    /// Packs that outcomes have added and that are condemned: some are gone, and some may be pardoned.
    private(set) var condemnedPacks: [Inventory.Pack] = []
    /// Packs that sweeps have copied from others, whether or not a ledger has taken their sessions over: of several
    /// copies of a blob these stay (format page §12).
    private(set) var copies: Set<ObjectKey> = []
    /// Index runs that count.
    package private(set) var runs: [Inventory.Run] = []
    /// Runs of the last ledger whose size no outcome tells.
    package private(set) var generation: [ObjectKey] = []
    /// Condemned keys; they count as absent.
    package private(set) var condemned: Set<Ledger.Condemned> = []
    /// What maintainers have said about points.
    package private(set) var said: SaidOfPoints
    /// Records that whoever sweeps must know and this program does not, a sentence each.
    package private(set) var unknownRecords: [String] = []
    /// Restore points, in the order of their outcomes; empty without the structure key.
    package private(set) var points: [RestorePoint] = []
    /// Points among ``points`` that a revocation makes void which waits for the approval of persons; empty but in what
    /// ``OpenRepository/showing(_:)`` gives.
    package private(set) var doubted: Set<PointID> = []
    /// Slots that withdrawn revocations alone make void: what they hold and take back counts.
    let regained: [ReadSlot]
    /// What is void, damaged, missing or unknown: each with the name of its object and the points that suffer, as far
    /// as the credential can tell.
    package private(set) var findings: [RepositoryFinding] = []
    /// Names of objects that are known to exist and are not shown: whoever writes refuses.
    package let hidden: [String]
    /// Fingerprint of the owner's key.
    let owner: Hash256
    /// Which repository.
    let repository: RepositoryID
    /// Whether restore points could be opened with the credential.
    package let showsPoints: Bool

    /// Whether something is spoiled, revoked or hidden that may have named packs.
    var hasSpoiledPlaces: Bool {
        !hidden.isEmpty || log.slots.contains(where: \.isSpoiled) || sessions.contains { !$0.spoiled.isEmpty }
    }

    /// Why the store could not read a slot or an entry, as at a bad sector or when it was away for a moment; `nil` when
    /// it could read all. Whoever writes needs all of them.
    var unread: RepositoryError? {
        for slot in log.slots {
            if case .unreadable(let why) = slot.state { return RepositoryError(.storage, why, .retry) }
        }
        return sessions.lazy.compactMap(\.unread).first
    }

    /// Names of objects that are lost, hidden or damaged and may have named points that are not shown.
    package var gaps: [String] {
        let shown = Set(points.map(\.record.identifier))
        // What a lost slot opened may have been found again by its first entry.
        let found = Set(sessions.map { ObjectPaths.slot($0.slot.slot) })
        let damaged = findings.filter { finding in
            !finding.isRevoked && (finding.object.hasPrefix("s/") || !shown.isSuperset(of: finding.points))
        }
        var seen = Set<String>()
        return (hidden.filter { !found.contains($0) } + damaged.map(\.object)).filter { seen.insert($0).inserted }
    }

    /// The sentences of ``findings``.
    package var notes: [String] { findings.map(\.sentence) }

    /// Folds what was read.
    ///
    /// - Parameters:
    ///   - chain: says which guests a writer may write.
    ///   - opening: what was found before.
    ///   - unseen: what others have seen and the store does not show.
    ///   - keys: opens record bodies when it holds the structure key; `nil` for a keyless look.
    ///   - opened: what the commits came to, by their hashes; others are opened here.
    ///   - absent: condemned keys that count as absent; `nil` for all of them, as for everybody but a sweep.
    ///   - regained: slots besides the log's that hold and take back.
    init(
        log: ControlLog, sessions: [ReadSession], chain: OwnerChain, opening: [RepositoryFinding] = [],
        unseen: [RepositoryFinding] = [], keys: RepositoryKeys?, opened: [Hash256: OpenedPoints],
        absent: Set<Ledger.Condemned>? = nil, regained: [ReadSlot] = []
    ) throws {
        self.log = log
        self.sessions = sessions
        self.regained = regained
        owner = chain.owner.fingerprint
        repository = chain.repository
        said = SaidOfPoints(chain)
        showsPoints = keys?.opensStructure ?? false
        hidden =
            log.slots.filter { $0.hash == nil }.map { ObjectPaths.slot($0.slot) }
            + sessions.filter { chain.revocations[$0.signer] == nil }.flatMap(\.hidden) + unseen.map(\.object)
        let believed = Set(regained.map(\.slot))
        findings = opening + log.slots.filter { !believed.contains($0.slot) }.compactMap(\.finding)
        let horizon = log.takenOver
        var live = Set<PointID>()
        if let ledger = log.ledger {
            condemned = absent ?? Set(ledger.condemnedFresh + ledger.condemnedCarried)
            live = Set(ledger.points.map(\.point))
            generation = ledger.generation
        }
        let named = Set(generation)
        for session in sessions {
            findings += try told(of: session, keys: keys)
            let isTakenOver = horizon.contains(
                SessionName(writer: session.writer, session: session.session))
            for entry in session.entries where entry.action == .checkpoint || entry.action == .commit {
                // Of a session behind the horizon only what the ledger names counts: its packs may have been condemned
                // and deleted long ago, and those that live are named by the runs of the generation.
                func isCondemned(_ pack: Inventory.Pack) -> Bool {
                    condemned.contains(Ledger.Condemned(kind: .pack, key: pack.key))
                }
                let added = entry.inventory.packs.filter { !isCondemned($0) }
                condemnedPacks += entry.inventory.packs.filter(isCondemned)
                if isTakenOver { takenOver += added } else { packs += added }
                if entry.records.isEmpty, chain.signer(session.signer)?.role.closesEpochs ?? false {
                    copies.formUnion(added.map(\.key))
                }
                runs += entry.inventory.runs.filter {
                    (!isTakenOver || named.contains($0.key))
                        && !condemned.contains(Ledger.Condemned(kind: .indexRun, key: $0.key))
                }
                unknownRecords += SaidOfPoints.unknown(in: entry)
                if entry.action == .commit, let keys, keys.opensStructure {
                    if let signer = chain.signer(session.signer) {
                        // What a key that a revocation bounds has approved counts up to there, withdrawn or not.
                        let reference = SessionEntryReference(
                            session: entry.session, number: entry.number, hash: entry.hash)
                        findings += try said.take(
                            entry, slot: session.slot.slot, by: signer,
                            approves: chain.accepts(reference, under: session.slot, by: session.signer), keys: keys)
                    }
                    let told =
                        try opened[entry.hash]
                        ?? RepositoryView.points(of: entry, by: chain.signer(session.signer), keys: keys)
                    points += told.points.filter { !isTakenOver || live.contains($0.record.identifier) }
                    findings += told.findings
                }
            }
        }
        said.take(log.slots + regained)
        said.decide(chain)
        let told = Set(findings.map(\.object))
        findings += unseen.filter { !told.contains($0.object) }
        if showsPoints, log.ledger == nil { blameForUnseenBases() }
    }

    /// Notes which points `other`, of the same log, does not have.
    mutating func doubt(besides other: RepositoryView) {
        doubted = Set(points.map(\.record.identifier)).subtracting(other.points.map(\.record.identifier))
    }

    /// The points of all commits; those of many are opened on all cores.
    ///
    /// - Parameter known: what was opened before, of the same owner chain; it is given back with the rest.
    static func openedPoints(
        _ sessions: [ReadSession], chain: OwnerChain, keys: RepositoryKeys?, known: [Hash256: OpenedPoints] = [:]
    ) async throws -> [Hash256: OpenedPoints] {
        guard let keys, keys.opensStructure else { return known }
        let commits = sessions.flatMap { session in
            session.entries.filter { $0.action == .commit && known[$0.hash] == nil }.map { ($0, session.signer) }
        }
        guard commits.count >= fewCommits else {
            return try commits.reduce(into: known) { opened, commit in
                opened[commit.0.hash] = try points(of: commit.0, by: chain.signer(commit.1), keys: keys)
            }
        }
        let pieces = stride(from: 0, to: commits.count, by: fewCommits).map {
            Array(commits[$0..<min($0 + fewCommits, commits.count)])
        }
        let opened = try await pieces.concurrentMap(width: ObjectAccess.readsAtOnce) { piece in
            try piece.map { entry, signer in
                (entry.hash, try points(of: entry, by: chain.signer(signer), keys: keys))
            }
        }
        return known.merging(opened.flatMap(\.self)) { first, _ in first }
    }

    /// Commits for which no task is worth its while.
    private static let fewCommits = 32

    /// The restore points of an entry, and what does not open.
    static func points(
        of entry: SessionEntry, by writer: Enrolment?, keys: RepositoryKeys
    ) throws -> OpenedPoints {
        let recipient = try keys.recipient(.structure)
        let privateKey = try keys.structurePrivateKey()
        let name = ObjectPaths.sessionEntry(writer: entry.writer, session: entry.session, number: entry.number)
        var points: [RestorePoint] = []
        var findings: [RepositoryFinding] = []
        for (position, record) in entry.records.enumerated() where record.kind == Record.restorePointKind {
            do throws(FormatError) {
                guard record.domain == recipient.domain, record.keyEpoch == recipient.keyEpoch else {
                    throw .unsupported("record \(position) of \(name) is sealed to a key epoch that is not at hand")
                }
                let opened = try entry.open(record: position, recipient: recipient, privateKey: privateKey)
                let record = try RestorePointRecord(opened, name: name)
                guard writer?.mayWrite(guest: record.guest) ?? false else {
                    throw .void(
                        "point \(record.identifier) in \(name) is void: its writer is not enrolled for guest "
                            + "\(record.guest)")
                }
                points.append(
                    RestorePoint(
                        record: record, writer: entry.writer, session: entry.session, entry: entry.number,
                        slot: entry.slot))
            } catch {
                var finding = RepositoryFinding(object: name, sentence: error.sentence)
                finding.isVoid = error.code == .void
                findings.append(finding)
            }
        }
        return (points, findings)
    }

    /// What is wrong with a session, with the points that its spoiled entries named.
    private func told(of session: ReadSession, keys: RepositoryKeys?) throws -> [RepositoryFinding] {
        var findings = session.findings
        for spoiled in session.spoiled {
            let object = session.name.entry(spoiled.number)
            guard let index = findings.firstIndex(where: { $0.object == object }) else { continue }
            if let bytes = spoiled.bytes, let keys, keys.opensStructure {
                findings[index].points = try SpoiledRecord.points(
                    in: bytes, of: session.name, number: spoiled.number, keys: keys)
            }
            let stated = log.ledger?.points.filter {
                $0.writer == session.writer && $0.session == session.session && $0.number == spoiled.number
            }
            for point in stated?.map(\.point) ?? [] where !findings[index].points.contains(point) {
                findings[index].points.append(point)
            }
        }
        return findings
    }

    /// A base that somebody built on and that is not shown was in something spoiled of the same writer.
    private mutating func blameForUnseenBases() {
        let shown = Set(points.map(\.record.identifier)).union(findings.flatMap(\.points))
        var bases = Dictionary(grouping: points) { SessionName(writer: $0.writer, session: $0.session) }
            .mapValues { $0.compactMap(\.record.base) }
        let opened = Dictionary(sessions.map { ($0.slot.slot, $0.name) }) { first, _ in first }
        for slot in log.slots {
            guard case .open(_, let claimed)? = slot.content?.claim, let name = opened[slot.slot] else { continue }
            bases[name, default: []] += claimed
        }
        var unseen: [WriterID: [PointID]] = [:]
        for session in sessions {
            for base in bases[session.name] ?? []
            where !shown.contains(base) && unseen[session.writer]?.contains(base) != true {
                unseen[session.writer, default: []].append(base)
            }
        }
        for session in sessions {
            guard let bases = unseen[session.writer] else { continue }
            let spoiled = Set(session.spoiled.map { session.name.entry($0.number) }).union(session.hidden)
            for index in findings.indices where spoiled.contains(findings[index].object) {
                if findings[index].points.isEmpty { findings[index].points = bases }
            }
        }
    }

    /// Whether a point that this or another host made still counts, so that a new one may lean on its chunks: its
    /// commit was read, and no ledger has left it out (format page §11, "Inheriting"). Needs no key.
    ///
    /// - Parameter commit: the entry that committed it.
    package func shows(_ point: PointID, committedBy commit: SessionHead) -> Bool {
        let session = sessions.first { $0.writer == commit.writer && $0.session == commit.session }
        let entry = session?.entries.first { $0.number == commit.number }
        guard entry?.hash == commit.hash, entry?.action == .commit else { return false }
        guard let ledger = log.ledger,
            ledger.horizon.contains(where: { $0.writer == commit.writer && $0.session == commit.session })
        else { return true }
        return ledger.points.contains { $0.point == point }
    }

    /// The newest thing of every session that no slot states the end of.
    package func openHeads() -> [SessionHead] {
        sessions.filter { !$0.hasEnded || $0.entries.last?.action == .commit }.compactMap(\.head)
            .suffix(FormatLimits.headCount)
    }
}
