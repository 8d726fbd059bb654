/// How a ``MemoryStore`` misbehaves: each chance is in 256 of one call, and 0 by default.
package struct StoreFaults: Hashable, Sendable {
    /// A call fails and did nothing.
    package var failureBefore: UInt8 = 0
    /// A put or delete fails and was carried out all the same.
    package var failureAfter: UInt8 = 0
    /// A put answers ``PutAnswer/unknown(_:)`` and did nothing.
    package var answerLostBefore: UInt8 = 0
    /// A put answers ``PutAnswer/unknown(_:)`` and was carried out.
    package var answerLostAfter: UInt8 = 0
    /// A put answers ``PutAnswer/unknown(_:)`` and is carried out at some later time, or never.
    package var arrivalDelayed: UInt8 = 0
    /// Each name put or deleted lately is missing from a listing, or still shown by it.
    package var listingLag: UInt8 = 0

    /// No fault.
    package init() {}

    /// No fault.
    package static let none = StoreFaults()
}
