package import BackupModel
import ChunkEncryption
package import RepositoryFormat

// Two-person approval
// -------------------
// Format page §11, "Approvals"; docs/design/0022. A pure fold of what the owner has stated and of what enrolled keys
// have signed. Nothing here deletes or lets go: whoever composes a ledger asks, and what is not answered for stays.

/// The times by which whoever composes a ledger decides; nanoseconds since 1970, UTC.
package struct DecisionTimes: Hashable, Sendable {
    /// Up to when locks are over; see ``LockTime``. Never later than the clock.
    package let lock: UInt64
    /// Approvals up to whose end this is later do not count. Never earlier than the clock.
    package let approval: UInt64

    /// Both times.
    package init(lock: UInt64, approval: UInt64) {
        self.lock = lock
        self.approval = approval
    }
}

/// Who stands behind what lets points go.
package struct Approvals: Sendable {
    /// What needs persons behind it.
    package struct Request: Hashable, Sendable {
        /// Hash of an entry or of an owner statement, or the digest of rules: what an approval names.
        package let hash: Hash256
        /// Fingerprint of the key that signed it.
        package let signer: Hash256
    }

    /// A key that is in force as a person's.
    private struct Person {
        let name: Name
        let approves: Bool
        let isRevoked: Bool
    }

    /// A person's name: two that differ in a byte are two, whatever they look like and whoever composes text how.
    private struct Name: Hashable, Comparable {
        let bytes: [UInt8]
        init(_ text: String) { bytes = Array(text.utf8) }
        var text: String { String(decoding: bytes, as: UTF8.self) }
        static func < (left: Name, right: Name) -> Bool { left.bytes.lexicographicallyPrecedes(right.bytes) }
    }

    private struct Approval {
        let signer: Hash256
        let until: UInt64
    }

    /// How many persons what lets points go needs; `nil` where the owner has asked for none.
    package private(set) var required: Int?
    /// Statements of the owner that wait for persons, in their order.
    package private(set) var waiting: [OwnerChain.Decision] = []
    /// Hashes of revocations that the owner has taken back before so many persons stood behind them as are asked for:
    /// what they make void is there all the same.
    package private(set) var withdrawn: Set<Hash256> = []
    /// Whether the owner has ever asked for persons: else there is nothing to remember.
    let isAskedFor: Bool
    private let owner: Hash256
    private var given: [Hash256: [Approval]] = [:]
    private var people: [Hash256: Person] = [:]

    init(_ chain: OwnerChain) {
        owner = chain.owner.fingerprint
        isAskedFor = chain.decisions.contains { $0.content.asksForPersons }
        decide(chain)
    }

    /// Takes an approval that a key has signed which the owner lets approve.
    mutating func take(_ record: ApprovalRecord, signer: Hash256) {
        for hash in record.hashes { given[hash, default: []].append(Approval(signer: signer, until: record.until)) }
    }

    /// Settles which statements of the owner are in force, once all approvals were taken.
    mutating func decide(_ chain: OwnerChain) {
        required = nil
        people = [:]
        waiting = []
        withdrawn = []
        let takenBack = chain.withdrawn
        for decision in chain.decisions {
            let isApproved: Bool
            if let required {
                isApproved = approvers(of: decision.statement.hash, besides: owner, at: nil).count >= required
            } else {
                isApproved = true
            }
            switch decision.content {
            case .requirement(let persons):
                // Asking for more takes nobody's say away.
                if isApproved || (persons ?? 0) >= (required ?? 0) {
                    required = persons
                } else {
                    waiting.append(decision)
                }
            case .person(let key):
                guard isApproved, let enrolment = chain.enrolments[key], let name = enrolment.person else {
                    waiting.append(decision)
                    continue
                }
                people[key] = Person(
                    name: Name(name), approves: enrolment.approves, isRevoked: chain.revocations[key] != nil)
            case .revocation:
                guard !isApproved else { continue }
                if takenBack.contains(decision.statement.hash) {
                    withdrawn.insert(decision.statement.hash)
                } else {
                    waiting.append(decision)
                }
            }
        }
    }

    /// Names of the persons whose approval of something counts.
    ///
    /// - Parameters:
    ///   - signer: whose own approval adds nobody.
    ///   - time: approvals that end before it and keys that are revoked do not count; `nil` for what the owner states,
    ///     which stays decided.
    private func approvers(of hash: Hash256, besides signer: Hash256, at time: UInt64?) -> Set<Name> {
        var names = Set<Name>()
        for approval in given[hash] ?? [] where approval.signer != signer {
            guard let person = people[approval.signer], person.approves else { continue }
            if let time, person.isRevoked || approval.until < time { continue }
            names.insert(person.name)
        }
        return names
    }

    // MARK: Questions

    /// Whose key it is, as far as the owner's word is in force and the key is not revoked.
    package func person(of key: Hash256) -> String? { personName(of: key)?.text }

    private func personName(of key: Hash256) -> Name? { people[key].flatMap { $0.isRevoked ? nil : $0.name } }

    /// Whether approvals that this key signs now count.
    package func mayApprove(_ key: Hash256) -> Bool { people[key].map { $0.approves && !$0.isRevoked } ?? false }

    /// Names of all persons whose approvals count, each once, sorted.
    package var approvers: [String] { approvers(without: nil) }

    /// Names of all persons whose approvals would count without one key, each once, sorted.
    package func approvers(without key: Hash256?) -> [String] {
        Set(people.filter { $0.key != key && $0.value.approves && !$0.value.isRevoked }.map(\.value.name)).sorted()
            .map(\.text)
    }

    /// Names of the persons behind a request, each once, sorted; of a statement of the owner those who approved it at
    /// any time.
    package func persons(behind request: Request, at time: UInt64) -> [String] {
        names(behind: request, at: time).sorted().map(\.text)
    }

    /// Whether the person of a key is behind a request.
    package func isBehind(_ request: Request, _ key: Hash256, at time: UInt64) -> Bool {
        personName(of: key).map { names(behind: request, at: time).contains($0) } ?? false
    }

    private func names(behind request: Request, at time: UInt64) -> Set<Name> {
        guard request.signer != owner || !isStatement(request.hash) else {
            return approvers(of: request.hash, besides: owner, at: nil)
        }
        var names = approvers(of: request.hash, besides: request.signer, at: time)
        if let own = personName(of: request.signer) { names.insert(own) }
        return names
    }

    private func isStatement(_ hash: Hash256) -> Bool { waiting.contains { $0.statement.hash == hash } }

    /// Whether so many persons stand behind a request as are asked for; always where none are.
    package func allow(_ request: Request, at time: UInt64) -> Bool {
        guard let required else { return true }
        return names(behind: request, at: time).count >= required
    }

    /// Hashes of the owner's revocations that wait for persons: what they make void stays where it is. None where
    /// nobody is asked for any more.
    package var doubted: Set<Hash256> {
        guard required != nil else { return [] }
        return Set(
            waiting.compactMap { decision in
                if case .revocation = decision.content { decision.statement.hash } else { nil }
            })
    }
}
