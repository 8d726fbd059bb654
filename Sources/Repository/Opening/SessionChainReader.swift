package import BackupModel
package import RepositoryFormat

/// A session as it was read: found through its slot, never by a listing (format page §11).
package struct ReadSession: Sendable {
    /// Whose session.
    package let writer: WriterID
    /// Fingerprint of the writer's key.
    package let signer: Hash256
    /// Which session.
    package let session: SessionID
    /// The slot that opened it.
    package let slot: ReadSlot
    /// Its entries from 0 on.
    package fileprivate(set) var entries: [SessionEntry] = []
    /// Whether nothing can follow: it was abandoned or fenced, or its writer stated the end.
    package fileprivate(set) var hasEnded = false
    /// What did not fit, for people.
    package fileprivate(set) var notes: [String] = []

    /// Hash that the next entry names as the one before it.
    package var lastHash: Hash256 { entries.last?.hash ?? slot.hash }
    /// Its last entry as a head; `nil` when it has none.
    package var head: SessionHead? {
        entries.last.map { SessionHead(writer: writer, session: session, number: $0.number, hash: $0.hash) }
    }
}

/// What names a session. Its id alone does not: machines whose random generators repeat draw the same one.
struct SessionName: Hashable {
    let writer: WriterID
    let session: SessionID
}

/// Reads the entries of sessions.
enum SessionChainReader {
    /// Entries that one session may have.
    static let entryLimit: UInt32 = 1_000_000

    /// All sessions that the log's slots opened, with their entries.
    static func sessions(_ log: ControlLog, _ access: ObjectAccess, chain: OwnerChain) async throws -> [ReadSession] {
        let ends = statedEnds(log)
        var sessions: [ReadSession] = []
        var seen = Set<SessionName>()
        for slot in log.slots {
            guard let content = slot.content, let signer = slot.signer, case .open(let session, _) = content.claim
            else { continue }
            // Two slots that open one session come from one identity used twice; the first counts.
            guard seen.insert(SessionName(writer: WriterID(fingerprint: signer), session: session)).inserted else {
                continue
            }
            let opened = ReadSession(
                writer: WriterID(fingerprint: signer), signer: signer, session: session, slot: slot)
            sessions.append(
                try await readOn(opened, end: ends[EndKey(signer: signer, session: session)], access, chain: chain))
        }
        return sessions
    }

    private struct EndKey: Hashable {
        let signer: Hash256
        let session: SessionID
    }

    private static func statedEnds(_ log: ControlLog) -> [EndKey: LogSlot.Ended] {
        var ends: [EndKey: LogSlot.Ended] = [:]
        for slot in log.slots {
            guard let content = slot.content, let signer = slot.signer else { continue }
            for end in content.ended { ends[EndKey(signer: signer, session: end.session)] = end }
        }
        return ends
    }

    /// Reads entries until the store shows no more or the session has ended.
    private static func readOn(
        _ opened: ReadSession, end: LogSlot.Ended?, _ access: ObjectAccess, chain: OwnerChain
    ) async throws -> ReadSession {
        var session = opened
        while !session.hasEnded {
            let number = UInt32(session.entries.count)
            guard number < entryLimit else { break }
            let name = ObjectPaths.sessionEntry(writer: session.writer, session: session.session, number: number)
            guard let bytes = try await access.bytes(name) else {
                guard let end, end.number >= number else { break }
                throw RepositoryError(
                    .refused,
                    "\(name) is known to exist and is not shown: the store hides it, lost it or went back to an "
                        + "earlier state"
                )
            }
            guard try take(bytes, name: name, into: &session, chain: chain) else { break }
            if let end, end.number == number {
                guard session.lastHash == end.hash else {
                    throw RepositoryError(
                        .refused, "\(name) is not the entry that its writer stated as the session's last")
                }
                session.hasEnded = true
            }
        }
        return session
    }

    /// Takes the bytes at the next place of the session. - Returns: whether they continue it.
    private static func take(
        _ bytes: [UInt8], name: String, into session: inout ReadSession, chain: OwnerChain
    ) throws -> Bool {
        do throws(FormatError) {
            let object = try SignedObject(
                parsing: bytes, name: name, kind: .sessionEntry, repository: chain.repository)
            let entry = try SessionEntry(
                object, writer: session.writer, session: session.session, number: UInt32(session.entries.count))
            let signer = object.header.signer
            guard let enrolment = chain.signer(signer), object.isSigned(by: enrolment.key),
                entry.action == .fenced ? enrolment.role.closesEpochs : signer == session.signer
            else { throw .void("\(name) is signed by a key that may not say this") }
            guard entry.previous == session.lastHash, entry.slot == session.slot.slot else {
                throw .misplaced("\(name) does not follow the entry before it")
            }
            let slot = LogHead(slot: entry.slot, hash: session.slot.hash)
            let reference = SessionEntryReference(
                session: entry.session, number: entry.number, hash: entry.hash)
            guard entry.action == .fenced || chain.accepts(reference, under: slot, by: signer) else {
                throw .void("\(name) was signed after its key was revoked")
            }
            session.entries.append(entry)
            session.hasEnded = entry.action == .abandon || entry.action == .fenced
            return true
        } catch {
            // Somebody without the right may have put it there; it is never waited for and never believed. Damage to a
            // true entry looks the same from here, so it is always told.
            session.notes.append(error.sentence)
            return false
        }
    }
}
