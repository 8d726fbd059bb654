import BackupModel
import Effects
import RepositoryFormat

/// Sessions of this host that are dead for certain, each held by its lock: nobody else of this host ends them or takes
/// their packs over as long as the locks are held. What lives is none of them, and stays as it is.
struct DeadSessions {
    /// Sessions whose packs one session takes over; those of more wait for the next.
    static let adoptionLimit = 256

    /// Those whose end no slot states yet, as many as one slot states.
    private(set) var unstated: [ReadSession] = []
    /// Those that finished packs which nobody may have named, by their ids.
    private(set) var withPacks: [(session: SessionID, packs: [HostState.FinishedPack])] = []
    /// What says that they are dead.
    private(set) var locks: [any HeldLock] = []

    /// Takes over what is dead.
    ///
    /// - Parameters:
    ///   - view: read before; whatever of this host stands in it has held its lock since before it was claimed.
    ///   - signer: fingerprint of the host's key.
    ///   - own: the session that begins.
    /// - Throws: ``RepositoryError``, `storage`.
    init(_ view: RepositoryView, state: HostState, signer: Hash256, besides own: SessionID) throws {
        var held = Set<SessionID>()
        func takeOver(_ session: SessionID, _ locks: inout [any HeldLock]) throws -> Bool {
            if held.contains(session) { return true }
            guard let lock = try state.takeOver(session) else { return false }
            held.insert(session)
            locks.append(lock)
            return true
        }
        var stated = Set<SessionID>()
        for slot in view.log.slots where slot.signer == signer {
            stated.formUnion(slot.content?.ended.map(\.session) ?? [])
        }
        for session in view.sessions where session.signer == signer && !stated.contains(session.session) {
            guard unstated.count < WritingSession.statedEndLimit else { break }
            if try takeOver(session.session, &locks) { unstated.append(session) }
        }
        for session in try state.begunSessions().sorted() where session != own {
            guard withPacks.count < DeadSessions.adoptionLimit else { break }
            // Most have none. Of one that has, the list is read again when nobody adds to it any more.
            guard try !state.finishedPacks(in: session).isEmpty, try takeOver(session, &locks) else { continue }
            let packs = try state.finishedPacks(in: session)
            if !packs.isEmpty { withPacks.append((session, packs)) }
        }
    }
}
