package import BackupModel
import ChunkEncryption
package import Repository
package import RepositoryFormat

/// What the catalog says of one repository, as plain values: made from a view, or by a test.
///
/// The order of the lists means nothing.
package struct CatalogFacts: Hashable, Sendable {
    /// A key that may sign.
    package struct Writer: Hashable, Sendable {
        /// Fingerprint of the key.
        package var key: Hash256
        /// `owner`, `maintainer` or `writer`.
        package var role: Role
        /// The dedup domain; `nil` for the owner alone.
        package var domain: UInt32?
        /// What people call it.
        package var label: String
        /// Number of the owner's statement that enrols it; 0 for the owner.
        package var statement: UInt32
        /// The guests it may write; `nil` for all.
        package var guests: [GuestID]?
        /// Whether it was revoked, wholly or from some outcome on.
        package var isRevoked: Bool

        /// A writer from its fields.
        package init(
            key: Hash256, role: Role, domain: UInt32?, label: String, statement: UInt32, guests: [GuestID]? = nil,
            isRevoked: Bool = false
        ) {
            self.key = key
            self.role = role
            self.domain = domain
            self.label = label
            self.statement = statement
            self.guests = guests
            self.isRevoked = isRevoked
        }
    }

    /// A session and how far it is.
    package struct Session: Hashable, Sendable {
        /// How a session stands. The texts are published and frozen.
        package enum State: String, CaseIterable, Sendable {
            /// More may follow.
            case open
            /// Its writer stated the end.
            case ended
            /// Its writer gave it up.
            case abandoned
            /// A sweep ended it.
            case fenced
        }

        /// Which session.
        package var identifier: SessionID
        /// Fingerprint of its writer's key.
        package var signer: Hash256
        /// The slot that opened it.
        package var slot: SlotNumber
        /// Number of its entries.
        package var entryCount: UInt32
        /// See ``State``.
        package var state: State

        /// A session from its fields.
        package init(
            identifier: SessionID, signer: Hash256, slot: SlotNumber, entryCount: UInt32, state: State
        ) {
            self.identifier = identifier
            self.signer = signer
            self.slot = slot
            self.entryCount = entryCount
            self.state = state
        }
    }

    /// What a record says of a restore point, and where it stands.
    package struct Point: Hashable, Sendable {
        /// What the record says.
        package var record: RestorePointRecord
        /// Which session made it.
        package var session: SessionID
        /// Which entry of the session.
        package var entry: UInt32

        /// A point from its fields.
        package init(record: RestorePointRecord, session: SessionID, entry: UInt32) {
            self.record = record
            self.session = session
            self.entry = entry
        }
    }

    /// Which repository.
    package var repository: RepositoryID
    /// Fingerprint of the owner's key.
    package var owner: Hash256
    /// Number of the last statement of the owner chain.
    package var ownerStatement: UInt32
    /// The store it was read from.
    package var store: StoreID
    /// Incarnation of that store.
    package var incarnation: UInt32
    /// Last slot of the control log; `nil` before the first.
    package var logHead: SlotNumber?
    /// Who may sign, the owner among them; no key twice.
    package var writers: [Writer] = []
    /// The sessions; none twice.
    package var sessions: [Session] = []
    /// The points that count.
    package var points: [Point] = []
    /// What was void, damaged or unknown, one sentence each.
    package var notes: [String] = []

    /// The facts of a repository in which nothing was written yet.
    package init(
        repository: RepositoryID, owner: Hash256, ownerStatement: UInt32, store: StoreID, incarnation: UInt32,
        logHead: SlotNumber?
    ) {
        self.repository = repository
        self.owner = owner
        self.ownerStatement = ownerStatement
        self.store = store
        self.incarnation = incarnation
        self.logHead = logHead
    }

    /// The facts of a repository that was read.
    ///
    /// - Parameter chain: the owner chain of the same repository.
    /// - Throws: ``CatalogError``, `roleLacksKey`, when the view shows no points for want of the key: to project it
    ///   would empty the catalog.
    package init(view: RepositoryView, chain: OwnerChain) throws {
        guard view.showsPoints else { throw CatalogError.roleLacksKey }
        let identity = view.log.identity
        precondition(identity.repository == chain.repository, "view and owner chain are of one repository")
        let owner = chain.owner.fingerprint
        self.init(
            repository: chain.repository, owner: owner, ownerStatement: chain.head.number, store: identity.store,
            incarnation: identity.incarnation, logHead: view.log.head?.slot)
        writers = (chain.enrolments.keys + [owner]).compactMap { key in
            chain.signer(key).map { Writer(key: key, $0, isRevoked: chain.revocations[key] != nil) }
        }
        sessions = view.sessions.map { session in
            Session(
                identifier: session.session, signer: session.signer, slot: session.slot.slot,
                entryCount: UInt32(session.entries.count), state: Session.State(session))
        }
        points = view.points.map { Point(record: $0.record, session: $0.session, entry: $0.entry) }
        notes = view.notes
    }
}

extension CatalogFacts.Writer {
    fileprivate init(key: Hash256, _ enrolment: Enrolment, isRevoked: Bool) {
        self.init(
            key: key, role: enrolment.role, domain: enrolment.domain, label: enrolment.label,
            statement: enrolment.statement, guests: enrolment.guests, isRevoked: isRevoked)
    }
}

extension CatalogFacts.Session.State {
    fileprivate init(_ session: ReadSession) {
        switch session.entries.last?.action {
        case .abandon: self = .abandoned
        case .fenced: self = .fenced
        case .checkpoint, .commit, nil: self = session.hasEnded ? .ended : .open
        }
    }
}
