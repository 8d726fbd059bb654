/// What waits to be sent: messages that are due, and what is held for the digest of the night. A value, within bounds.
package struct NoticeOutbox: Hashable, Sendable {
    /// One message to one target.
    package struct Parcel: Hashable, Sendable {
        /// Its number, which no other parcel had.
        package let number: UInt64
        /// Name of the target.
        package let target: String
        /// What it tells.
        package fileprivate(set) var notices: [Notice]
        /// Whether it is a digest.
        package let isDigest: Bool
        /// When it was put here, nanoseconds since 1970.
        package let since: UInt64
        /// How often the target refused this very message for good.
        package var refusals: Int
        /// Whether it was never tried.
        package var isUntried = true

        /// Whether more may be added.
        fileprivate var isOpen: Bool { !isDigest && isUntried }
    }

    /// How a target that did not take something is treated.
    package struct Trouble: Hashable, Sendable {
        /// Attempts in a row that failed.
        package var attempts: Int
        /// Before this instant it is not tried again.
        package var notBefore: UInt64
    }

    /// How many messages a target may be sent at once, and when that was reckoned.
    package struct Allowance: Hashable, Sendable {
        /// Messages.
        package var count: Int
        /// Nanoseconds since 1970.
        package var instant: UInt64
    }

    /// Messages that a target gets one right after the other, when it is one that people look at…
    package static let mostAtOnce = 20
    /// …and time after which it may get another one, nanoseconds: three minutes. What comes meanwhile goes with it.
    package static let spacing: UInt64 = 180 * 1_000_000_000

    /// Most messages that wait.
    package static let mostParcels = 1024
    /// Most bytes of what waits in messages or is held for a digest, all together.
    package static let mostBytes = 4 << 20
    /// Most bytes of the notices of one message.
    package static let mostParcelBytes = 512 << 10
    /// Most notices of one message; more are counted at its end.
    package static let mostInParcel = 256
    /// How long something is tried to be sent, nanoseconds: a week. What is older is no news any more.
    package static let longestKeeping: UInt64 = 7 * 86_400 * 1_000_000_000
    /// Time to the second attempt, nanoseconds: half a minute. It doubles each time…
    package static let firstPause: UInt64 = 30 * 1_000_000_000
    /// …up to an hour.
    package static let longestPause: UInt64 = 3600 * 1_000_000_000
    /// A message that is refused for good so often is given up, so that it stands in nobody's way.
    package static let mostRefusals = 3

    /// Messages, oldest first.
    package internal(set) var parcels: [Parcel] = []
    /// What is held for digests, by target.
    package internal(set) var held: [String: [Notice]] = [:]
    /// Targets that do not take anything at present.
    package internal(set) var troubles: [String: Trouble] = [:]
    /// Targets that got messages lately.
    package internal(set) var allowances: [String: Allowance] = [:]
    /// Notices that were given up, by target, until a message says so.
    package internal(set) var lost: [String: Int] = [:]
    private var nextNumber: UInt64 = 1

    /// Nothing waits.
    package init() {}

    /// Notices that wait for a target.
    package func waiting(for target: String) -> Int {
        parcels.filter { $0.target == target }.reduce(0) { $0 + $1.notices.count } + (held[target]?.count ?? 0)
    }

    private static func weight(_ notices: some Sequence<Notice>) -> Int { notices.reduce(0) { $0 + $1.weight } }

    /// As many notices from the front as one message takes beside what it has; at least one when it has none.
    private static func piece(of notices: ArraySlice<Notice>, beside: [Notice]) -> ArraySlice<Notice> {
        var (count, bytes) = (beside.count, weight(beside))
        return notices.prefix { notice in
            bytes += notice.weight
            defer { count += 1 }
            return count == 0 || count < mostInParcel && bytes <= mostParcelBytes
        }
    }

    /// Puts a message here. When there is no room, the least urgent and oldest goes, and is counted.
    package mutating func put(_ notices: [Notice], for target: String, isDigest: Bool = false, at now: UInt64) {
        var rest = notices[...]
        // One message for all that comes before the target is tried: five hundred guests that fail are not five hundred
        // messages.
        if !isDigest, let last = parcels.lastIndex(where: { $0.target == target }), parcels[last].isOpen {
            let piece = NoticeOutbox.piece(of: rest, beside: parcels[last].notices)
            parcels[last].notices += piece
            rest = rest.dropFirst(piece.count)
            makeRoom()
        }
        while !rest.isEmpty {
            let piece = Array(NoticeOutbox.piece(of: rest, beside: []))
            rest = rest.dropFirst(piece.count)
            add(
                Parcel(
                    number: nextNumber, target: target, notices: piece, isDigest: isDigest, since: now, refusals: 0))
        }
    }

    private mutating func add(_ parcel: Parcel) {
        parcels.append(parcel)
        nextNumber = max(nextNumber, parcel.number == .max ? .max : parcel.number + 1)
        makeRoom()
    }

    /// Holds notices for a target's digest.
    package mutating func hold(_ notices: [Notice], for target: String) {
        held[target, default: []] += notices
        makeRoom()
    }

    /// Turns what is held into messages.
    ///
    /// - Parameter target: only that one's; `nil` for all.
    package mutating func closeDigests(of target: String? = nil, at now: UInt64) {
        for name in held.keys.sorted() where target == nil || target == name {
            guard let notices = held.removeValue(forKey: name) else { continue }
            // Most urgent first; among equals in the order they came.
            let sorted = notices.enumerated().sorted {
                ($1.element.severity, $0.offset) < ($0.element.severity, $1.offset)
            }
            put(sorted.map(\.element), for: name, isDigest: true, at: now)
        }
    }

    private mutating func makeRoom() {
        while true {
            let inParcels = parcels.reduce(0) { $0 + NoticeOutbox.weight($1.notices) }
            let inHand = held.values.reduce(0) { $0 + NoticeOutbox.weight($1) }
            guard parcels.count > NoticeOutbox.mostParcels || inParcels + inHand > NoticeOutbox.mostBytes else {
                return
            }
            // What is held for a digest is less urgent than what was to go at once; half of the room is its.
            let isTooMuch = parcels.count <= NoticeOutbox.mostParcels && inHand > NoticeOutbox.mostBytes / 2
            if !isTooMuch, let index = parcels.indices.min(by: { urgency(parcels[$0]) < urgency(parcels[$1]) }) {
                let parcel = parcels.remove(at: index)
                lose(parcel.notices.count, for: parcel.target)
            } else if let largest = held.max(by: { ($0.value.count, $1.key) < ($1.value.count, $0.key) })?.key {
                let count = held[largest]?.count ?? 0
                held[largest] = held[largest].map { Array($0.suffix(count / 2)) }
                lose(count - count / 2, for: largest)
            }
        }
    }

    private func urgency(_ parcel: Parcel) -> (NoticeSeverity, UInt64) {
        (parcel.notices.map(\.severity).max() ?? .information, parcel.number)
    }

    mutating func lose(_ count: Int, for target: String) {
        lost[target] = min((lost[target] ?? 0) + count, NoticeOutbox.mostLost)
    }

    private static let mostLost = 1 << 40
}

