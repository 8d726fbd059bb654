package import BackupModel
import ChunkEncryption
package import RepositoryFormat

/// A slot of the control log as it was read.
package struct ReadSlot: Sendable {
    /// Where it stands.
    package let slot: SlotNumber
    /// Hash of its object.
    package let hash: Hash256
    /// What it says; `nil` when it is void: nobody enrolled signed it, or it does not fit the log.
    package let content: LogSlot?
    /// Fingerprint of its signer.
    package let signer: Hash256?
    /// Why it is void, for people.
    package let voidReason: String?
}

/// The control log of a store, read from its first slot to the first that is not there (format page §10).
package struct ControlLog: Sendable {
    /// Slots that one epoch may have before reading is refused.
    static let slotLimit: UInt32 = 10_000_000

    /// Which store, and its incarnation.
    package let identity: StoreIdentity
    /// All slots, ascending.
    package private(set) var slots: [ReadSlot] = []
    /// The ledger of the last close; `nil` before the first.
    package private(set) var ledger: Ledger?
    /// Where the next claim is tried.
    package private(set) var next: SlotNumber
    /// What the next slot names as the one before it.
    package private(set) var previous: Hash256

    /// The newest slot, or `nil` when there is none.
    package var head: LogHead? { slots.last.map { LogHead(slot: $0.slot, hash: $0.hash) } }

    /// A log without slots.
    package init(identity: StoreIdentity, identityHash: Hash256) {
        self.identity = identity
        next = SlotNumber(incarnation: identity.incarnation, epoch: 0, number: 0)
        previous = identityHash
    }

    /// Reads on from where the log ends here, until the store shows no more.
    package mutating func readOn(_ access: ObjectAccess, chain: OwnerChain) async throws {
        while let bytes = try await access.bytes(ObjectPaths.slot(next)) {
            try await take(bytes, access, chain: chain)
        }
    }

    /// Takes the bytes that stand at ``next``.
    package mutating func take(_ bytes: [UInt8], _ access: ObjectAccess, chain: OwnerChain) async throws {
        let slot = next
        guard slot.number < ControlLog.slotLimit else {
            throw RepositoryError(.damaged, "epoch \(slot.epoch) of the control log has too many slots", .askOperator)
        }
        let read = ControlLog.read(bytes, at: slot, previous: previous, chain: chain)
        slots.append(read)
        previous = read.hash
        next = slot.next
        guard case .close(let ledgerHash)? = read.content?.claim, let signer = read.signer,
            chain.signer(signer)?.role.closesEpochs == true
        else { return }
        ledger = try await ControlLog.ledger(ledgerHash, access, chain: chain)
        next = slot.nextEpoch
    }

    private static func read(
        _ bytes: [UInt8], at slot: SlotNumber, previous: Hash256, chain: OwnerChain
    ) -> ReadSlot {
        let name = ObjectPaths.slot(slot)
        var hash = SecureHash.sha256(bytes)
        func void(_ reason: String) -> ReadSlot {
            ReadSlot(slot: slot, hash: hash, content: nil, signer: nil, voidReason: "\(name): \(reason)")
        }
        do throws(FormatError) {
            let object = try SignedObject(parsing: bytes, name: name, kind: .logSlot, repository: chain.repository)
            hash = object.hash
            guard let enrolment = chain.signer(object.header.signer), enrolment.role.signs else {
                return void("signed by a key that the owner never enrolled")
            }
            guard object.isSigned(by: enrolment.key) else { return void("its signature is wrong") }
            let reference = LogHead(slot: slot, hash: hash)
            guard chain.accepts(reference, by: object.header.signer) else {
                return void("signed by a key that the owner revoked before")
            }
            let content = try LogSlot(object, expected: slot)
            guard content.previous == previous else { return void("claimed without having read the slot before it") }
            return ReadSlot(
                slot: slot, hash: hash, content: content, signer: object.header.signer, voidReason: nil)
        } catch { return void(error.sentence) }
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
