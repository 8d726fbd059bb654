package import BackupModel
import ChunkEncryption
package import RepositoryFormat

/// A slot of the control log as it was read.
package struct ReadSlot: Sendable {
    /// What its place turned out to hold.
    package enum State: Sendable {
        /// A slot that counts, and the fingerprint of its signer.
        case counts(LogSlot, signer: Hash256)
        /// A slot that an allowed key signed and that names another slot before it than the one there.
        case void(String)
        /// A slot that a key signed whose role may not say this.
        case forbidden(String)
        /// A slot that a key signed behind what its revocation accepts.
        case revoked(String)
        /// Bytes that no enrolled key signed for this place.
        case damaged(String)
        /// Nothing, although a slot behind it counts.
        case missing(String)
        /// What the store cannot read.
        case unreadable(String)
    }

    /// Where it stands.
    package let slot: SlotNumber
    /// Hash of the bytes at its place; `nil` when it is missing.
    package let hash: Hash256?
    /// What its place turned out to hold.
    package let state: State

    /// What it says; `nil` unless it counts.
    package var content: LogSlot? {
        guard case .counts(let content, _) = state else { return nil }
        return content
    }
    /// Fingerprint of its signer; `nil` unless it counts.
    package var signer: Hash256? {
        guard case .counts(_, let signer) = state else { return nil }
        return signer
    }
    /// Why it does not count, for people; `nil` when it does.
    package var complaint: String? {
        switch state {
        case .counts: nil
        case .void(let why), .forbidden(let why), .revoked(let why), .damaged(let why), .missing(let why),
            .unreadable(let why):
            why
        }
    }
    /// Whether nothing signed by an allowed key stands here (format page §10): then nobody can say from this place what
    /// stood there.
    package var isSpoiled: Bool {
        switch state {
        case .counts, .void: false
        case .forbidden, .revoked, .damaged, .missing, .unreadable: true
        }
    }
    /// What is wrong, as a finding; `nil` when it counts.
    package var finding: RepositoryFinding? {
        guard let complaint else { return nil }
        var finding = RepositoryFinding(object: ObjectPaths.slot(slot), sentence: complaint)
        if case .revoked = state { finding.isRevoked = true }
        return finding
    }
    /// Whether what stood here was lost.
    package var isLost: Bool {
        switch state {
        case .counts, .void, .forbidden, .revoked: false
        case .damaged, .missing, .unreadable: true
        }
    }
}

