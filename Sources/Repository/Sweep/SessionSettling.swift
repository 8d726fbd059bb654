import BackupModel
import Effects
import ObjectStorage
import RepositoryFormat

/// Ends sessions from outside (format page §12 (1)): one put-if-absent decides between the session's own next entry and
/// `fenced`.
struct SessionSettling {
    let repository: OpenRepository
    let signer: MaintainerKey
    let recipient: DomainRecipient
    let randomness: Randomness

    /// Puts `fenced` behind the last entry of a session, and reads on until it has ended.
    func fence(_ session: ReadSession, log: ControlLog, view: RepositoryView) async throws -> ReadSession {
        var session = session
        let end = SessionChainReader.StatedEnds(log)[session.name]
        while !session.hasEnded {
            let draft = SessionEntry.Draft(
                writer: session.writer, session: session.session, number: session.next, previous: session.lastHash,
                slot: session.slot.slot, action: .fenced, heads: repository.heads(view), inventory: Inventory(),
                records: [])
            let object = try SessionEntry.compose(
                draft, recipient: recipient, signer: signer.key, randomness: randomness)
            switch try await repository.access.put(session.name.entry(session.next), object.bytes) {
            case .mine: session.take(object.bytes, end: end, chain: repository.chain)
            case .theirs(let winner): session.take(winner, end: end, chain: repository.chain)
            case .unknown: preconditionFailure("a put is asked about until it is decided")
            }
            if let spoiled = session.spoiled.last {
                throw RepositoryError(
                    .refused,
                    "\(session.name.entry(spoiled.number)) holds what nobody may say; `dozo verify` says more. Nothing "
                        + "was deleted")
            }
        }
        return session
    }
}