extension NoticeOutbox {
    /// Messages that are to be tried now, oldest first, of targets that may be tried.
    ///
    /// - Parameter paced: targets that people look at, which are not flooded.
    package func due(at now: UInt64, paced: Set<String>) -> [Parcel] {
        parcels.filter { parcel in
            let earliest = earliest(parcel.target, at: now, isPaced: paced.contains(parcel.target))
            // A clock that went back lets nothing wait longer than the longest pause.
            return earliest <= now || earliest - now > NoticeOutbox.longestPause
        }
    }

    /// Before which instant a target is not tried; 0 when it may be.
    func earliest(_ target: String, at now: UInt64, isPaced: Bool) -> UInt64 {
        var instant = troubles[target]?.notBefore ?? 0
        if isPaced, let allowance = allowance(target, at: now), allowance.count <= 0 {
            instant = max(instant, later(allowance.instant, by: NoticeOutbox.spacing))
        }
        return instant
    }

    /// What a target may be sent, with what time has added; `nil` when nothing was sent lately.
    private func allowance(_ target: String, at now: UInt64) -> Allowance? {
        guard let last = allowances[target], last.instant <= now else { return nil }
        let added = (now - last.instant) / NoticeOutbox.spacing
        guard added < UInt64(NoticeOutbox.mostAtOnce) else { return nil }
        let count = min(last.count + Int(added), NoticeOutbox.mostAtOnce)
        return Allowance(count: count, instant: last.instant + added * NoticeOutbox.spacing)
    }

    /// Notes that a message is being tried: from now on nothing is added to it.
    package mutating func trying(_ parcel: Parcel) {
        guard let index = parcels.firstIndex(where: { $0.number == parcel.number }) else { return }
        parcels[index].isUntried = false
    }

    /// Notes that a message was delivered.
    package mutating func delivered(_ parcel: Parcel, at now: UInt64) {
        parcels.removeAll { $0.number == parcel.number }
        var allowance = allowance(parcel.target, at: now) ?? Allowance(count: NoticeOutbox.mostAtOnce, instant: now)
        allowance.count = max(0, allowance.count - 1)
        allowances[parcel.target] = allowance
        troubles[parcel.target] = nil
        lost[parcel.target] = nil
    }

    /// Notes that a message was not taken.
    ///
    /// - Parameter isRefusal: whether the target said that it never will, this one.
    package mutating func refused(_ parcel: Parcel, isRefusal: Bool, at now: UInt64) {
        var trouble = troubles[parcel.target] ?? Trouble(attempts: 0, notBefore: 0)
        let pause = NoticeOutbox.firstPause << UInt64(min(trouble.attempts, 7))
        trouble.attempts = min(trouble.attempts + 1, 1000)
        trouble.notBefore = later(now, by: min(pause, NoticeOutbox.longestPause))
        troubles[parcel.target] = trouble
        guard isRefusal, let index = parcels.firstIndex(where: { $0.number == parcel.number }) else { return }
        parcels[index].refusals += 1
        guard parcels[index].refusals >= NoticeOutbox.mostRefusals else { return }
        let refused = parcels.remove(at: index)
        guard refused.notices.count > 1 else { return lose(refused.notices.count, for: parcel.target) }
        // One of them may be what is refused: the halves get one more attempt each, in the place of the whole.
        let middle = refused.notices.count / 2
        let halves = [refused.notices[..<middle], refused.notices[middle...]].map { half in
            defer { nextNumber += 1 }
            return Parcel(
                number: nextNumber, target: refused.target, notices: Array(half), isDigest: refused.isDigest,
                since: refused.since, refusals: NoticeOutbox.mostRefusals - 1, isUntried: false)
        }
        parcels.insert(contentsOf: halves, at: index)
    }

