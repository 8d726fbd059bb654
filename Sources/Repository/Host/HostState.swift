package import BackupModel
package import Effects
package import RepositoryFormat

/// What a host remembers about one repository, outside of it: its writer key, what it has seen, what it began.
///
/// Losing all of it costs nothing but a new enrolment. A copy of it on another machine is noticed there or here,
/// because a session that stands in the log and was never begun here can only come from a copy
/// (``foreignSessions(in:)``).
///
/// Any number of processes may use it at once. What several of them change is read, changed and written under one lock
/// that is held for that moment only (``changing(_:)``), and what one has seen is merged with what others have.
package struct HostState: Sendable {
    /// A pack that a session finished before any entry named it.
    package struct FinishedPack: Hashable, Sendable {
        /// Its key.
        package let key: ObjectKey
        /// Size in bytes.
        package let byteCount: UInt64
        /// Structure or content.
        package let objectClass: ObjectClass
    }

    /// What the host has seen of the repository.
    package struct Memory: Hashable, Sendable {
        /// Last statement of the owner chain.
        package var owner: OwnerHead
        /// Last slot of the control log; `nil` before the first.
        package var log: LogHead?
        /// Incarnation of the store.
        package var incarnation: UInt32
        /// Last entries of this host's own sessions.
        package var sessions: [SessionHead]

        /// A memory from its fields.
        package init(owner: OwnerHead, log: LogHead?, incarnation: UInt32, sessions: [SessionHead]) {
            self.owner = owner
            self.log = log
            self.incarnation = incarnation
            self.sessions = sessions
        }
    }

    private let files: any DurableFiles
    private let folder: String
    private let randomness: Randomness
    /// Where the folder of this repository is, when it lies on a real disk.
    private let path: String?
    /// Filters of index runs; `nil` where files cannot be mapped.
    package let filters: IndexFilterFolder?

    /// Makes the folders that are missing.
    ///
    /// - Parameters:
    ///   - files: Dozo's state folder, private to its user.
    ///   - root: its path, when it lies on a real disk.
    /// - Throws: ``RepositoryError``, `storage`.
    package init(
        files: any DurableFiles, root: String? = nil, repository: RepositoryID, randomness: Randomness
    ) throws {
        self.files = files
        self.randomness = randomness
        let folder = "repositories/\(repository)"
        self.folder = folder
        path = root.map { "\($0)/\(folder)" }
        filters = root.map {
            IndexFilterFolder(files: files, root: $0, folder: "\(folder)/filters", randomness: randomness)
        }
        try HostState.translating {
            for path in ["repositories", folder, "\(folder)/sessions"] {
                _ = try files.makeFolder(path)
                try files.syncFolder(
                    path.contains("/") ? String(path[..<(path.lastIndex(of: "/") ?? path.endIndex)]) : "")
            }
        }
    }

    /// Translates what files throw.
    static func translating<Result>(_ body: () throws -> Result) throws -> Result {
        do { return try body() } catch let error as FileError {
            let advice: String =
                switch error.remedy {
                case .makeRoom: "make room for this host's state and start again, nothing that was committed is lost"
                case .remount: "its file system is mounted read-only: set XDG_STATE_HOME to another folder"
                case .permit: "give this user the right to the state folder, or set XDG_STATE_HOME to another"
                case .inspect: "look at the disk that holds the state folder"
                }
            throw RepositoryError(
                .storage, "\(error.sentence); \(advice)", error.remedy == .inspect ? .retry : .askOperator)
        }
    }

    func file(_ name: String) -> StateFile {
        StateFile(files: files, folder: folder, name: name, randomness: randomness)
    }

    /// Reads, changes and writes files of this folder while no other process of this host does.
    ///
    /// It waits for others with the thread, for what takes a few milliseconds; `body` waits for nothing and does not
    /// call this again.
    func changing<Result>(_ body: () throws -> Result) throws -> Result {
        let lock = try HostState.translating { try files.waitForLock("\(folder)/change.lock") }
        defer { withExtendedLifetime(lock) {} }
        return try body()
    }

    /// Which pages a guest's disks have; `nil` where nothing can be kept about that.
    package func pageLog(of guest: GuestID) -> PageLog? {
        path.flatMap { PageLog(folder: "\($0)/pages", guest: guest) }
    }

    // MARK: Writer key

    /// The credential this host writes with; `nil` before it was enrolled.
    package func writerCredential() throws -> Credential? {
        guard let bytes = try HostState.translating({ try file("writer").read() }) else { return nil }
        do { return try Credential(decoding: bytes, of: "the writer key in the state folder") } catch let error {
            throw RepositoryError.format(error)
        }
    }

    /// Keeps the credential this host writes with.
    package func keep(writerCredential credential: Credential) throws {
        try HostState.translating { try file("writer").write(credential.encoded) }
    }

    // MARK: Memory

    /// What this host remembers; `nil` when it has not seen the repository yet.
    package func memory() throws -> Memory? {
        guard let bytes = try HostState.translating({ try file("heads").read() }) else { return nil }
        let what = "the memory of the repository in the state folder"
        do throws(FormatError) {
            let fields = try RecordFields(RecordValue(decoding: bytes[...], of: what), of: what)
            let heads = try Heads(fields.value("heads"), of: what)
            return Memory(
                owner: OwnerHead(number: heads.owner.number, hash: heads.owner.hash), log: heads.log,
                incarnation: try fields.word("incarnation"), sessions: heads.sessions)
        } catch { throw RepositoryError.format(error) }
    }

    /// Remembers this as well: nothing that is remembered already goes back (``Memory/merge(_:)``).
    package func keep(memory seen: Memory) throws {
        try changing {
            let known = try self.memory()
            var memory = known ?? seen
            memory.merge(seen)
            guard memory != known else { return }
            let heads = Heads(
                owner: (memory.owner.number, memory.owner.hash), log: memory.log,
                sessions: memory.sessions.suffix(FormatLimits.headCount))
            let value: RecordValue = .map([
                "heads": heads.value, "incarnation": .unsigned(UInt64(memory.incarnation)),
            ])
            try HostState.translating { try file("heads").write(value.encoded) }
        }
    }

    // MARK: Guests

    /// What this host knows of a guest that it has backed up.
    package struct Guest: Hashable, Sendable {
        /// Its id.
        package var identifier: GuestID
        /// The last point that this host made of it.
        package var base: PointID?
        /// Formats of its disks, by name.
        package var formats: [String: String]
        /// The hypervisor's identity of it, which stays when it is renamed; `nil` when image files were read.
        package var uuid: String?

        /// A guest from its fields.
        package init(identifier: GuestID, base: PointID?, formats: [String: String], uuid: String? = nil) {
            self.uuid = uuid
            self.identifier = identifier
            self.base = base
            self.formats = formats
        }
    }

    /// Guests this host has backed up, by name; those with an identity of their hypervisor's by that, for two of them
    /// may have one name.
    package func guests() throws -> [String: Guest] {
        guard let bytes = try HostState.translating({ try file("guests").read() }) else { return [:] }
        let what = "the list of guests in the state folder"
        do throws(FormatError) {
            var guests: [String: Guest] = [:]
            let value = try RecordValue(decoding: bytes[...], of: what)
            guard case .map(let members) = value else { throw .notCanonical(what) }
            for (name, value) in members {
                let fields = try RecordFields(value, of: what)
                var formats: [String: String] = [:]
                if case .map(let list) = try fields.value("formats") {
                    for case (let disk, .text(let format)) in list { formats[disk] = format }
                }
                guests[name] = Guest(
                    identifier: try fields.identifier("id"),
                    base: fields.optional("base") == nil ? nil : try fields.identifier("base"), formats: formats,
                    uuid: fields.optional("uuid") == nil ? nil : try fields.text("uuid"))
            }
            return guests
        } catch { throw RepositoryError.format(error) }
    }

    /// Keeps what is known of a guest; what is known of others stays.
    package func keep(guest: Guest, named name: String) throws {
        try changing {
            var guests = try guests()
            guests[guest.uuid ?? name] = guest
            let value: RecordValue = .map(
                guests.mapValues { guest in
                    var members: [String: RecordValue] = [
                        "id": .bytes(guest.identifier.bytes), "formats": .map(guest.formats.mapValues { .text($0) }),
                    ]
                    if let base = guest.base { members["base"] = .bytes(base.bytes) }
                    if let uuid = guest.uuid { members["uuid"] = .text(uuid) }
                    return .map(members)
                })
            try HostState.translating { try file("guests").write(value.encoded) }
        }
    }

    // MARK: Damage

    /// Packs and index runs in which a verification on this host found damage.
    package struct Damage: Hashable, Sendable {
        /// Packs that no new point leans on.
        package var packs: Set<ObjectKey>
        /// Runs that are not asked; the next session lists their packs anew.
        package var runs: Set<ObjectKey>

        /// Damage by the keys of the objects.
        package init(packs: Set<ObjectKey> = [], runs: Set<ObjectKey> = []) {
            self.packs = packs
            self.runs = runs
        }
    }

    /// What is remembered as damaged.
    package func damage() throws -> Damage {
        guard let bytes = try HostState.translating({ try file("damaged").read() }) else { return Damage() }
        let what = "the list of damaged objects in the state folder"
        do throws(FormatError) {
            let fields = try RecordFields(RecordValue(decoding: bytes[...], of: what), of: what)
            func keys(_ folder: String) throws(FormatError) -> Set<ObjectKey> {
                Set(
                    try fields.list(folder).compactMap { value in
                        guard case .text(let name) = value else { return nil }
                        return ObjectKey(name: name, folder: folder)
                    })
            }
            return Damage(packs: try keys("packs"), runs: try keys("runs"))
        } catch { throw RepositoryError.format(error) }
    }

    /// Remembers it: the next backup of this host stores again what it meets of the packs, and lists anew what the runs
    /// listed.
    ///
    /// - Parameter earlier: what was remembered when looking for damage began, and is replaced by what was found; what
    ///   another process has added since stays. `nil` replaces all.
    package func keep(damage found: Damage, insteadOf earlier: Damage? = nil) throws {
        try changing {
            let known = try self.damage()
            var damage = found
            if let earlier {
                damage.packs.formUnion(known.packs.subtracting(earlier.packs))
                damage.runs.formUnion(known.runs.subtracting(earlier.runs))
            }
            guard known != damage else { return }
            let value: RecordValue = .map([
                "packs": .array(damage.packs.map(\.packName).sorted().map { .text($0) }),
                "runs": .array(damage.runs.map(\.runName).sorted().map { .text($0) }),
            ])
            try HostState.translating { try file("damaged").write(value.encoded) }
        }
    }

    // MARK: Sessions

    private func sessionFolder(_ session: SessionID) -> String { "\(folder)/sessions/\(session)" }
    private func lockFile(_ session: SessionID) -> String { "\(sessionFolder(session))/\(HostState.lockName)" }
    private static let lockName = "lock"

    /// States, before a slot is claimed, that this host begins a session.
    ///
    /// - Returns: the session's lock, held until the session ends: as long as somebody holds it, the session is alive
    ///   and nobody else of this host ends it or takes its packs. `nil` when a session of this id was begun before.
    package func begin(_ session: SessionID) throws -> (any HeldLock)? {
        try HostState.translating {
            // Of two processes that drew the same id one makes the folder.
            guard try files.makeFolder(sessionFolder(session)) else { return nil }
            let lock = try files.lock(lockFile(session))
            try files.syncFolder("\(folder)/sessions")
            return lock
        }
    }

    /// Takes the lock of a session that was begun here; whoever gets it knows for certain that the session is dead, and
    /// nobody else takes it over as long as it is held. `nil` while the session lives, or another has taken it over.
    ///
    /// A session whose lock file is gone is dead: a power loss leaves none, and no process outlives that. (A person who
    /// deletes the file of one that runs makes it end with a sentence and run again; no point loses anything.)
    package func takeOver(_ session: SessionID) throws -> (any HeldLock)? {
        try HostState.translating { try files.lock(lockFile(session)) }
    }

    /// Every session that this host ever began and has not forgotten.
    package func begunSessions() throws -> Set<SessionID> {
        Set(
            try HostState.translating { try files.names(in: "\(folder)/sessions") }.compactMap {
                SessionID(hexadecimal: $0)
            })
    }

    /// States that the session has finished a pack: durable before anything may rely on it.
    package func finished(_ pack: FinishedPack, in session: SessionID) throws {
        let name = "\(pack.key)-\(pack.byteCount)-\(pack.objectClass.rawValue)"
        try HostState.translating {
            try files.writeNew("\(sessionFolder(session))/\(name)", [])
            try files.syncFolder(sessionFolder(session))
        }
    }

    /// Packs that the session finished, by what it stated.
    package func finishedPacks(in session: SessionID) throws -> [FinishedPack] {
        try HostState.translating { try files.names(in: sessionFolder(session)) }.sorted().compactMap { name in
            let parts = name.split(separator: "-")
            guard parts.count == 3, let byteCount = UInt64(parts[1]), let number = UInt8(parts[2]),
                let objectClass = ObjectClass(rawValue: number)
            else { return nil }
            let halves = parts[0].split(separator: ".")
            guard halves.count == 2, let hash = Hash256(hexadecimal: halves[0]), let generation = UInt32(halves[1])
            else { return nil }
            return FinishedPack(
                key: ObjectKey(hash: hash, generation: generation), byteCount: byteCount, objectClass: objectClass)
        }
    }

    /// Forgets the packs of a session that an outcome has named since; that the session was begun here stays.
    package func forgetFinishedPacks(of session: SessionID) throws {
        try HostState.translating {
            for name in try files.names(in: sessionFolder(session)) where name != HostState.lockName {
                try files.remove("\(sessionFolder(session))/\(name)")
            }
        }
    }
}

