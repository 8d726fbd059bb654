package import BackupModel
package import ChunkEncryption

/// What the owner has said about a repository: the fold of its statements, in order (format page §3).
///
/// A chain holds only statements that the owner key signed, each naming the hash of the one before, from a genesis
/// whose owner key has the fingerprint that the reader brought along. A failed ``append(_:name:)`` leaves it as it was.
package struct OwnerChain: Sendable {
    /// The repository.
    package let repository: RepositoryID
    /// The owner key.
    package let owner: VerifyingKey
    /// Sizes for new images and packs.
    package let defaults: RepositoryDefaults
    /// What a program must know, as last stated.
    package private(set) var features: FeatureSets
    /// The dedup domains as last stated, ascending by id.
    package private(set) var domains: [DomainKeys]
    /// The enrolled keys by fingerprint, revoked ones included.
    package private(set) var enrolments: [Hash256: Enrolment] = [:]
    /// The revocations by fingerprint; of several, each narrows what is accepted.
    package private(set) var revocations: [Hash256: [Revocation]] = [:]
    /// The same by the hashes of their statements, in the order of the chain.
    private var stated: [(hash: Hash256, revocation: Revocation)] = []
    /// What bears on approvals, in the order of the chain.
    package private(set) var decisions: [Decision] = []
    /// Number of the place that is looked at next.
    package private(set) var next: UInt32 = 1
    /// Number and hash of every statement, ascending; places that hold none are left out.
    package private(set) var statements: [OwnerHead]

    /// A statement that, once approvals are required, needs them itself (format page §11, "Approvals").
    package struct Decision: Hashable, Sendable {
        /// What it says.
        package enum Content: Hashable, Sendable {
            /// So many persons are asked for; `nil` for no requirement.
            case requirement(Int?)
            /// The key with this fingerprint is a person's.
            case person(Hash256)
            /// The key with this fingerprint is believed up to a place.
            case revocation(Hash256)

            /// Whether it asks for persons.
            package var asksForPersons: Bool {
                if case .requirement(.some) = self { true } else { false }
            }
        }

        /// Which statement.
        package let statement: OwnerHead
        /// See ``Content``.
        package let content: Content
        /// Seconds since 1970 as the owner says: shown to people only.
        package let createdAt: UInt64

        /// The same in nanoseconds; `nil` for what is beyond them.
        package var nanoseconds: UInt64? {
            let (product, overflows) = createdAt.multipliedReportingOverflow(by: 1_000_000_000)
            return overflows ? nil : product
        }
    }

    /// Begins a chain.
    ///
    /// - Parameter object: what is stored as `owner/00000000`.
    /// - Parameter expectedOwner: fingerprint of the owner key, from a credential or an opened key slot.
    /// - Parameter expectedRepository: from the same place, when there is one.
    /// - Throws: ``FormatError``: `refused` for the key of another owner; `misplaced` for another repository; `damaged`
    ///   for a wrong signature; and what ``OwnerStatement/init(_:name:)`` throws.
    package init(
        genesis object: SignedObject, expectedOwner: Hash256, expectedRepository: RepositoryID? = nil
    ) throws(FormatError) {
        let name = OwnerStatement.name(0)
        let statement = try OwnerStatement(object, name: name)
        guard case .genesis(let genesis) = statement.content else {
            preconditionFailure("statement 0 was checked to be a genesis")
        }
        guard genesis.owner.fingerprint == expectedOwner else {
            throw .refused(
                "\(name) names the owner key \(genesis.owner.fingerprint.abbreviated) and the credential "
                    + "\(expectedOwner.abbreviated): this is another repository, or the store has swapped it")
        }
        guard object.header.repository == genesis.repository,
            expectedRepository.map({ $0 == genesis.repository }) ?? true
        else { throw .misplaced("\(name) belongs to another repository (\(genesis.repository))") }
        try OwnerChain.checkSignature(of: object, name: name, owner: genesis.owner)
        repository = genesis.repository
        owner = genesis.owner
        defaults = genesis.defaults
        features = genesis.features
        domains = genesis.domains.sorted { $0.id < $1.id }
        statements = [OwnerHead(number: 0, hash: object.hash)]
    }

    /// Number and hash of the last statement.
    package var head: OwnerHead {
        guard let last = statements.last else { preconditionFailure("a chain has a genesis") }
        return last
    }

    /// Takes the next statement.
    ///
    /// - Parameter name: of the place, which must be ``nextName``.
    /// - Throws: ``FormatError``: `misplaced` for another number, name or repository; `void` when another key signed;
    ///   `damaged` for a wrong signature, or when it names another statement before it than the last one here, so that
    ///   one between was lost; `malformed` for what contradicts the chain; and what ``OwnerStatement/init(_:name:)``
    ///   throws.
    package mutating func append(_ object: SignedObject, name: String) throws(FormatError) {
        guard object.header.repository == repository else {
            throw .misplaced("\(name) belongs to another repository (\(object.header.repository))")
        }
        try OwnerChain.checkSignature(of: object, name: name, owner: owner)
        let statement = try OwnerStatement(object, name: name)
        guard statement.number == next else {
            throw .misplaced("\(name) is not the place behind what was read, which is \(nextName)")
        }
        guard statement.previous == head.hash else {
            let between = head.number + 1 < next ? OwnerStatement.name(head.number + 1) : nil
            throw .damaged(
                "\(name) follows another statement than \(OwnerStatement.name(head.number)): "
                    + (between.map { "\($0) is lost or damaged" } ?? "one of the two is not what it was")
                    + "; bring it back from a copy")
        }
        var longer = self
        try longer.take(statement.content, name: name)
        let head = OwnerHead(number: statement.number, hash: object.hash)
        longer.statements.append(head)
        if case .revoke(let revocation) = statement.content { longer.stated.append((head.hash, revocation)) }
        if let content = OwnerChain.decision(in: statement.content) {
            longer.decisions.append(Decision(statement: head, content: content, createdAt: statement.createdAt))
        }
        longer.next += 1
        self = longer
    }

    /// Passes over the place ``nextName``, which holds no statement of the owner; the last number there is stays the
    /// next one for good.
    package mutating func passOver() { passOver(upTo: min(next, OwnerStatement.largestNumber - 1) + 1) }

    /// Passes over all places before the one with this number, which is not before ``next``.
    package mutating func passOver(upTo number: UInt32) {
        precondition((next...OwnerStatement.largestNumber).contains(number), "places are passed over in their order")
        next = number
    }

    /// Whether there is no number left.
    package var isFull: Bool { next == OwnerStatement.largestNumber }

    /// Whether an object is the owner's statement of its place: only such a one can count, or be a reason to refuse the
    /// chain.
    package func isStatement(_ object: SignedObject, at number: UInt32) -> Bool {
        guard object.header.kind == .ownerStatement, object.header.repository == repository,
            object.isSigned(by: owner)
        else { return false }
        // What the owner signed and this program cannot read is a statement.
        guard let fields = try? object.fields(name: OwnerStatement.name(number)),
            let stated = try? fields.unsigned("n", limit: UInt64(OwnerStatement.largestNumber))
        else { return true }
        return stated == UInt64(number)
    }

    private static func checkSignature(
        of object: SignedObject, name: String, owner: VerifyingKey
    ) throws(FormatError) {
        guard object.header.signer == owner.fingerprint else {
            throw .void("\(name) is signed by the key \(object.header.signer.abbreviated), which is not the owner's")
        }
        guard object.isSigned(by: owner) else { throw .damaged("the signature of \(name) is wrong") }
    }

    private mutating func take(_ content: OwnerStatement.Content, name: String) throws(FormatError) {
        switch content {
        case .genesis: throw .notCanonical("\(name) is a second genesis")
        case .enrol(let enrolment): try enrol(enrolment, name: name)
        case .revoke(let revocation):
            guard enrolments[revocation.key] != nil else {
                throw .notCanonical("\(name) revokes the key \(revocation.key.abbreviated), which is not enrolled")
            }
            guard revocation.withdraws.map({ self.revocation($0)?.key == revocation.key }) ?? true else {
                throw .notCanonical("\(name) withdraws what is no earlier revocation of the same key")
            }
            revocations[revocation.key, default: []].append(revocation)
        case .keyEpoch(let entries): try replace(entries, name: name)
        case .features(let features, _): self.features = features
        }
    }

    private static func decision(in content: OwnerStatement.Content) -> Decision.Content? {
        switch content {
        case .genesis, .keyEpoch: nil
        case .enrol(let enrolment): enrolment.person == nil ? nil : .person(enrolment.key.fingerprint)
        case .revoke(let revocation): .revocation(revocation.key)
        case .features(_, let approvals): .requirement(approvals)
        }
    }

    private mutating func enrol(_ enrolment: Enrolment, name: String) throws(FormatError) {
        let fingerprint = enrolment.key.fingerprint
        guard fingerprint != owner.fingerprint, enrolments[fingerprint] == nil else {
            throw .notCanonical("\(name) enrols the key \(fingerprint.abbreviated), which has a role already")
        }
        guard let domain = enrolment.domain, domains.contains(where: { $0.id == domain }) else {
            throw .notCanonical("\(name) enrols a key for a domain that is not stated")
        }
        enrolments[fingerprint] = enrolment
    }

    private mutating func replace(_ entries: [DomainKeys], name: String) throws(FormatError) {
        for entry in entries {
            guard let index = domains.firstIndex(where: { $0.id == entry.id }) else {
                domains.append(entry)
                continue
            }
            guard entry.epoch > domains[index].epoch else {
                throw .notCanonical(
                    "\(name) states epoch \(entry.epoch) of domain \(entry.id) behind epoch \(domains[index].epoch)")
            }
            domains[index] = entry
        }
        domains.sort { $0.id < $1.id }
    }
}

