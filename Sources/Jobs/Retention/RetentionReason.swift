package import BackupModel

/// Why a point is kept.
package enum RetentionReason: Hashable, Sendable {
    /// It is the newest point of its guest, or the newest of those whose date is not believed; these are
    /// never removed.
    case newest
    /// It is one of the last so many: its number, from 1, of how many.
    case last(number: Int, of: Int)
    /// It is the newest of a period: the period's name, its number, from 1, of how many.
    case period(RetentionPeriod, name: String, number: Int, of: Int)
    /// It has a tag that is kept.
    case tag(String)
    /// It is one of the last so many that were verified.
    case verified(number: Int, of: Int)
    /// Somebody holds it.
    case held
    /// Somebody has taken back that it was forgotten.
    case takenBack
    /// It is locked until then: nanoseconds since 1970.
    case locked(until: UInt64)
    /// Another copy needs it, for the reason.
    case copy(String)
    /// Its date lies ahead of the clock and nobody else has seen it: not decided while that is so.
    case ahead
    /// Another writer says that it saw the point a day and more before its date: not decided while that stands.
    case disputed
    /// Several records have its id: forgetting one would forget all.
    case twice
}

/// Why a rule does not keep a point. Rules that count nothing are not mentioned.
package enum RetentionMiss: Hashable, Sendable {
    /// It is not among the last so many: its number, from 1, of how many.
    case last(number: Int, of: Int)
    /// A newer point of the same period is kept for it: the period's name and that point.
    case newerInPeriod(RetentionPeriod, name: String, newer: PointID)
    /// So many newer periods have a point already: the name of its own.
    case periodsFull(RetentionPeriod, name: String, of: Int)
    /// It was not verified.
    case unverified
    /// It is not among the last so many that were verified.
    case verified(number: Int, of: Int)
    /// It has none of the tags that are kept.
    case tags
    /// It was locked until then, and that is over: nanoseconds since 1970.
    case lockExpired(at: UInt64)
}

extension RetentionReason {
    /// Whether a rule of a policy keeps it, rather than something that no policy has a say in.
    package var isOfRule: Bool {
        switch self {
        case .last, .period, .tag, .verified: true
        case .newest, .held, .takenBack, .locked, .copy, .ahead, .disputed, .twice: false
        }
    }
}

extension RetentionReason: CustomStringConvertible {
    /// As it stands behind a point in `prune --dry-run`; locks give their time in UTC seconds since 1970.
    package var description: String {
        switch self {
        case .newest: "the newest of its guest"
        case .last(let number, let count): "number \(number) of the last \(count)"
        case .period(let period, let name, let number, let count):
            "the newest of \(period.rawValue) \(name), \(number) of \(count)"
        case .tag(let tag): "tag \(tag)"
        case .verified(let number, let count): "number \(number) of the last \(count) verified"
        case .held: "held"
        case .takenBack: "its forgetting was taken back"
        case .locked(let until): "locked until \(until / 1_000_000_000)"
        case .copy(let reason): "needed by \(reason)"
        case .ahead: "its date lies ahead of this clock and nobody else has seen it; look at the clocks"
        case .disputed:
            "another host saw it more than a day before its date; look at the clocks, or revoke the one that lies"
        case .twice: "several records have its id; forget it by hand when all of them shall go"
        }
    }
}

extension RetentionMiss: CustomStringConvertible {
    /// As it stands behind a point that nothing keeps.
    package var description: String {
        switch self {
        case .last(let number, let count): "number \(number), and the last \(count) are kept"
        case .newerInPeriod(let period, let name, let newer): "\(newer) is newer in \(period.rawValue) \(name)"
        case .periodsFull(let period, let name, let count):
            "\(period.rawValue) \(name) is older than the last \(count) with a point"
        case .unverified: "not verified"
        case .verified(let number, let count): "number \(number) of the verified, and the last \(count) are kept"
        case .tags: "without a tag that is kept"
        case .lockExpired(let time): "its lock ended at \(time / 1_000_000_000)"
        }
    }
}
