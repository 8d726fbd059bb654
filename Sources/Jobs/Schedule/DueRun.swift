/// A run that is due, and its place in the queue: by the number of its tier, then by how long it has waited, then by
/// name, so that every host that asks gets the same order.
package struct DueRun: Hashable, Comparable, Sendable {
    /// The number of the guest's tier, 1 being the first to be run.
    package let tier: Int
    /// When it was due, in seconds since 1970.
    package let due: Int
    /// The guest's name.
    package let guest: String
    /// The policy's name.
    package let policy: String

    /// A run.
    package init(tier: Int, due: Int, guest: String, policy: String) {
        self.tier = tier
        self.due = due
        self.guest = guest
        self.policy = policy
    }

    package static func < (left: DueRun, right: DueRun) -> Bool {
        (left.tier, left.due, left.guest, left.policy) < (right.tier, right.due, right.guest, right.policy)
    }
}
