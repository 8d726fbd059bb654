import BackupModel
import Jobs
import Repository

/// What a prune says: for people by guest, and as one JSON document.
struct PruneReport {
    let plan: PrunePlan
    /// Whether it was done, or would be.
    let isDone: Bool

    // MARK: For people

    /// - Parameter inFull: every point with its reasons; else only what was forgotten.
    func show(inFull: Bool) {
        for (index, guest) in plan.guests.enumerated() {
            if index > 0, inFull { Console.result("") }
            let count = Dictionary(grouping: guest.verdicts, by: \.fate).mapValues(\.count)
            var parts = [Console.count(guest.verdicts.count, "point")]
            if let stays = count[.stays] { parts.append("\(stays) stay") }
            if let goes = count[.goes] { parts.append("\(goes) \(isDone ? "are" : "would be") forgotten") }
            if let waits = count[.waits] { parts.append("\(waits) stay for now") }
            if let forgotten = count[.forgotten] { parts.append("\(forgotten) forgotten before") }
            let locked = guest.locks.values.reduce(0) { $0 + $1.count }
            if locked > 0 { parts.append("\(locked) \(isDone ? "are" : "would be") locked") }
            let covered =
                guest.policies.isEmpty
                ? "no policy covers it" : "by \(guest.policies.map(Console.printable).joined(separator: ", "))"
            Console.result("\(Console.printable(guest.label)): \(parts.joined(separator: ", ")); \(covered)")
            if let flood = guest.flood { Console.result("  \(PruneReport.sentence(flood))") }
            if inFull { table(guest) }
        }
    }

    private func table(_ guest: PrunePlan.Guest) {
        // Without a policy there is nothing to explain.
        guard !guest.policies.isEmpty else { return }
        Console.table(
            ["  POINT", "TIME", "TAGS", "VERDICT", "REASON"],
            guest.verdicts.map { verdict in
                let point = verdict.candidate.point
                return [
                    "  " + point.id.hexadecimal.prefix(12), TimeText.local(point.time),
                    point.tags.sorted().map(Console.printable).joined(separator: ","), verdict.fate.rawValue,
                    reason(verdict, of: guest),
                ]
            })
    }

    /// What keeps it, or why nothing does.
    private func reason(_ verdict: PrunePlan.Verdict, of guest: PrunePlan.Guest) -> String {
        if verdict.fate == .forgotten { return "forgotten before; `dozo forget --undo` takes it back" }
        let isKept = verdict.fate == .stays
        // Several policies: whose word it is. What no rule has a say in is the same for all.
        let named = guest.policies.count > 1
        var seen = Set<String>()
        var sentences: [String] = []
        for opinion in verdict.opinions {
            let words =
                isKept
                ? opinion.reasons.map { (PruneReport.words($0), $0.isOfRule) }
                : opinion.misses.map { (PruneReport.words($0), true) }
            for (words, isOfRule) in words {
                let sentence = named && isOfRule ? "\(Console.printable(opinion.policy)): \(words)" : words
                if seen.insert(sentence).inserted { sentences.append(sentence) }
            }
        }
        if verdict.fate == .waits { sentences.insert("its guest got many points", at: 0) }
        return sentences.joined(separator: "; ")
    }

    private static func words(_ reason: RetentionReason) -> String {
        if case .locked(let until) = reason { return "locked until \(TimeText.local(until))" }
        return Console.printable(reason.description)
    }

    private static func words(_ miss: RetentionMiss) -> String {
        switch miss {
        case .lockExpired(let time): "its lock ended on \(TimeText.local(time))"
        case .newerInPeriod(let period, let name, let newer):
            "\(newer.hexadecimal.prefix(12)) is newer in \(period.rawValue) \(name)"
        default: miss.description
        }
    }

    private static func sentence(_ flood: PointFlood) -> String {
        "\(flood.count) points came in the day before \(TimeText.local(flood.at)), and \(flood.usual) a day are usual: "
            + "none of it is forgotten until \(TimeText.local(flood.until)), or until --accept-many"
    }

    // MARK: For programs

    /// Everything, as JSON. The names are frozen at the first release.
    struct Document: Encodable {
        struct Guest: Encodable {
            let guest: String
            let guest_id: String
            let policies: [String]
            let flood: Flood?
            let points: [Point]
        }
        struct Flood: Encodable {
            let points: Int
            let usual: Int
            let at: String
            let until: String
        }
        struct Point: Encodable {
            let id: String
            /// The time that rules go by.
            let time: String
            let taken_at: String
            /// By when another writer had seen it; absent when none tells.
            let first_seen: String?
            /// When another writer last looked and it was not there; absent when none tells.
            let last_missed: String?
            let tags: [String]
            /// `stays`, `goes`, `waits`, `forgotten`.
            let verdict: String
            let opinions: [Opinion]
        }
        struct Opinion: Encodable {
            let policy: String
            let keeps: [String]
            let does_not: [String]
        }

        let done: Bool
        let forgotten: [String]
        let guests: [Guest]
        let sweep: SweepRun.Document?
    }

    func document(_ report: Sweep.Report?) -> Document {
        Document(
            done: isDone, forgotten: plan.goes.map(\.hexadecimal),
            guests: plan.guests.map { guest in
                Document.Guest(
                    guest: guest.label, guest_id: guest.guest.hexadecimal, policies: guest.policies,
                    flood: guest.flood.map {
                        Document.Flood(
                            points: $0.count, usual: $0.usual, at: TimeText.utc($0.at), until: TimeText.utc($0.until))
                    }, points: guest.verdicts.map(PruneReport.point))
            }, sweep: report.map(SweepRun.Document.init))
    }

    private static func point(_ verdict: PrunePlan.Verdict) -> Document.Point {
        let point = verdict.candidate.point
        return Document.Point(
            id: point.id.hexadecimal, time: TimeText.utc(point.time), taken_at: TimeText.utc(point.takenAt),
            first_seen: point.firstSeen.map(TimeText.utc), last_missed: point.lastMissed.map(TimeText.utc),
            tags: point.tags.sorted(), verdict: verdict.fate.rawValue,
            opinions: verdict.opinions.map {
                Document.Opinion(policy: $0.policy, keeps: $0.reasons.map(words), does_not: $0.misses.map(words))
            })
    }
}
