package import BackupModel
package import RepositoryFormat

/// A repository as the catalog knows it.
package struct CatalogRepository: Hashable, Sendable {
    /// Which repository.
    package let identifier: RepositoryID
    /// Fingerprint of the owner's key.
    package let owner: Hash256
    /// The store it was last read from.
    package let store: StoreID
    /// How many points it has, ids counted once.
    package let pointCount: Int
    /// Whether reading it left remarks, see ``CatalogReader/notes(in:)``.
    package let noteCount: Int
}

/// A restore point as the catalog knows it.
package struct CatalogPoint: Hashable, Sendable {
    /// Which repository.
    package let repository: RepositoryID
    /// What its record says. A number beyond 2^63−1 is given as that, and a NUL in a text as U+2400.
    package let record: RestorePointRecord
    /// Who made it.
    package let writer: WriterID
    /// In which session.
    package let session: SessionID
    /// In which entry of the session.
    package let entry: UInt32
    /// Whether other things were said under the same id; each of them is an element of the list.
    package let isConflicting: Bool
}

/// A guest as the catalog knows it.
package struct CatalogGuest: Hashable, Sendable {
    /// Which repository.
    package let repository: RepositoryID
    /// Which guest.
    package let identifier: GuestID
    /// What its newest point, by the log, calls it; `nil` when it was named in an enrolment and has no point.
    package let label: String?
    /// How many points it has, ids counted once.
    package let pointCount: Int
    /// Latest instant of its points: nanoseconds since 1970, UTC; `nil` without points.
    package let latestTakenAt: UInt64?
}

/// A key that may sign, as the catalog knows it.
package struct CatalogWriter: Hashable, Sendable {
    /// Which repository.
    package let repository: RepositoryID
    /// Name of the writer in paths.
    package let identifier: WriterID
    /// Fingerprint of the key.
    package let key: Hash256
    /// `owner`, `maintainer` or `writer`.
    package let role: Role
    /// What people call it.
    package let label: String
    /// The guests it may write; `nil` for all.
    package let guests: [GuestID]?
    /// Whether the owner revoked it, wholly or from some outcome on.
    package let isRevoked: Bool
    /// How many points it made, ids counted once.
    package let pointCount: Int
}

/// The backup run behind a restore point.
package struct CatalogRun: Hashable, Sendable {
    /// The point it made.
    package let point: CatalogPoint

    /// When it began: nanoseconds since 1970, UTC.
    package var startedAt: UInt64 { point.record.startedAt }
    /// When it ended; before it began when somebody set the clock.
    package var endedAt: UInt64 { point.record.endedAt }
    /// Bytes read, changed, new and stored.
    package var volume: RestorePointRecord.Volume { point.record.volume }
    /// The host that read the guest.
    package var host: String { point.record.host }
    /// Program and version.
    package var tool: String { point.record.tool }
    /// Label of the writer's key.
    package let writerLabel: String
}
