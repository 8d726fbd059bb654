import BackupModel
import ChunkEncryption
import Effects
import ObjectStorage
import RepositoryFormat

/// Claims a slot of the control log: one put-if-absent decides, and whoever loses reads the winner first (design §4.7).
struct SlotClaim {
    /// Slots lost to others before claiming is given up.
    static let attemptLimit = 10_000

    let repository: OpenRepository
    let signer: SigningKey
    /// The sessions read so far: their first entries say what spoiled slots were.
    let sessions: [ReadSession]

    /// Claims the next free slot for a session.
    ///
    /// - Parameters:
    ///   - log: read to its end; afterwards read up to and with the claimed slot.
    ///   - ended: sessions of this writer whose ends no slot states yet.
    /// - Returns: the slot and its hash.
    func open(
        session: SessionID, bases: [PointID], ended: [LogSlot.Ended], heads: Heads, log: inout ControlLog
    ) async throws -> LogHead {
        try await claim(.open(session, bases: bases), ended: ended, heads: heads, log: &log)
    }

    /// Claims the next free slot for anything but a close, which fits only behind what its composer has read.
    func claim(
        _ claim: LogSlot.Claim, ended: [LogSlot.Ended] = [], heads: Heads, log: inout ControlLog
    ) async throws -> LogHead {
        for _ in 0..<SlotClaim.attemptLimit {
            if let slot = try await attempt(claim, ended: ended, heads: heads, log: &log) { return slot }
        }
        throw RepositoryError(
            .storage, "\(SlotClaim.attemptLimit) others were faster at the control log; run the backup again", .retry)
    }

    /// Tries the next slot, once.
    ///
    /// - Parameter log: read to its end; afterwards read up to and with that slot, whoever won it.
    /// - Returns: the slot and its hash; `nil` when somebody else won it.
    func attempt(
        _ claim: LogSlot.Claim, ended: [LogSlot.Ended] = [], heads: Heads, log: inout ControlLog
    ) async throws -> LogHead? {
        let object = slotObject(claim: claim, ended: ended, heads: heads, log: log)
        let slot = log.next
        switch try await repository.access.put(ObjectPaths.slot(slot), object.bytes) {
        case .mine:
            try await log.take(object.bytes, repository.access, chain: repository.chain)
            if let reason = log.slots.last?.complaint {
                throw RepositoryError(.refused, "this host may not write into the repository: \(reason)")
            }
            return LogHead(slot: slot, hash: object.hash)
        case .theirs(let winner):
            try await log.take(winner, repository.access, chain: repository.chain)
            return nil
        case .unknown: preconditionFailure("a put is asked about until it is decided")
        }
    }

    private func slotObject(
        claim: LogSlot.Claim, ended: [LogSlot.Ended], heads: Heads, log: ControlLog
    ) -> SignedObject {
        let read = log.slots.last { $0.signer == signer.publicKey.fingerprint }
        let known = sessions.last { $0.signer == signer.publicKey.fingerprint }?.slot
        let mine = [read.flatMap { slot in slot.hash.map { LogHead(slot: slot.slot, hash: $0) } }, known]
            .compactMap(\.self).max { $0.slot < $1.slot }
        var heads: Heads? = heads
        while true {
            let content = LogSlot(
                slot: log.next, previous: log.previous(knowing: sessions), claim: claim,
                writerPrevious: mine, ended: ended, heads: heads)
            let object = SignedObject(
                kind: .logSlot, repository: repository.chain.repository, body: content.body, signedBy: signer)
            if object.bytes.count <= FormatLimits.slotByteCount { return object }
            // A slot may leave its heads out; session entries carry them in full.
            precondition(heads != nil, "a slot without heads stays within its limit")
            heads = nil
        }
    }
}
