import BackupModel
import ChunkEncryption
import RepositoryFormat

/// Finds the sessions whose slots are spoiled (format page §10): by those that name them, and by a listing that only
/// says where to look. What is found must prove by its first entry that an enrolled writer opened it with that slot.
struct SessionSearch {
    let log: ControlLog
    let access: ObjectAccess
    let chain: OwnerChain
    let ends: SessionChainReader.StatedEnds

    /// The sessions that spoiled slots opened, with their entries.
    ///
    /// - Parameter sessions: those that readable slots opened; none of them is a candidate.
    func found(beside sessions: [ReadSession]) async throws -> [ReadSession] {
        var tried = Set(sessions.map(\.name))
        var found: [ReadSession] = []
        var named = Set(ends.names)
        for slot in log.slots { named.formUnion(SessionSearch.names(in: slot.content?.heads)) }
        for session in sessions { named.formUnion(SessionSearch.names(in: session)) }
        // What was found may name more.
        while let name = named.first(where: { !tried.contains($0) }) {
            tried.insert(name)
            guard let session = try await session(name, isNamed: true) else { continue }
            named.formUnion(SessionSearch.names(in: session))
            found.append(session)
        }
        guard log.slots.contains(where: \.isLost) else { return found }
        for name in try await listed() where tried.insert(name).inserted {
            if let session = try await session(name, isNamed: false) { found.append(session) }
        }
        return found
    }

    private static func names(in heads: Heads?) -> [SessionName] {
        heads?.sessions.map { SessionName(writer: $0.writer, session: $0.session) } ?? []
    }

    private static func names(in session: ReadSession) -> [SessionName] {
        session.entries.flatMap { names(in: $0.heads) }
    }

    /// Names of sessions that a listing shows, in its order.
    func listed() async throws -> [SessionName] {
        var seen = Set<SessionName>()
        return try await access.names(under: "s/").compactMap { SessionName(entryName: $0) }.filter {
            seen.insert($0).inserted
        }
    }

    private func session(_ name: SessionName, isNamed: Bool) async throws -> ReadSession? {
        guard let opened = try await claimed(name), isNamed || chain.revocations[opened.signer] == nil,
            let slot = log.slots.first(where: { $0.slot == opened.slot.slot }), slot.isSpoiled,
            log.statedHash(of: slot).map({ $0 == opened.slot.hash }) ?? true
        else { return nil }
        return try await SessionChainReader.readOn(opened, end: ends[name], access, chain: chain)
    }

    /// The session as its first entry claims it, signed by an enrolled writer whom the revocations leave it.
    func claimed(_ name: SessionName) async throws -> ReadSession? {
        guard let signer = chain.fingerprint(of: name.writer), let enrolment = chain.signer(signer),
            enrolment.role.signs, let bytes = try await access.look(name.entry(0)).readable
        else { return nil }
        do throws(FormatError) {
            let object = try SignedObject(
                parsing: bytes, name: name.entry(0), kind: .sessionEntry, repository: chain.repository)
            let entry = try SessionEntry(object, writer: name.writer, session: name.session, number: 0)
            let slot = LogHead(slot: entry.slot, hash: entry.previous)
            let reference = SessionEntryReference(session: name.session, number: 0, hash: entry.hash)
            guard object.isSigned(by: enrolment.key), entry.action != .fenced, chain.accepts(slot, by: signer),
                chain.accepts(reference, under: slot, by: signer)
            else { return nil }
            return ReadSession(name: name, signer: signer, slot: slot)
        } catch { return nil }
    }
}

extension OwnerChain {
    /// Fingerprint of the enrolled key that a writer's id begins; `nil` when there is none.
    fileprivate func fingerprint(of writer: WriterID) -> Hash256? {
        ([owner.fingerprint] + enrolments.keys).first { WriterID(fingerprint: $0) == writer }
    }
}