// MARK: - Questions

extension OwnerChain {
    /// Why `act` is forbidden to this program; `nil` when it is not.
    package func refusal(for act: RepositoryAct) -> FormatError? { features.refusal(for: act) }

    /// What the key with this fingerprint may do, revoked or not; `nil` when its signatures are void.
    package func signer(_ fingerprint: Hash256) -> Enrolment? {
        fingerprint == owner.fingerprint ? Enrolment(owner: owner) : enrolments[fingerprint]
    }

    /// The revocation that a statement with this hash says; `nil` when it is no revocation.
    package func revocation(_ statement: Hash256) -> Revocation? { stated.first { $0.hash == statement }?.revocation }

    /// Hashes of the revocations that later statements take back, as far as they wait.
    package var withdrawn: Set<Hash256> { Set(stated.compactMap(\.revocation.withdraws)) }

    /// The chain as if some revocations had not been stated.
    ///
    /// - Parameter statements: their hashes.
    package func believing(without statements: Set<Hash256>) -> OwnerChain {
        var chain = self
        chain.stated.removeAll { statements.contains($0.hash) }
        chain.revocations = Dictionary(grouping: chain.stated.map(\.revocation), by: \.key)
        return chain
    }

    /// Why the chain does not hold what a credential or a host remembers; `nil` when it does.
    package func refusal(remembering remembered: OwnerHead) -> FormatError? {
        guard remembered.number <= head.number else {
            return .refused(
                "the owner chain ends at statement \(head.number), and statement \(remembered.number) is known to "
                    + "exist: the store went back, lost it or hides it")
        }
        guard statements.contains(remembered) else {
            return .refused(
                "statement \(remembered.number) of the owner chain is lost, damaged or another than the one "
                    + "remembered; bring \(OwnerStatement.name(remembered.number)) back from a copy")
        }
        return nil
    }

    /// Whether a slot that the key signed is within what its revocations leave; a key without role signs nothing.
    ///
    /// The hash is checked at the last accepted slot alone: that earlier ones lead there is for the log's chain to
    /// show.
    package func accepts(_ slot: LogHead, by signer: Hash256) -> Bool {
        guard self.signer(signer) != nil else { return false }
        return revocations[signer, default: []].allSatisfy { $0.accepts(slot) }
    }

    /// Whether a key is enrolled and no revocation takes everything from it.
    package func acceptsAnything(by signer: Hash256) -> Bool {
        self.signer(signer) != nil && revocations[signer, default: []].allSatisfy { $0.slot != nil }
    }

    /// Whether a session's entry that the key signed is within what its revocations leave.
    ///
    /// - Parameter slot: the session's own slot, which must be accepted too.
    package func accepts(_ entry: SessionEntryReference, under slot: LogHead, by signer: Hash256) -> Bool {
        guard self.signer(signer) != nil else { return false }
        return revocations[signer, default: []].allSatisfy { $0.accepts(entry, under: slot) }
    }
}
