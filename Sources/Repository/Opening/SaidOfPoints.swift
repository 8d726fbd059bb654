package import BackupModel
package import RepositoryFormat

/// What maintainers and the owner have said about points: forgets, holds, pins, releases, undos (format page §11,
/// "Forgotten").
package struct SaidOfPoints: Sendable {
    /// Somebody's word that a point need not be kept.
    package struct Forget: Hashable, Sendable {
        /// Slot of the session that says it; orders forgets and undos without a clock.
        package let slot: SlotNumber
        /// When it was said: nanoseconds since 1970, UTC.
        package let at: UInt64
        /// Why, for people.
        package let reason: String
    }

    /// Somebody's word that a point must stay.
    package struct Hold: Hashable, Sendable {
        /// The slot that says it.
        package let slot: SlotNumber
        /// Whether it is a pin: for as long as somebody reads.
        package let isPin: Bool
    }

    /// The last forget of each point that has one, undone or not.
    private var forgets: [PointID: Forget] = [:]
    private var released: Set<SlotNumber> = []
    private var undone: [PointID: SlotNumber] = [:]
    /// Holds and pins, also those that were released.
    private var holds: [PointID: [Hold]] = [:]

    /// Kinds of records that this program knows.
    private static let knownKinds: Set<UInt32> = [
        Record.restorePointKind, Record.checkpointRootsKind, Record.forgetKind, Record.releaseKind,
    ]

    init() {}

    /// Critical records of an entry that this program does not know, a sentence each.
    static func unknown(in entry: SessionEntry) -> [String] {
        entry.records.enumerated().filter { $1.isCritical && !knownKinds.contains($1.kind) }.map { position, record in
            let name = ObjectPaths.sessionEntry(writer: entry.writer, session: entry.session, number: entry.number)
            return "record \(position) of \(name) is of kind \(record.kind), which a newer program wrote"
        }
    }

    /// Takes what a commit says. - Returns: what does not open.
    mutating func take(
        _ entry: SessionEntry, slot: SlotNumber, keys: RepositoryKeys
    ) throws -> [RepositoryFinding] {
        let kinds: Set<UInt32> = [Record.forgetKind, Record.releaseKind]
        guard entry.records.contains(where: { kinds.contains($0.kind) }) else { return [] }
        let recipient = try keys.recipient(.structure)
        let privateKey = try keys.structurePrivateKey()
        let name = ObjectPaths.sessionEntry(writer: entry.writer, session: entry.session, number: entry.number)
        var findings: [RepositoryFinding] = []
        for (position, record) in entry.records.enumerated() where kinds.contains(record.kind) {
            do throws(FormatError) {
                let opened = try entry.open(record: position, recipient: recipient, privateKey: privateKey)
                if opened.kind == Record.forgetKind {
                    try take(ForgetRecord(opened, name: name), slot: slot)
                } else {
                    released.formUnion(try ReleaseRecord(opened, name: name).slots)
                }
            } catch { findings.append(RepositoryFinding(object: name, sentence: error.sentence)) }
        }
        return findings
    }

    private mutating func take(_ record: ForgetRecord, slot: SlotNumber) {
        let forget = Forget(slot: slot, at: record.at, reason: record.reason)
        for point in record.points where forgets[point].map({ $0.slot < slot }) ?? true { forgets[point] = forget }
    }

    /// Takes what the slots of a log say.
    mutating func take(_ slots: [ReadSlot]) {
        for slot in slots {
            switch slot.content?.claim {
            case .hold(let points):
                for point in points { holds[point, default: []].append(Hold(slot: slot.slot, isPin: false)) }
            case .pin(let points):
                for point in points { holds[point, default: []].append(Hold(slot: slot.slot, isPin: true)) }
            case .undo(let points):
                for point in points { undone[point] = max(undone[point] ?? slot.slot, slot.slot) }
            case .open, .close, nil: break
            }
        }
    }

    /// The holds and pins of a point that still stand.
    package func holds(of point: PointID) -> [Hold] {
        (holds[point] ?? []).filter { !released.contains($0.slot) }
    }

    /// Why a point need not be kept; `nil` for one that is held, that nobody forgot, or whose forget was undone.
    package func forget(of point: PointID) -> Forget? {
        guard let forget = forgets[point],
            undone[point].map({ $0 < forget.slot }) ?? true || !SweepRule.undoBeatsForget.holds,
            holds(of: point).isEmpty || !SweepRule.holdBeatsForget.holds
        else { return nil }
        return forget
    }
}
