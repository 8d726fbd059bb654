import BackupModel
import Catalog
import RepositoryFormat
import TestKit

/// Names that people really use, and those that a program stumbles over.
let ordinaryNames = [
    "web01", "業務サーバ01", "a@b", "-x", "O'Brien", "\"quoted\"", "back\\slash", "100%_", "", " ",
    "; DROP TABLE points; --",
    "?1 :guest $x", "line\nbreak", "e\u{301}", "\u{e9}", "🏯", "\u{202e}evil", String(repeating: "長", count: 300),
]

/// Facts that follow from a seed.
struct FactsFixture {
    var dice: Dice
    var facts: CatalogFacts

    init(seed: UInt64, sessions: Int = 12) {
        dice = Dice(seed: seed)
        let owner = Hash256(bytes: dice.bytes(32))!
        facts = CatalogFacts(
            repository: RepositoryID(bytes: dice.bytes(16))!, owner: owner, ownerStatement: 3,
            store: StoreID(bytes: dice.bytes(16))!, incarnation: 0, logHead: nil)
        facts.writers = [CatalogFacts.Writer(key: owner, role: .owner, domain: nil, label: "owner", statement: 0)]
        let guests = ordinaryNames.map { (GuestID(bytes: dice.bytes(16))!, $0) }
        for number in 1...3 {
            facts.writers.append(
                CatalogFacts.Writer(
                    key: Hash256(bytes: dice.bytes(32))!, role: number == 3 ? .maintainer : .writer, domain: 0,
                    label: ordinaryNames[number], statement: UInt32(number),
                    guests: number == 2 ? guests.prefix(4).map(\.0) : nil, isRevoked: number == 2))
        }
        facts.notes = ["s/1/2/3 is signed by a key that may not say this", "e\u{301}", "\u{e9}"]
        for number in 0..<sessions { addSession(number, guests: guests) }
    }

    private mutating func addSession(_ number: Int, guests: [(GuestID, String)]) {
        let session = CatalogFacts.Session(
            identifier: SessionID(bytes: dice.bytes(16))!, signer: facts.writers[number % 3].key,
            slot: SlotNumber(incarnation: 0, epoch: UInt32(number / 5), number: UInt32(number % 5)),
            entryCount: UInt32(number % 4), state: CatalogFacts.Session.State.allCases[number % 4])
        facts.sessions.append(session)
        facts.logHead = session.slot
        for entry in 0..<dice.roll(below: 4) {
            let (guest, name) = guests[Int(dice.roll(below: UInt64(guests.count)))]
            let point = CatalogFacts.Point(
                record: record(guest: guest, label: name, at: UInt64(number) * 1_000), session: session.identifier,
                entry: UInt32(entry))
            facts.points.append(point)
            switch dice.roll(below: 6) {
            case 0:
                // The same record once more, elsewhere.
                facts.points.append(
                    CatalogFacts.Point(record: point.record, session: session.identifier, entry: UInt32(entry) + 10))
            case 1:
                // Something else under the same id.
                var other = point
                other.record.label = "somebody else"
                other.record.images = []
                facts.points.append(other)
            default: break
            }
        }
    }

    /// A record with every field set to something of its own.
    mutating func record(guest: GuestID, label: String, at taken: UInt64) -> RestorePointRecord {
        var volume = RestorePointRecord.Volume()
        volume.read = dice.roll(below: 1 << 40)
        volume.changed = dice.roll(below: 1 << 30)
        volume.new = dice.roll(below: 1 << 20)
        volume.stored = dice.roll(below: 1 << 10)
        let images = (0..<dice.roll(below: 4)).map { number in
            RestorePointRecord.Image(
                name: number == 2 ? "vda0" : "vda\(number)", kind: "disk", byteCount: dice.roll(below: 1 << 44),
                format: "qcow2", root: Hash256(bytes: dice.bytes(32))!, domain: UInt32(number))
        }
        return RestorePointRecord(
            identifier: PointID(bytes: dice.bytes(16))!, guest: guest, label: label, takenAt: taken,
            consistency: "crash", trust: "scanned", host: "host \(label)", tool: "dozo 0.1", images: images,
            base: dice.roll(below: 2) == 0 ? nil : PointID(bytes: dice.bytes(16))!, startedAt: taken + 5,
            endedAt: taken + 3, volume: volume)
    }

    /// The same facts in another order.
    mutating func shuffled() -> CatalogFacts {
        var other = facts
        other.writers.shuffle(using: &dice)
        for index in other.writers.indices { other.writers[index].guests?.shuffle(using: &dice) }
        other.sessions.shuffle(using: &dice)
        other.points.shuffle(using: &dice)
        other.notes.shuffle(using: &dice)
        return other
    }

    /// What a reader saw when the log had only so many sessions.
    func prefix(_ count: Int) -> CatalogFacts {
        var other = facts
        other.sessions = Array(facts.sessions.prefix(count))
        let known = Set(other.sessions.map(\.identifier))
        other.points = facts.points.filter { known.contains($0.session) }
        other.logHead = other.sessions.last?.slot
        other.notes = Array(facts.notes.prefix(count % 4))
        return other
    }
}

/// The dump of a new catalog into which nothing but this was projected.
func freshDump(of facts: CatalogFacts...) throws -> String {
    let folder = try StateFolder()
    let database = try folder.open()
    for each in facts { try CatalogProjection(database).project(each) }
    return try database.dump()
}
