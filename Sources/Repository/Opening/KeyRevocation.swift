package import BackupModel
package import RepositoryFormat

/// What taking a key's word away comes to, before it is said.
package struct KeyRevocation: Sendable {
    /// How far a key is believed from now on.
    package enum Extent: Sendable {
        /// All that it has signed until now.
        case untilNow
        /// All that it has signed until it made this point.
        case until(RestorePoint)
        /// Nothing at all.
        case nothing
    }

    /// The statement.
    package let revocation: Revocation
    /// Points of the key that stay.
    package let kept: [RestorePoint]
    /// Points of the key that are void then.
    package let void: [RestorePoint]

    /// Works out what to state.
    ///
    /// Every session that could still grow is named with its last entry that is accepted: a thief who has the key can
    /// add nothing to it.
    ///
    /// - Parameters:
    ///   - withdraws: hash of an earlier revocation of the key that is taken back.
    ///   - view: for a withdrawal, and where another revocation of the key waits, what ``OpenRepository/showing(_:)``
    ///     gives.
    /// - Throws: ``RepositoryError``, `refused`: more sessions of the key are open than one statement names, or an
    ///   epoch that the key has closed would be open again.
    package init(of key: Hash256, extent: Extent, withdraws: Hash256? = nil, view: RepositoryView) throws {
        let sessions = view.sessions.filter { $0.signer == key }
        let last: LogHead?
        switch extent {
        case .untilNow: last = KeyRevocation.lastSlot(of: key, view)
        case .until(let point): last = sessions.first { $0.session == point.session }?.slot
        case .nothing: last = nil
        }
        var accepted: [SessionEntryReference] = []
        if let last {
            for session in sessions where session.slot.slot <= last.slot {
                var end = session.entries.last
                if case .until(let point) = extent, point.session == session.session {
                    end = session.entries.first { $0.number == point.entry }
                } else if session.hasEnded {
                    continue
                }
                accepted.append(
                    SessionEntryReference(
                        session: session.session, number: end?.number ?? 0, hash: end?.hash ?? KeyRevocation.noEntry))
            }
            // A slot whose session has no entry yet is not among the sessions read, or has none.
            let named = Set(sessions.map(\.session))
            for slot in view.log.slots + view.regained where slot.signer == key && slot.slot <= last.slot {
                guard case .open(let session, _)? = slot.content?.claim, !named.contains(session) else { continue }
                accepted.append(SessionEntryReference(session: session, number: 0, hash: KeyRevocation.noEntry))
            }
        }
        guard accepted.count <= FormatLimits.headCount else {
            throw RepositoryError(
                .refused,
                "\(accepted.count) sessions of the key are open, and a revocation names \(FormatLimits.headCount) at "
                    + "most; run one backup of that host, which ends them, or take back everything it made")
        }
        let revocation = Revocation(key: key, slot: last, sessions: accepted, withdraws: withdraws)
        try KeyRevocation.refuseLostClose(revocation, view)
        self.revocation = revocation
        let writer = WriterID(fingerprint: key)
        var kept: [RestorePoint] = []
        var void: [RestorePoint] = []
        for point in view.points where point.writer == writer {
            let session = sessions.first { $0.session == point.session }
            let entry = session?.entries.first { $0.number == point.entry }
            let isKept =
                if let session, let entry {
                    revocation.accepts(
                        SessionEntryReference(session: point.session, number: point.entry, hash: entry.hash),
                        under: session.slot)
                } else { false }
            if isKept { kept.append(point) } else { void.append(point) }
        }
        self.kept = kept
        self.void = void
    }

    /// Behind a close that is void nothing can be read any more: it would count as lost.
    private static func refuseLostClose(_ revocation: Revocation, _ view: RepositoryView) throws {
        for slot in view.log.slots where slot.signer == revocation.key && slot.content?.closesEpoch ?? false {
            guard let hash = slot.hash, !revocation.accepts(LogHead(slot: slot.slot, hash: hash)) else { continue }
            throw RepositoryError(
                .refused,
                "the key has closed an epoch of this repository by \(ObjectPaths.slot(slot.slot)), and nothing behind "
                    + "that could be read any more: revoke the key without --nothing, which leaves what it signed"
            )
        }
    }

    /// Names no entry: the hash of none is all zero.
    private static let noEntry: Hash256 = {
        guard let hash = Hash256(bytes: [UInt8](repeating: 0, count: Hash256.byteCount)) else {
            preconditionFailure("32 bytes make a hash")
        }
        return hash
    }()

    private static func lastSlot(of key: Hash256, _ view: RepositoryView) -> LogHead? {
        let slots = (view.log.slots + view.regained).filter { $0.signer == key }.compactMap { slot in
            slot.hash.map { LogHead(slot: slot.slot, hash: $0) }
        }
        let found = view.sessions.filter { $0.signer == key }.map(\.slot)
        return (slots + found).max { $0.slot < $1.slot }
    }
}
