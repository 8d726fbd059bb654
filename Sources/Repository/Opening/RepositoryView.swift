package import BackupModel
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

/// What the slots, sessions and ledgers of a repository come to (format page §§10, 11): which outcomes count, and so
/// which points, packs and index runs there are.
package struct RepositoryView: Sendable {
    /// The log it was read from.
    package let log: ControlLog
    /// All sessions, in the order of their slots.
    package let sessions: [ReadSession]
    /// Packs that outcomes which count have added, in that order.
    package private(set) var packs: [Inventory.Pack] = []
    /// Index runs that count.
    package private(set) var runs: [Inventory.Run] = []
    /// Runs of the last ledger whose size no outcome tells.
    package private(set) var generation: [ObjectKey] = []
    /// Condemned keys; they count as absent.
    package private(set) var condemned: Set<Ledger.Condemned> = []
    /// Restore points, in the order of their outcomes; empty without the structure key.
    package private(set) var points: [RestorePoint] = []
    /// What is void, damaged or unknown, one sentence each.
    package private(set) var notes: [String] = []
    /// Which packs and runs each entry added: for naming who suffers when one is lost.
    private let structureKeyHeld: Bool

    /// Whether restore points could be opened with the credential.
    package var showsPoints: Bool { structureKeyHeld }

    /// Folds what was read.
    ///
    /// - Parameter keys: opens record bodies when it holds the structure key; `nil` for a keyless look.
    init(log: ControlLog, sessions: [ReadSession], keys: RepositoryKeys?) throws {
        self.log = log
        self.sessions = sessions
        structureKeyHeld = keys?.opensStructure ?? false
        notes = log.slots.compactMap(\.voidReason)
        let horizon = Set(
            log.ledger?.horizon.map { SessionName(writer: $0.writer, session: $0.session) } ?? [])
        var live = Set<PointID>()
        if let ledger = log.ledger {
            condemned = Set(ledger.condemnedFresh + ledger.condemnedCarried)
            live = Set(ledger.points.map(\.point))
            generation = ledger.generation
        }
        let named = Set(generation)
        for session in sessions {
            notes += session.notes
            let isTakenOver = horizon.contains(
                SessionName(writer: session.writer, session: session.session))
            for entry in session.entries where entry.action == .checkpoint || entry.action == .commit {
                // Of a session behind the horizon only what the ledger names counts: its packs may have been condemned
                // and deleted long ago, and those that live are named by the runs of the generation.
                if !isTakenOver {
                    packs += entry.inventory.packs.filter {
                        !condemned.contains(Ledger.Condemned(kind: .pack, key: $0.key))
                    }
                }
                runs += entry.inventory.runs.filter { !isTakenOver || named.contains($0.key) }
                if entry.action == .commit, let keys, keys.opensStructure {
                    try open(entry, keys: keys) { !isTakenOver || live.contains($0) }
                }
            }
        }
    }

    private mutating func open(
        _ entry: SessionEntry, keys: RepositoryKeys, counts: (PointID) -> Bool
    ) throws {
        let recipient = try keys.recipient(.structure)
        let privateKey = try keys.structurePrivateKey()
        let name = ObjectPaths.sessionEntry(writer: entry.writer, session: entry.session, number: entry.number)
        for (position, record) in entry.records.enumerated() where record.kind == Record.restorePointKind {
            do throws(FormatError) {
                guard record.domain == recipient.domain, record.keyEpoch == recipient.keyEpoch else {
                    throw .unsupported("record \(position) of \(name) is sealed to a key epoch that is not at hand")
                }
                let opened = try entry.open(record: position, recipient: recipient, privateKey: privateKey)
                let point = try RestorePointRecord(opened, name: name)
                guard counts(point.identifier) else { continue }
                points.append(
                    RestorePoint(
                        record: point, writer: entry.writer, session: entry.session, entry: entry.number,
                        slot: entry.slot))
            } catch { notes.append(error.sentence) }
        }
    }

    /// The newest thing of every session that no slot states the end of.
    package func openHeads() -> [SessionHead] {
        sessions.filter { !$0.hasEnded || $0.entries.last?.action == .commit }.compactMap(\.head)
            .suffix(FormatLimits.headCount)
    }
}
