package import BackupModel
import RepositoryFormat

// When others saw a point
// -----------------------
// A writer dates its own points as it likes. Others bear witness: every entry carries the heads of all that its writer
// had seen when its run began, and its records say when that was by the clock of that host. So of each point it can be
// told by when another writer had seen it, and up to when another had looked and it was not even begun.
//
// It can tell no more than that: a repository with one writer has no witnesses but its maintainers; nobody who looked
// and wrote nothing (a verify, a restore, a sweep that forgot nothing) leaves a trace; the times are those of the
// witnesses' clocks, and a witness may lie. One whose clock went back or ahead by a day and more, as its own other
// records show, bears no witness in that direction; one whose key was revoked bears none at all.
//
// Cost: each witness names at most 1,024 sessions, and each is looked up once.

/// By when others saw the points of a repository, and until when they did not.
package struct Sightings: Sendable {
    /// What others say of one point; nanoseconds since 1970 on their clocks.
    package struct Sighting: Hashable, Sendable {
        /// The earliest time by which another writer had seen it; `nil` when none has told.
        package internal(set) var firstSeen: UInt64?
        /// The last time at which another writer looked and its session was not begun; `nil` when none did.
        package internal(set) var lastMissed: UInt64?
    }

    /// One look at the repository: whose, when, and what it showed.
    struct Look {
        let writer: WriterID
        /// Orders the looks of one writer without a clock.
        let slot: SlotNumber
        /// Not before the look.
        let latest: UInt64
        /// Not after the look.
        let earliest: UInt64
        let heads: Heads
        /// Whether it tells what it saw, and what it did not: not where its own writer's other looks gainsay its time.
        var tellsSeen = true
        var tellsMissed = true
    }

    /// How far two honest clocks may differ, and one clock go back: a day, in nanoseconds.
    static let tolerance: UInt64 = 86_400 * 1_000_000_000

    private var ofEntry: [Place: Sighting] = [:]

    /// What others say of a point.
    package subscript(_ point: RestorePoint) -> Sighting { ofEntry[Place(of: point)] ?? Sighting() }

    /// Asks all looks that left a trace.
    ///
    /// - Parameters:
    ///   - revoked: writers that bear no witness.
    ///   - now: nanoseconds since 1970 by the clock of whoever asks; what lies a day and more ahead of it is not taken
    ///     for a time at which something was missed.
    package init(in view: RepositoryView, revoked: Set<WriterID>, now: UInt64) {
        let looks = Sightings.believed(
            Sightings.looks(in: view).filter { !revoked.contains($0.writer) }, now: now)
        let seen = Sightings.seen(looks, view: view)
        let missed = Sightings.missed(looks)
        for point in view.points {
            var sighting = Sighting()
            let place = Place(of: point)
            sighting.firstSeen = seen[place]
            for (writer, times) in missed where writer != point.writer {
                guard let time = times.latest(before: point.slot) else { continue }
                sighting.lastMissed = max(sighting.lastMissed ?? 0, time)
            }
            ofEntry[place] = sighting
        }
    }

    // MARK: Looks

    private static func looks(in view: RepositoryView) -> [Look] {
        // By the entry that says it: the first record of an entry will do.
        var told: [Place: (earliest: UInt64, latest: UInt64)] = [:]
        for point in view.points {
            let place = Place(of: point)
            let record = point.record
            // The instant may lie before the look or behind it. A backup that went on in another session looked again.
            told[place] = (min(record.startedAt, record.takenAt), record.continuedAt ?? record.startedAt)
        }
        for saying in view.said.sayings {
            told[Place(saying.session, entry: saying.entry)] = (saying.at, saying.at)
        }
        var looks: [Look] = []
        for session in view.sessions {
            for entry in session.entries where entry.action == .commit {
                guard let times = told[Place(session.name, entry: entry.number)] else { continue }
                looks.append(
                    Look(
                        writer: session.writer, slot: session.slot.slot, latest: times.latest,
                        earliest: times.earliest, heads: entry.heads))
            }
        }
        return looks
    }

    /// Marks looks whose times those of the same writer gainsay: it is enough that a clock was wrong once.
    private static func believed(_ looks: [Look], now: UInt64) -> [Look] {
        var all: [Look] = []
        for (_, own) in Dictionary(grouping: looks, by: \.writer) {
            var ordered = own.sorted { ($0.slot, $0.latest) < ($1.slot, $1.latest) }
            var newest: UInt64 = 0
            for index in ordered.indices {
                // Earlier than one before it: the clock went back, or was ahead before.
                ordered[index].tellsSeen = !isLater(newest, than: ordered[index].latest)
                newest = max(newest, ordered[index].latest)
            }
            var oldest = UInt64.max
            for index in ordered.indices.reversed() {
                let time = ordered[index].earliest
                ordered[index].tellsMissed = !isLater(time, than: oldest) && !isLater(time, than: now)
                oldest = min(oldest, time)
            }
            all += ordered
        }
        return all
    }

    private static func isLater(_ time: UInt64, than other: UInt64) -> Bool { time > other && time - other > tolerance }

    // MARK: Seen

    /// An entry of a session.
    private struct Place: Hashable {
        let session: SessionName
        let entry: UInt32

        init(_ session: SessionName, entry: UInt32) {
            self.session = session
            self.entry = entry
        }

        init(of point: RestorePoint) {
            self.init(SessionName(writer: point.writer, session: point.session), entry: point.entry)
        }
    }

    /// The earliest time by which another writer had seen each entry with a point.
    private static func seen(_ looks: [Look], view: RepositoryView) -> [Place: UInt64] {
        // A session's end that a slot states was seen by whoever read that slot; what a close took over likewise.
        var stated: [(slot: SlotNumber, session: SessionName, number: UInt32)] = []
        for slot in view.log.slots {
            guard let content = slot.content, let signer = slot.signer else { continue }
            let writer = WriterID(fingerprint: signer)
            for end in content.ended {
                stated.append((slot.slot, SessionName(writer: writer, session: end.session), end.number))
            }
        }
        if let close = view.log.lastClose, let ledger = view.log.ledger {
            for head in ledger.horizon {
                stated.append((close.slot, SessionName(writer: head.writer, session: head.session), head.number))
            }
        }
        let points = Dictionary(grouping: view.points) { SessionName(writer: $0.writer, session: $0.session) }
            .mapValues { Set($0.map(\.entry)) }
        var seen: [Place: UInt64] = [:]
        func take(_ session: SessionName, upTo number: UInt32, by look: Look) {
            guard session.writer != look.writer, let entries = points[session] else { return }
            for entry in entries where entry <= number {
                let place = Place(session, entry: entry)
                seen[place] = min(seen[place] ?? .max, look.latest)
            }
        }
        let telling = looks.filter(\.tellsSeen)
        for look in telling {
            for head in look.heads.sessions {
                take(SessionName(writer: head.writer, session: head.session), upTo: head.number, by: look)
            }
        }
        // Of what the log states the earliest of the looks behind it that are another's: they are few to keep.
        stated.sort { $0.slot > $1.slot }
        let byLog = telling.filter { $0.heads.log != nil }.sorted { $0.logSlot > $1.logSlot }
        var earliest: [WriterID: Look] = [:]
        var next = byLog.startIndex
        for end in stated {
            while next < byLog.endIndex, byLog[next].logSlot >= end.slot {
                let look = byLog[next]
                if earliest[look.writer].map({ look.latest < $0.latest }) ?? true { earliest[look.writer] = look }
                next += 1
            }
            for look in earliest.values { take(end.session, upTo: end.number, by: look) }
        }
        return seen
    }

    // MARK: Missed

    /// The looks of one writer at the log, ascending, each with the latest time of itself and those before it.
    private struct Misses {
        var slots: [SlotNumber] = []
        var times: [UInt64] = []

        /// The latest time of a look that ended before a slot.
        func latest(before slot: SlotNumber) -> UInt64? {
            var (low, high) = (0, slots.count)
            while low < high {
                let middle = (low + high) / 2
                if slots[middle] < slot { low = middle + 1 } else { high = middle }
            }
            return low == 0 ? nil : times[low - 1]
        }
    }

    private static func missed(_ looks: [Look]) -> [WriterID: Misses] {
        Dictionary(grouping: looks.filter { $0.tellsMissed && $0.heads.log != nil }, by: \.writer).mapValues { own in
            var misses = Misses()
            for look in own.sorted(by: { $0.logSlot < $1.logSlot }) {
                misses.slots.append(look.logSlot)
                misses.times.append(max(misses.times.last ?? 0, look.earliest))
            }
            return misses
        }
    }
}

extension Sightings.Look {
    /// How far it had read the log.
    ///
    /// - Precondition: it has a log head.
    fileprivate var logSlot: SlotNumber {
        guard let log = heads.log else { preconditionFailure("a look at a log with slots") }
        return log.slot
    }
}
