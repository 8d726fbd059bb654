import BackupModel
import ChunkEncryption
import RepositoryFormat

/// Compares what slots and entries say to have seen with what the store shows (format page §11).
struct HeadsComparison {
    let log: ControlLog
    let sessions: [ReadSession]
    let chain: OwnerChain

    /// What is known to exist and is not shown, each object once.
    func hidden(_ access: ObjectAccess) async throws -> [RepositoryFinding] {
        var findings: [String: RepositoryFinding] = [:]
        func note(_ object: String, seenBy witness: String) {
            guard findings[object] == nil else { return }
            findings[object] = RepositoryFinding(
                object: object,
                sentence: "\(object) is known to exist and is not shown as it was seen by \(witness): the store hides "
                    + "it, lost it or went back to an earlier state")
        }
        let places = Dictionary(uniqueKeysWithValues: log.slots.map { ($0.slot, $0) })
        let horizon = log.takenOver
        let read = Dictionary(uniqueKeysWithValues: sessions.map { ($0.name, $0) })
        let revoked = Set(chain.revocations.keys.map(WriterID.init(fingerprint:)))
        var (comparedSlots, compared) = (Set<LogHead>(), Set<SessionHead>())
        for (witness, heads) in witnesses {
            let owner = OwnerHead(number: heads.owner.number, hash: heads.owner.hash)
            if chain.refusal(remembering: owner) != nil, try await !isGrowing(access) {
                note(OwnerStatement.name(owner.number), seenBy: witness)
            }
            if let head = heads.log, comparedSlots.insert(head).inserted,
                head.slot.incarnation == log.identity.incarnation,
                places[head.slot].map({ $0.hash != head.hash && !$0.isSpoiled }) ?? true,
                try await !hasCome(ObjectPaths.slot(head.slot), head.hash, access)
            {
                note(ObjectPaths.slot(head.slot), seenBy: witness)
            }
            for head in heads.sessions where compared.insert(head).inserted {
                let name = SessionName(writer: head.writer, session: head.session)
                guard !horizon.contains(name), read[name]?.shows(head) != true else { continue }
                // What a revocation does not accept is not read at all.
                if read[name] == nil, revoked.contains(head.writer) { continue }
                if try await hasCome(name.entry(head.number), head.hash, access) { continue }
                note(name.entry(head.number), seenBy: witness)
            }
        }
        return findings.values.sorted { $0.object < $1.object }
    }

    private var witnesses: [(String, Heads)] {
        var witnesses: [(String, Heads)] = []
        for slot in log.slots where !isRevoked(slot.signer) {
            if let heads = slot.content?.heads { witnesses.append((ObjectPaths.slot(slot.slot), heads)) }
        }
        for session in sessions where !isRevoked(session.signer) {
            for entry in session.entries { witnesses.append((session.name.entry(entry.number), entry.heads)) }
        }
        return witnesses
    }

    /// A thief may have named what never was before the owner noticed.
    private func isRevoked(_ signer: Hash256?) -> Bool { signer.map { chain.revocations[$0] != nil } ?? false }

    /// Whether what a witness saw is there now: it may have come, and the witness's word behind it, while this look
    /// went on; then the look is of a moment before.
    private func hasCome(_ name: String, _ hash: Hash256, _ access: ObjectAccess) async throws -> Bool {
        try await access.look(name).readable.map { SecureHash.sha256($0) == hash } ?? false
    }

    /// Whether the owner has said more since the chain was read.
    private func isGrowing(_ access: ObjectAccess) async throws -> Bool {
        try await access.bytes(chain.nextName) != nil
    }
}

extension ReadSession {
    /// Whether an entry that somebody saw is there, or its place is spoiled and told of already.
    fileprivate func shows(_ head: SessionHead) -> Bool {
        if let entry = entries.first(where: { $0.number == head.number }) { return entry.hash == head.hash }
        return spoiled.contains { $0.number == head.number } || head.number < next
    }
}