extension HostState.Memory {
    /// What somebody remembers who has seen the owner chain and the store's identity, and nothing else.
    package init(of repository: OpenRepository) {
        self.init(
            owner: repository.chain.head, log: nil, incarnation: repository.identity.incarnation, sessions: [])
    }

    /// Takes the end of an owner chain, unless a later one is remembered: another program of this host may have stated
    /// or read on meanwhile.
    package mutating func saw(_ head: OwnerHead) {
        if head.number > owner.number { owner = head }
    }

    /// Takes what another process of this host has seen as well. Nothing goes back: of everything the later counts, and
    /// what was seen of an earlier incarnation counts no more.
    package mutating func merge(_ other: HostState.Memory) {
        saw(other.owner)
        guard other.incarnation >= incarnation else { return }
        if other.incarnation > incarnation { (incarnation, log, sessions) = (other.incarnation, nil, []) }
        if let seen = other.log, log.map({ $0.slot < seen.slot }) ?? true { log = seen }
        for head in other.sessions {
            func isSame(_ known: SessionHead) -> Bool { known.session == head.session && known.writer == head.writer }
            guard !sessions.contains(where: { isSame($0) && $0.number >= head.number }) else { continue }
            sessions.removeAll(where: isSame)
            sessions.append(head)
        }
    }
}

