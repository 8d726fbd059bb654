import BackupModel
import RepositoryFormat

/// The packs that an index knows, by small numbers, and what is known of each.
struct PackTable {
    /// Whether a pack was looked for.
    enum Presence: UInt8 {
        case unknown, there, gone
    }

    struct Facts {
        /// Its key.
        let key: ObjectKey
        /// Size in bytes as its writer stated it; 0 when nobody did.
        var byteCount: UInt64 = 0
        /// Whether it counts.
        var isLive = false
        /// Whether it is there with that size.
        var presence = Presence.unknown
    }

    private var numbers: [ObjectKey: UInt32] = [:]
    private(set) var facts: [Facts] = []

    mutating func reserve(_ count: Int) {
        numbers.reserveCapacity(count)
        facts.reserveCapacity(count)
    }

    /// The number of a pack, a new one for a pack that was not known.
    mutating func number(of key: ObjectKey) -> UInt32 {
        if let number = numbers[key] { return number }
        let number = UInt32(facts.count)
        numbers[key] = number
        facts.append(Facts(key: key))
        return number
    }

    subscript(number: UInt32) -> Facts {
        get { facts[Int(number)] }
        set { facts[Int(number)] = newValue }
    }

    /// The number of a pack that is known; `nil` of one that is not.
    func known(_ key: ObjectKey) -> UInt32? { numbers[key] }
}
