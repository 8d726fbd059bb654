/// What the holder of a credential may do (format page §4). The texts are published and frozen.
package enum Role: String, CaseIterable, Sendable {
    /// Holds everything and the owner signing key: enrols, revokes, adds slots.
    case owner
    /// Opens everything, writes nothing: restores.
    case reader
    /// Opens structure, never a guest byte: lists, marks, sweeps, replicates.
    case maintainer
    /// Opens structure and signs approvals, and nothing else that counts: enrolled as a writer of no guest.
    case approver
    /// Appends and dedups, opens nothing old.
    case writer
    /// Holds no key: checks that what was named is there and undamaged.
    case verifier

    /// Whether the role signs objects, and so holds a signing seed.
    package var signs: Bool {
        switch self {
        case .owner, .maintainer, .approver, .writer: true
        case .reader, .verifier: false
        }
    }

    /// Whether the role may sign `close`, `fenced` and ledgers.
    package var closesEpochs: Bool { self == .owner || self == .maintainer }

    /// Whether the owner chain can enrol a key for the role.
    package var canBeEnrolled: Bool { self == .maintainer || self == .writer }

    /// The secrets of a domain that the role holds: these and no others.
    package var holdings: Set<DomainSecrets.Kind> {
        switch self {
        case .owner: Set(DomainSecrets.Kind.allCases)
        case .reader: [.identity, .structureIdentity, .index, .preShared, .contentPrivate, .structurePrivate]
        case .maintainer, .approver: [.structureIdentity, .index, .preShared, .structurePrivate]
        case .writer: [.identity, .structureIdentity, .boundary, .index, .preShared]
        case .verifier: []
        }
    }
}