    /// Gives up what has waited too long, and what waits for targets that are gone.
    package mutating func tidy(targets: Set<String>, at now: UInt64) {
        let old = parcels.filter { passed($0.since, now) > NoticeOutbox.longestKeeping }
        for parcel in old { lose(parcel.notices.count, for: parcel.target) }
        let numbers = Set(old.map(\.number))
        parcels.removeAll { numbers.contains($0.number) || !targets.contains($0.target) }
        held = held.filter { targets.contains($0.key) }
        troubles = troubles.filter { targets.contains($0.key) }
        allowances = allowances.filter { targets.contains($0.key) }
        lost = lost.filter { targets.contains($0.key) }
    }

    /// For the state folder.
    var document: JSONDocument {
        func list(_ notices: [Notice]) -> JSONDocument { .list(notices.map(\.document)) }
        return .members(
            (
                "parcels",
                .list(
                    parcels.map { parcel in
                        .members(
                            ("target", .text(parcel.target)), ("notices", list(parcel.notices)),
                            ("digest", .truth(parcel.isDigest)), ("since", .count(parcel.since)),
                            ("refusals", .number(Int64(parcel.refusals))), ("untried", .truth(parcel.isUntried)))
                    })
            ),
            (
                "held",
                .list(
                    held.sorted { $0.key < $1.key }.map {
                        .members(("target", .text($0.key)), ("notices", list($0.value)))
                    })
            ),
            (
                "troubles",
                .list(
                    troubles.sorted { $0.key < $1.key }.map { target, trouble in
                        .members(
                            ("target", .text(target)), ("attempts", .number(Int64(trouble.attempts))),
                            ("not-before", .count(trouble.notBefore)))
                    })
            ),
            (
                "allowances",
                .list(
                    allowances.sorted { $0.key < $1.key }.map { target, allowance in
                        .members(
                            ("target", .text(target)), ("count", .number(Int64(allowance.count))),
                            ("at", .count(allowance.instant)))
                    })
            ),
            (
                "lost",
                .list(
                    lost.sorted { $0.key < $1.key }.map {
                        .members(("target", .text($0.key)), ("count", .number(Int64($0.value))))
                    })
            ))
    }

    /// What was kept; what is not understood of it is passed over, and bounds hold.
    init(document: JSONDocument) {
        func notices(_ entry: JSONDocument) -> [Notice] {
            (entry["notices"]?.elements ?? []).compactMap { Notice(document: $0) }
        }
        for entry in document["parcels"]?.elements ?? [] {
            guard let target = entry["target"]?.text, let since = entry["since"]?.count else { continue }
            let list = notices(entry)
            guard !list.isEmpty else { continue }
            let refusals = Int(clamping: min(max(entry["refusals"]?.number ?? 0, 0), Int64(NoticeOutbox.mostRefusals)))
            add(
                Parcel(
                    number: nextNumber, target: target, notices: Array(NoticeOutbox.piece(of: list[...], beside: [])),
                    isDigest: entry["digest"]?.truth ?? false, since: since, refusals: refusals,
                    isUntried: entry["untried"]?.truth ?? false))
        }
        for entry in document["held"]?.elements ?? [] {
            guard let target = entry["target"]?.text else { continue }
            let list = notices(entry)
            if !list.isEmpty { hold(list, for: target) }
        }
        for entry in document["troubles"]?.elements ?? [] {
            guard let target = entry["target"]?.text, let attempts = entry["attempts"]?.number,
                let notBefore = entry["not-before"]?.count, troubles.count < NoticeOutbox.mostParcels
            else { continue }
            troubles[target] = Trouble(attempts: Int(min(max(attempts, 0), 1000)), notBefore: notBefore)
        }
        for entry in document["allowances"]?.elements ?? [] {
            guard let target = entry["target"]?.text, let count = entry["count"]?.number,
                let instant = entry["at"]?.count,
                allowances.count < NoticeOutbox.mostParcels
            else { continue }
            allowances[target] = Allowance(
                count: Int(min(max(count, 0), Int64(NoticeOutbox.mostAtOnce))), instant: instant)
        }
        for entry in document["lost"]?.elements ?? [] {
            guard let target = entry["target"]?.text, let count = entry["count"]?.number,
                lost.count < NoticeOutbox.mostParcels
            else { continue }
            lost[target] = Int(min(max(count, 0), Int64(NoticeOutbox.mostLost)))
        }
    }
}