extension HostState {
    /// Sessions that stand in the log under this host's key and were never begun here.
    package func foreignSessions(in view: RepositoryView, writer: Hash256) throws -> [SessionID] {
        let begun = try begunSessions()
        return view.sessions.filter { $0.signer == writer && !begun.contains($0.session) }.map(\.session)
    }

    /// What this host remembers, to hold a view against that is read afterwards: what another process of this host sees
    /// while it is read is no reason to refuse.
    ///
    /// - Parameter repository: its owner chain is read on when another process of this host has seen more of it since.
    /// - Throws: ``RepositoryError``.
    package func recall(_ repository: inout OpenRepository) async throws -> Memory? {
        let memory = try memory()
        if let memory { try await repository.readOn(to: memory.owner) }
        return memory
    }

    /// Refuses when the store does not show what this host has seen of it.
    ///
    /// - Parameter memory: what was remembered before the view was read (``recall(_:)``).
    /// - Throws: ``RepositoryError``, `refused`.
    package func check(_ view: RepositoryView, chain: OwnerChain, remembering memory: Memory?) throws {
        guard let memory else { return }
        // What cannot be read now may be what is remembered.
        if let unread = view.unread { throw unread }
        if let refusal = chain.refusal(remembering: memory.owner) { throw RepositoryError.format(refusal) }
        let advice =
            "nothing was changed; look for the newer state first; to go on with the older one for good, move the "
            + "files heads.* of this repository in the state folder away"
        let identity = view.log.identity
        guard identity.incarnation >= memory.incarnation else {
            throw RepositoryError(
                .refused,
                "the store shows incarnation \(identity.incarnation), and this host has seen "
                    + "\(memory.incarnation): it went back to an earlier state; \(advice)"
            )
        }
        // What was seen of an earlier incarnation may be gone; that is what a new one states.
        guard identity.incarnation == memory.incarnation else { return }
        if let log = memory.log, !view.log.holds(log, sessions: view.sessions) {
            if let spoiled = view.log.slots.first(where: { $0.slot == log.slot && $0.isLost }), spoiled.hash != nil {
                throw RepositoryError(
                    .damaged, "\(spoiled.complaint ?? ""), and this host has seen another there; \(advice)", .repair)
            }
            throw RepositoryError(
                .refused,
                "the store does not show \(log.slot) of the control log, which this host has seen: it went back to "
                    + "an earlier state or hides it; \(advice)"
            )
        }
        let revoked = Set(chain.revocations.keys.map(WriterID.init(fingerprint:)))
        // What the owner has made void since is not shown, and no reason to think that the store hides it.
        for head in memory.sessions where !revoked.contains(head.writer) {
            let session = view.sessions.first { $0.session == head.session && $0.writer == head.writer }
            let entry = session?.entries.first { $0.number == head.number }
            guard entry?.hash == head.hash else {
                let name = ObjectPaths.sessionEntry(writer: head.writer, session: head.session, number: head.number)
                if let finding = session?.findings.first(where: { $0.object == name }),
                    session?.hidden.contains(name) == false
                {
                    throw RepositoryError(
                        .damaged, "\(finding.sentence), and this host has written another there; \(advice)", .repair)
                }
                throw RepositoryError(
                    .refused,
                    "the store does not show entry \(head.number) of session \(head.session), which this host has "
                        + "written: it went back to an earlier state, lost it or hides it; \(advice)"
                )
            }
        }
    }
}
