package import BackupModel
import ChunkEncryption
package import RepositoryFormat

// How sessions are read
// ---------------------
// A session is found through the slot that opened it, and its entries by counting. Where bytes are not what somebody
// allowed has signed for their place (*spoiled*, format page §10), reading goes on behind them: one rotten byte costs
// the object it is in and nothing else. When the slot is spoiled, the session is found by those that name it, or by a
// listing, and then proves itself with its own first entry; see ``SessionSearch``.

/// A session as it was read (format page §11).
package struct ReadSession: Sendable {
    /// A place where nothing counts: kept only to say which points it named.
    struct Spoiled: Sendable {
        let number: UInt32
        /// What lies there; `nil` when nothing does.
        let bytes: [UInt8]?
    }

    /// Whose session.
    package let writer: WriterID
    /// Fingerprint of the writer's key.
    package let signer: Hash256
    /// Which session.
    package let session: SessionID
    /// The slot that opened it. When that slot is spoiled, the hash is the one that the first entry names.
    package let slot: LogHead
    /// Its entries that count, ascending.
    package private(set) var entries: [SessionEntry] = []
    /// Number of the next entry: one more than the last place where something lies.
    package private(set) var next: UInt32 = 0
    /// Hash that the next entry names as the one before it: of whatever lies at the last place.
    package private(set) var lastHash: Hash256
    /// Whether nothing can follow: it was abandoned or fenced, or its writer stated the end.
    package private(set) var hasEnded = false
    /// What is void, damaged or missing.
    package private(set) var findings: [RepositoryFinding] = []
    /// Why the store could not read an entry; `nil` when it could read all.
    private(set) var unread: RepositoryError?
    /// Names of entries that are known to exist and are not shown.
    package private(set) var hidden: [String] = []
    /// See ``Spoiled``.
    private(set) var spoiled: [Spoiled] = []
    private var isBehindSpoiled = false

    init(name: SessionName, signer: Hash256, slot: LogHead) {
        writer = name.writer
        session = name.session
        self.signer = signer
        self.slot = slot
        lastHash = slot.hash
    }

    /// Its last entry that counts, as a head; `nil` when it has none.
    package var head: SessionHead? {
        entries.last.map { SessionHead(writer: writer, session: session, number: $0.number, hash: $0.hash) }
    }
    /// Whether the last place holds a commit that counts: then it needs no other end.
    package var endsWithCommit: Bool {
        entries.last.map { $0.action == .commit && $0.number + 1 == next } ?? false
    }
    /// What names it.
    var name: SessionName { SessionName(writer: writer, session: session) }
}

// MARK: - Taking entries

extension ReadSession {
    /// Takes the bytes at the next place.
    ///
    /// - Parameter end: the last entry as the writer stated it, when it did.
    mutating func take(_ bytes: [UInt8], end: LogSlot.Ended?, chain: OwnerChain) {
        let verdict = EntryVerdict(
            bytes, of: self, number: next, previous: isBehindSpoiled ? nil : lastHash, chain: chain)
        let isStatedEnd = end?.number == next
        let object = name.entry(next)
        switch verdict {
        case .counts(let entry):
            if isStatedEnd, let end, end.hash != entry.hash {
                note(object, "\(object) is not the entry that its writer stated as the session's last")
                hidden.append(object)
            } else {
                entries.append(entry)
                hasEnded = entry.action == .abandon || entry.action == .fenced
            }
            isBehindSpoiled = false
        case .void(let why):
            note(object, why)
            isBehindSpoiled = false
        case .spoiled(let why, let isRevoked):
            // Somebody without the right may have put it there; it is never waited for and never believed. Damage to a
            // true entry looks the same from here, so it is always told.
            note(object, why, isRevoked: isRevoked)
            spoiled.append(Spoiled(number: next, bytes: bytes))
            isBehindSpoiled = true
        }
        lastHash = SecureHash.sha256(bytes)
        next += 1
        if isStatedEnd { hasEnded = true }
    }

    /// Passes over a place where something is known to have stood and nothing is, or that the store cannot read.
    mutating func miss(end: LogSlot.Ended?, because why: String? = nil) {
        if let why { unread = RepositoryError(.storage, why, .retry) }
        hide(name.entry(next), because: why)
        spoiled.append(Spoiled(number: next, bytes: nil))
        isBehindSpoiled = true
        if end?.number == next { hasEnded = true }
        next += 1
    }

    /// Says that an object is known to exist and is not shown.
    mutating func hide(_ object: String, because why: String? = nil) {
        hidden.append(object)
        note(
            object,
            why
                ?? "\(object) is known to exist and is not shown: the store hides it, lost it or went back to an "
                + "earlier state")
    }

    private mutating func note(_ object: String, _ sentence: String, isRevoked: Bool = false) {
        findings.append(RepositoryFinding(object: object, sentence: sentence, isRevoked: isRevoked))
    }

    /// Whether the bytes are an entry of this session for a place behind the next one.
    func isReadable(_ bytes: [UInt8], number: UInt32, chain: OwnerChain) -> Bool {
        if case .spoiled = EntryVerdict(bytes, of: self, number: number, previous: nil, chain: chain) { return false }
        return true
    }
}

/// What the bytes at a place of a session turn out to be.
private enum EntryVerdict {
    case counts(SessionEntry)
    /// Signed by a key that may, but it does not fit what stands before it.
    case void(String)
    case spoiled(String, isRevoked: Bool)

