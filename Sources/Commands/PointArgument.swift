import BackupModel
package import Repository
import RepositoryFormat

/// Finds the point that a person means: an id, a unique prefix of one, `GUEST@latest` or `GUEST@TIME` (design §7).
package enum PointArgument {
    /// Fewest digits of a prefix.
    static let shortestPrefix = 4

    /// - Throws: ``CommandFailure`` with the candidates when there is no such point or several.
    static func find(_ text: String, in view: RepositoryView) throws -> RestorePoint {
        guard view.showsPoints else {
            throw CommandFailure(
                .wrongKey, "this credential does not open restore points; use the passphrase or a reader's credential")
        }
        // By guest and time only what nobody doubts is chosen, as long as there is any: of a key that was stolen the
        // newest point is the thief's.
        let guest = text.lastIndex(of: "@").map { text[..<$0] }
        let sure = view.points.filter { !view.doubted.contains($0.record.identifier) }
        let isKnown = sure.contains { point in
            guest.map { $0 == point.record.label || $0 == point.record.guest.hexadecimal } ?? false
        }
        let point = try find(text, among: isKnown ? sure : view.points)
        if view.doubted.contains(point.record.identifier) { Console.note("note: \(describe(point)) is \(doubt)") }
        return point
    }

    /// What is said of a point that a revocation makes void which persons have not approved.
    static let doubt = "waiting: revoked by the owner, not approved"

    /// As ``find(_:in:)``, several, each once however often it is named, for whoever changes what becomes of them: a
    /// time means the one point that was taken in it, and never an earlier one.
    static func findMeant(_ texts: [String], in view: RepositoryView) throws -> [RestorePoint] {
        var seen = Set<PointID>()
        return try texts.map { text in
            let point = try find(text, in: view)
            try requireMeant(point, by: text, in: view)
            return point
        }.filter { seen.insert($0.record.identifier).inserted }
    }

    /// Whoever restores takes what was there at a time; whoever lets go says what.
    private static func requireMeant(_ point: RestorePoint, by text: String, in view: RepositoryView) throws {
        guard let at = text.lastIndex(of: "@") else { return }
        let time = String(text[text.index(after: at)...])
        guard let covered = TimeText.range(time) else { return }
        let guest = Console.printable(String(text[..<at]))
        guard point.record.takenAt >= covered.lowerBound else {
            throw CommandFailure(
                .failed,
                "\(guest) has no restore point of \(time); the last one before is \(describe(point)): name that one if "
                    + "it is meant; nothing was changed")
        }
        let others = view.points.filter { other in
            other.record.guest == point.record.guest && covered.contains(other.record.takenAt)
        }
        guard Set(others.map(\.record.identifier)).count == 1 else {
            let list = others.sorted(by: isEarlier).prefix(8).map(describe).joined(separator: ", ")
            throw CommandFailure(
                .failed,
                "\(guest) has \(Console.count(others.count, "restore point")) of \(time): \(list); name one by its id "
                    + "or the minute; nothing was changed")
        }
    }

    /// As ``find(_:in:)``, among points that were opened.
    package static func find(_ text: String, among points: [RestorePoint]) throws -> RestorePoint {
        // Guests are called what people like, also with @ in it: the last one splits.
        if let at = text.lastIndex(of: "@") {
            return try find(
                guest: String(text[..<at]), time: String(text[text.index(after: at)...]), in: points)
        }
        let digits = text.lowercased()
        let found = points.filter { $0.record.identifier.hexadecimal.hasPrefix(digits) }
        guard digits.count >= shortestPrefix || found.isEmpty else {
            throw CommandFailure(
                .usage, "\(text) is too short; give at least \(shortestPrefix) digits of the point's id")
        }
        switch found.count {
        case 1: return found[0]
        case 0:
            throw CommandFailure(
                .failed, "there is no restore point \(Console.printable(text)); `dozo points` lists them")
        default:
            let list = found.prefix(8).map(describe).joined(separator: ", ")
            throw CommandFailure(.failed, "\(text) is the beginning of several points: \(list)")
        }
    }

    private static func find(guest: String, time: String, in points: [RestorePoint]) throws -> RestorePoint {
        let candidates = try ofGuest(guest, in: points)
        if time == "latest" { return latest(of: candidates) }
        let chosen: [RestorePoint]
        do {
            guard let instant = TimeText.parse(time) else {
                throw CommandFailure(
                    .usage,
                    "\(Console.printable(time)) is no time; write latest, 2026-11-24, 2026-11-24T23:59, or "
                        + "with Z or +09:00"
                )
            }
            chosen = candidates.filter { $0.record.takenAt <= instant }
        }
        guard let point = chosen.max(by: isEarlier) else {
            throw CommandFailure(
                .failed,
                "\(Console.printable(guest)) has no restore point at or before \(Console.printable(time)); "
                    + "the first is \(candidates.min(by: isEarlier).map(describe) ?? "none")"
            )
        }
        return point
    }

    /// The point that was made last, by the control log's order: no clock has a say in it.
    ///
    /// - Precondition: there is one.
    static func latest(of candidates: [RestorePoint]) -> RestorePoint {
        guard let latest = candidates.max(by: isOlder) else { preconditionFailure("a guest was found by its points") }
        if let later = candidates.max(by: isEarlier), later.record.takenAt > latest.record.takenAt {
            Console.note(
                "note: \(describe(latest)) was made after \(describe(later)), which says a later time: a clock was "
                    + "wrong; name the point by its id to be sure")
        }
        return latest
    }

    /// Whether the left one was made before the right one, by the order of their slots.
    static func isOlder(_ left: RestorePoint, _ right: RestorePoint) -> Bool {
        (left.slot, left.entry) < (right.slot, right.entry)
    }

    /// Points of the guest with this name or id.
    static func ofGuest(_ guest: String, in points: [RestorePoint]) throws -> [RestorePoint] {
        let found = points.filter { $0.record.label == guest || $0.record.guest.hexadecimal == guest }
        let ids = Set(found.map(\.record.guest))
        guard ids.count <= 1 else {
            let list = ids.sorted().map { id in
                let own = found.filter { $0.record.guest == id }
                let host = own.max(by: isOlder).map { ", last from \(Console.printable($0.record.host))" } ?? ""
                return "\(id) (\(Console.count(own.count, "point"))\(host))"
            }
            throw CommandFailure(
                .refused,
                "\(ids.count) guests are called \(Console.printable(guest)); use the id of one: "
                    + "\(list.joined(separator: ", "))"
            )
        }
        guard !found.isEmpty else {
            throw CommandFailure(
                .failed, "there is no guest \(Console.printable(guest)) in this repository; `dozo points` lists them")
        }
        return found
    }

    static func isEarlier(_ left: RestorePoint, _ right: RestorePoint) -> Bool {
        left.record.takenAt == right.record.takenAt
            ? left.slot < right.slot : left.record.takenAt < right.record.takenAt
    }

    /// A point for people: beginning of its id, guest and time.
    static func describe(_ point: RestorePoint) -> String {
        "\(point.record.identifier.hexadecimal.prefix(12)) (\(Console.printable(point.record.label)), "
            + "\(TimeText.local(point.record.takenAt)))"
    }
}
