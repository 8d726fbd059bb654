/// A dictionary of bounded size that forgets what was neither set nor asked for lately.
///
/// Two halves: when the younger one is full, it becomes the older one and what that held is forgotten. Whoever asks for
/// something forgotten finds out again; nothing may depend on its being there.
package final class RecentMap<Key: Hashable, Value> {
    private let halfLimit: Int
    private var young: [Key: Value] = [:]
    private var old: [Key: Value] = [:]

    /// - Parameter limit: entries that are held at most, at least 2.
    package init(limit: Int) {
        precondition(limit >= 2, "two halves hold an entry each")
        halfLimit = limit / 2
    }

    /// Entries held now.
    package var count: Int { young.count + old.count }

    /// What is remembered of a key; asking keeps it.
    package subscript(key: Key) -> Value? {
        get {
            if let value = young[key] { return value }
            guard let value = old.removeValue(forKey: key) else { return nil }
            insert(value, for: key)
            return value
        }
        set {
            old.removeValue(forKey: key)
            if let newValue { insert(newValue, for: key) } else { young.removeValue(forKey: key) }
        }
    }

    private func insert(_ value: Value, for key: Key) {
        if young.count >= halfLimit {
            // Exchanged, so that both keep the room they have.
            swap(&young, &old)
            young.removeAll(keepingCapacity: true)
        }
        young[key] = value
    }
}