    /// - Parameter previous: what the entry must name as the one before it; `nil` behind a spoiled one.
    init(_ bytes: [UInt8], of session: ReadSession, number: UInt32, previous: Hash256?, chain: OwnerChain) {
        let name = session.name.entry(number)
        do throws(FormatError) {
            let object = try SignedObject(parsing: bytes, name: name, kind: .sessionEntry, repository: chain.repository)
            let entry = try SessionEntry(object, writer: session.writer, session: session.session, number: number)
            let signer = object.header.signer
            guard let enrolment = chain.signer(signer), object.isSigned(by: enrolment.key),
                entry.action == .fenced ? enrolment.role.closesEpochs : signer == session.signer
            else { throw .void("\(name) is signed by a key that may not say this, or its signature is wrong") }
            // A fence stands under somebody else's slot; of a maintainer of whom nothing is accepted it is none.
            if entry.action == .fenced, !chain.acceptsAnything(by: signer) {
                self = .spoiled("\(name) is void: its signer was revoked", isRevoked: true)
                return
            }
            let reference = SessionEntryReference(session: entry.session, number: entry.number, hash: entry.hash)
            guard entry.action == .fenced || chain.accepts(reference, under: session.slot, by: signer) else {
                self = .spoiled("\(name) was signed after its key was revoked", isRevoked: true)
                return
            }
            guard entry.slot == session.slot.slot, previous.map({ $0 == entry.previous }) ?? true else {
                self = .void("\(name) does not follow the entry before it")
                return
            }
            self = .counts(entry)
        } catch { self = .spoiled(error.sentence, isRevoked: false) }
    }
}

/// Reads the entries of sessions.
enum SessionChainReader {
    /// Entries that one session may have.
    static let entryLimit: UInt32 = 1_000_000

    /// The ends that writers stated.
    struct StatedEnds {
        private var ends: [SessionName: LogSlot.Ended] = [:]

        init(_ log: ControlLog) {
            for slot in log.slots { take(slot) }
        }

        /// Takes the ends that a slot states, if it counts.
        mutating func take(_ slot: ReadSlot) {
            guard let content = slot.content, let signer = slot.signer else { return }
            for end in content.ended {
                ends[SessionName(writer: WriterID(fingerprint: signer), session: end.session)] = end
            }
        }

        var names: [SessionName] { Array(ends.keys) }
        subscript(name: SessionName) -> LogSlot.Ended? { ends[name] }
    }

    /// All sessions that the log's slots opened, with their entries, in the order of their slots.
    static func sessions(_ log: ControlLog, _ access: ObjectAccess, chain: OwnerChain) async throws -> [ReadSession] {
        let ends = StatedEnds(log)
        var opened: [ReadSession] = []
        var seen = Set<SessionName>()
        for slot in log.slots {
            guard let content = slot.content, let signer = slot.signer, let hash = slot.hash,
                case .open(let session, _) = content.claim
            else { continue }
            // Two slots that open one session come from one identity used twice; the first counts.
            let name = SessionName(writer: WriterID(fingerprint: signer), session: session)
            guard seen.insert(name).inserted else { continue }
            opened.append(ReadSession(name: name, signer: signer, slot: LogHead(slot: slot.slot, hash: hash)))
        }
        // Sessions do not lean on each other: reads wait for a distant store, and signatures are for all cores.
        let sessions = try await opened.concurrentMap(width: ObjectAccess.readsAtOnce) { session in
            try await readOn(session, end: ends[session.name], access, chain: chain)
        }
        guard log.slots.contains(where: \.isSpoiled) else { return sessions }
        let found = try await SessionSearch(log: log, access: access, chain: chain, ends: ends).found(beside: sessions)
        return (sessions + found).sorted { ($0.slot.slot, $0.session) < ($1.slot.slot, $1.session) }
    }

    /// Reads entries until the store shows no more or the session has ended.
    static func readOn(
        _ opened: ReadSession, end: LogSlot.Ended?, _ access: ObjectAccess, chain: OwnerChain
    ) async throws -> ReadSession {
        var session = opened
        var unreadable = 0
        while !session.hasEnded, session.next < entryLimit {
            let name = session.name.entry(session.next)
            switch try await access.look(name) {
            case .bytes(let bytes):
                unreadable = 0
                session.take(bytes, end: end, chain: chain)
                continue
            case .unreadable(let why):
                unreadable += 1
                guard unreadable < ObjectAccess.unreadableLimit else { throw RepositoryError(.storage, why, .retry) }
                session.miss(end: end, because: why)
                continue
            case .absent: break
            }
            if end?.number == session.next {
                session.miss(end: end)
                continue
            }
            let number = session.next + 1
            guard let behind = try await access.look(session.name.entry(number)).readable,
                session.isReadable(behind, number: number, chain: chain)
            else {
                if let end, end.number > session.next { session.hide(name) }
                break
            }
            // What is behind was put by somebody who had put or read this one; it may have come between the two looks.
            switch try await access.look(name) {
            case .bytes(let bytes): session.take(bytes, end: end, chain: chain)
            case .unreadable(let why): session.miss(end: end, because: why)
            case .absent: session.miss(end: end)
            }
        }
        return session
    }
}