/// The control log of a store, read from its first slot to the first that is not there (format page §10).
package struct ControlLog: Sendable {
    /// Slots that one epoch may have before reading is refused.
    static let slotLimit: UInt32 = 10_000_000
    /// Spoiled slots passed over at the beginning of an epoch when looking whether a close was lost.
    static let probeLimit: UInt32 = 16

    /// Which store, and its incarnation.
    package let identity: StoreIdentity
    /// All slots, ascending.
    package private(set) var slots: [ReadSlot] = []
    /// The ledger of the last close; `nil` before the first.
    package private(set) var ledger: Ledger?
    /// Where the next claim is tried.
    package private(set) var next: SlotNumber
    /// Hash of the bytes at the last place, or of the store's identity.
    package private(set) var previous: Hash256

    /// The newest slot that is not spoiled, or `nil` when there is none.
    package var head: LogHead? {
        for slot in slots.reversed() where !slot.isSpoiled {
            if let hash = slot.hash { return LogHead(slot: slot.slot, hash: hash) }
        }
        return nil
    }

    /// Sessions that the last ledger has taken over: of these its points alone live.
    var takenOver: Set<SessionName> {
        Set(ledger?.horizon.map { SessionName(writer: $0.writer, session: $0.session) } ?? [])
    }

    /// The last close that counts; `nil` before the first.
    package var lastClose: LogHead? {
        guard let slot = slots.last(where: { $0.content?.closesEpoch ?? false }), let hash = slot.hash else {
            return nil
        }
        return LogHead(slot: slot.slot, hash: hash)
    }

    /// The log as it was right behind its last close: what no later slot changes.
    ///
    /// - Precondition: there is a close.
    package var settled: ControlLog {
        guard let close = lastClose else { preconditionFailure("a log with a close") }
        var log = self
        log.slots = slots.filter { $0.slot <= close.slot }
        log.next = close.slot.nextEpoch
        log.previous = close.hash
        return log
    }

    /// A log without slots.
    package init(identity: StoreIdentity, identityHash: Hash256) {
        self.identity = identity
        next = SlotNumber(incarnation: identity.incarnation, epoch: 0, number: 0)
        previous = identityHash
    }

    /// Reads on from where the log ends here, until the store shows no more.
    ///
    /// - Throws: ``RepositoryError``: `storage`; `damaged` when a close was lost, or the ledger of one.
    package mutating func readOn(_ access: ObjectAccess, chain: OwnerChain) async throws {
        var unreadable = 0
        var ahead = SlotsAhead()
        while true {
            switch try await ahead.look(next, access, chain: chain) {
            case .bytes(let bytes):
                unreadable = 0
                try await take(bytes, access, chain: chain)
                continue
            case .unreadable(let why):
                unreadable += 1
                guard unreadable < ObjectAccess.unreadableLimit else { throw RepositoryError(.storage, why, .retry) }
                skip(.unreadable(why))
                continue
            case .absent: break
            }
            let isFollowed = try await isReadable(next.next, access, chain: chain)
            let later = isFollowed ? nil : try await laterEpoch(access, chain: chain)
            guard isFollowed || later != nil else { return }
            // What is behind was claimed by somebody who had read this place; it may have come between the two looks.
            switch try await access.look(ObjectPaths.slot(next)) {
            case .bytes(let bytes): try await take(bytes, access, chain: chain)
            case .unreadable(let why): skip(.unreadable(why))
            case .absent:
                if let later { throw lostClose(before: later) }
                skip(.missing("\(ObjectPaths.slot(next)) is missing, and \(next.next) was claimed behind it"))
            }
        }
    }

    /// Reads slots before it is their turn: twice as many each time, as long as there are some, so that a distant store
    /// is waited for a few times only and signatures are checked on all cores.
    private struct SlotsAhead {
        private var read: [SlotNumber: [UInt8]] = [:]
        private var width = 1

        mutating func look(
            _ slot: SlotNumber, _ access: ObjectAccess, chain: OwnerChain
        ) async throws -> ObjectAccess.Look {
            if let bytes = read.removeValue(forKey: slot) { return .bytes(bytes) }
            let slots = (0..<UInt32(width)).map { offset in
                SlotNumber(incarnation: slot.incarnation, epoch: slot.epoch, number: slot.number + offset)
            }
            let looks = try await slots.concurrentMap(width: ObjectAccess.readsAtOnce) { slot in
                let look = try await access.look(ObjectPaths.slot(slot))
                // Only to have the signature checked: what the slot comes to is decided in its turn.
                if let bytes = look.readable { _ = ControlLog.read(bytes, at: slot, previous: nil, chain: chain) }
                return look
            }
            // Absence is not kept: the slot may be there when its turn comes.
            for (slot, look) in zip(slots, looks).dropFirst() { read[slot] = look.readable }
            width = looks.allSatisfy { $0.readable != nil } ? min(width * 2, 2 * ObjectAccess.readsAtOnce) : 1
            return looks[0]
        }
    }

    /// Takes the bytes that stand at ``next``.
    package mutating func take(_ bytes: [UInt8], _ access: ObjectAccess, chain: OwnerChain) async throws {
        let slot = next
        try checkLimit()
        let read = ControlLog.read(
            bytes, at: slot, previous: slots.last?.isSpoiled == true ? nil : previous, chain: chain)
        slots.append(read)
        previous = read.hash ?? previous
        next = slot.next
        guard case .close(let ledgerHash)? = read.content?.claim else { return }
        ledger = try await ControlLog.ledger(ledgerHash, access, chain: chain)
        next = slot.nextEpoch
    }

    /// The slots that revocations make void, as a chain without some of them reads them: those that count then. Closes
    /// are left out, for they would change what stands behind them.
    func regained(_ access: ObjectAccess, chain: OwnerChain) async throws -> [ReadSlot] {
        var regained: [ReadSlot] = []
        for (position, slot) in slots.enumerated() {
            guard case .revoked = slot.state, let bytes = try await access.look(ObjectPaths.slot(slot.slot)).readable
            else { continue }
            let before = position > 0 && !slots[position - 1].isSpoiled ? slots[position - 1].hash : nil
            let read = ControlLog.read(bytes, at: slot.slot, previous: before, chain: chain)
            if let content = read.content, !content.closesEpoch { regained.append(read) }
        }
        return regained
    }

    private func checkLimit() throws {
        guard next.number < ControlLog.slotLimit else {
            throw RepositoryError(
                .damaged, "epoch \(next.epoch) of the control log has too many slots", .askOperator)
        }
    }

    /// Passes over a slot that is missing, or that the store cannot read.
    private mutating func skip(_ state: ReadSlot.State) {
        slots.append(ReadSlot(slot: next, hash: nil, state: state))
        next = next.next
    }

    /// Whether an allowed key has signed what stands at a place, whether or not reading came there.
    func isReadable(_ slot: SlotNumber, _ access: ObjectAccess, chain: OwnerChain) async throws -> Bool {
        guard let bytes = try await access.look(ObjectPaths.slot(slot)).readable else { return false }
        return !ControlLog.read(bytes, at: slot, previous: nil, chain: chain).isSpoiled
    }

    /// A slot of the next epoch that only a close could have made possible. Garbage there proves nothing: anybody who
    /// may write into the store can put it.
    private func laterEpoch(_ access: ObjectAccess, chain: OwnerChain) async throws -> SlotNumber? {
        var slot = next.nextEpoch
        for _ in 0..<ControlLog.probeLimit {
            let look = try await access.look(ObjectPaths.slot(slot))
            if look == .absent { return nil }
            if let bytes = look.readable, !ControlLog.read(bytes, at: slot, previous: nil, chain: chain).isSpoiled {
                return slot
            }
            slot = slot.next
        }
        return nil
    }

    private func lostClose(before later: SlotNumber) -> RepositoryError {
        let spoiled = slots.last { $0.slot.epoch == next.epoch && $0.isSpoiled }
        // Not lost: the store fails at it, for this moment or for good.
        if case .unreadable(let why)? = spoiled?.state { return RepositoryError(.storage, why, .retry) }
        let what =
            spoiled?.complaint.map { "\($0); it" } ?? "\(ObjectPaths.slot(next)) is missing; it"
        return RepositoryError(
            .damaged,
            "\(what) must have closed epoch \(next.epoch), because \(later) stands behind it: restore that object, an "
                + "older state is not shown for the whole", .repair)
    }

    /// - Parameter previous: what the slot must name as the one before it; `nil` behind a spoiled one, where it is the
    ///   signed word about what stood there.
    private static func read(
        _ bytes: [UInt8], at slot: SlotNumber, previous: Hash256?, chain: OwnerChain
    ) -> ReadSlot {
        let name = ObjectPaths.slot(slot)
        var hash: Hash256?
        var isSigned = false
        func verdict(_ state: ReadSlot.State) -> ReadSlot {
            ReadSlot(slot: slot, hash: hash ?? SecureHash.sha256(bytes), state: state)
        }
        do throws(FormatError) {
            let object = try SignedObject(parsing: bytes, name: name, kind: .logSlot, repository: chain.repository)
            hash = object.hash
            let signer = object.header.signer
            guard let enrolment = chain.signer(signer) else {
                return verdict(.damaged("\(name) is signed by a key that the owner never enrolled"))
            }
            guard object.isSigned(by: enrolment.key) else {
                return verdict(.damaged("\(name): the signature is wrong"))
            }
            isSigned = true
            let content = try LogSlot(object, expected: slot)
            guard enrolment.role.signs, content.closesEpoch ? enrolment.role.closesEpochs : true else {
                return verdict(.forbidden("\(name): a \(enrolment.role.rawValue) may not sign this"))
            }
            guard chain.accepts(LogHead(slot: slot, hash: object.hash), by: signer) else {
                return verdict(.revoked("\(name) is signed by a key that the owner has revoked"))
            }
            guard previous.map({ $0 == content.previous }) ?? true else {
                return verdict(
                    .void(
                        "\(name) names another slot before it than the one there: one of the two was exchanged"
                    ))
            }
            return verdict(.counts(content, signer: signer))
        } catch {
            // A type that a newer program knows is no damage.
            let isNewer = isSigned && error.code == .unsupported
            return verdict(isNewer ? .forbidden(error.sentence) : .damaged(error.sentence))
        }
    }

    private static func ledger(_ hash: Hash256, _ access: ObjectAccess, chain: OwnerChain) async throws -> Ledger {
        let name = ObjectPaths.ledger(hash)
        guard let object = try await access.object(name, kind: .ledger, repository: chain.repository) else {
            throw RepositoryError(.damaged, "\(name), which says what lives on, is missing from the store", .repair)
        }
        guard object.hash == hash, let signer = chain.signer(object.header.signer), signer.role.closesEpochs,
            object.isSigned(by: signer.key)
        else {
            throw RepositoryError(.damaged, "\(name) is not the ledger that a maintainer signed", .repair)
        }
        return try await RepositoryError.translating { try Ledger(object, name: name) }
    }
}

