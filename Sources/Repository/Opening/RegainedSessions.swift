import BackupModel
import RepositoryFormat

// What a revocation that does not hold makes void
// ------------------------------------------------
// Format page §11, "Revocations that wait, and withdrawn ones". The log is read as every program reads it, with all
// revocations: where the slots of a revoked key would decide what comes behind them (closes) they stay void, so that no
// two programs ever see two logs. Besides, the sessions that a revocation alone makes void are read here: for good when
// the owner has withdrawn it before persons approved it, and only to be shown while it waits.

/// Slots and sessions as they are without some revocations.
struct RegainedSessions {
    /// Slots that only those revocations make void; no close is among them.
    let slots: [ReadSlot]
    /// All sessions, in the order of their slots.
    let sessions: [ReadSession]

    /// - Parameters:
    ///   - sessions: as they are with all revocations.
    ///   - chain: without the revocations.
    init(
        _ log: ControlLog, beside sessions: [ReadSession], _ access: ObjectAccess, chain: OwnerChain
    ) async throws {
        slots = try await log.regained(access, chain: chain)
        var ends = SessionChainReader.StatedEnds(log)
        for slot in slots { ends.take(slot) }
        var seen = Set(sessions.map(\.name))
        var all: [ReadSession] = []
        for session in sessions {
            // What was accepted of it stays; it is read again for what was not.
            let isCut = session.findings.contains(where: \.isRevoked)
            let whole = ReadSession(name: session.name, signer: session.signer, slot: session.slot)
            all.append(
                isCut
                    ? try await SessionChainReader.readOn(whole, end: ends[session.name], access, chain: chain)
                    : session)
        }
        for slot in slots {
            guard case .open(let session, _)? = slot.content?.claim, let signer = slot.signer, let hash = slot.hash
            else { continue }
            let name = SessionName(writer: WriterID(fingerprint: signer), session: session)
            guard seen.insert(name).inserted else { continue }
            let opened = ReadSession(name: name, signer: signer, slot: LogHead(slot: slot.slot, hash: hash))
            all.append(try await SessionChainReader.readOn(opened, end: ends[name], access, chain: chain))
        }
        self.sessions = all.sorted { ($0.slot.slot, $0.session) < ($1.slot.slot, $1.session) }
    }
}

extension OpenRepository {
    /// The same view with what revocations make void that wait for the approval of persons: for whoever lists and
    /// restores, and for nobody who writes, plans or sweeps. ``RepositoryView/doubted`` says which points those are.
    ///
    /// - Throws: ``RepositoryError``, `storage`.
    package func showing(_ view: RepositoryView) async throws -> RepositoryView {
        let doubted = view.said.approvals.doubted
        guard view.showsPoints, !doubted.isEmpty else { return view }
        let trusting = chain.believing(without: doubted.union(view.said.approvals.withdrawn))
        let regained = try await RegainedSessions(view.log, beside: view.sessions, access, chain: trusting)
        let keys = try keys()
        let opened = try await RepositoryView.openedPoints(regained.sessions, chain: chain, keys: keys)
        let unseen = try await HeadsComparison(log: view.log, sessions: regained.sessions, chain: chain).hidden(access)
        var shown = try RepositoryView(
            log: view.log, sessions: regained.sessions, chain: chain, opening: findings, unseen: unseen, keys: keys,
            opened: opened, regained: view.regained + regained.slots)
        shown.doubt(besides: view)
        return shown
    }
}