// MARK: - What stood at a spoiled place

extension ControlLog {
    /// The hash that signed slots say a spoiled slot had; `nil` when none says it.
    ///
    /// A slot behind it whose writer met the spoiled bytes already says nothing about what stood there before.
    func statedHash(of spoiled: ReadSlot) -> Hash256? {
        let successor = slots.first { $0.slot == spoiled.slot.next }?.content
        if let stated = successor?.previous, stated != spoiled.hash { return stated }
        for slot in slots {
            if let own = slot.content?.writerPrevious, own.slot == spoiled.slot { return own.hash }
        }
        return nil
    }

    /// What the next slot names as the one before it: the hash of the bytes there or, when they are spoiled and it is
    /// known, of what stood there, so that both count when the object comes back.
    func previous(knowing sessions: [ReadSession]) -> Hash256 {
        guard let last = slots.last, last.isSpoiled else { return previous }
        return statedHash(of: last) ?? sessions.first { $0.slot.slot == last.slot }?.slot.hash ?? previous
    }

    /// Whether this log holds, or is known to have held, a slot that somebody remembers.
    ///
    /// - Parameter sessions: those read from it: the first entry of one also says what its slot was.
    func holds(_ head: LogHead, sessions: [ReadSession]) -> Bool {
        guard let slot = slots.first(where: { $0.slot == head.slot }) else { return false }
        if slot.hash == head.hash { return true }
        return slot.isSpoiled && (statedHash(of: slot) == head.hash || sessions.contains { $0.slot == head })
    }
}

extension LogSlot {
    var closesEpoch: Bool {
        if case .close = claim { return true }
        return false
    }
}
