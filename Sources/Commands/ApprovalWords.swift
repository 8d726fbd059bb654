import BackupModel
import ChunkEncryption
import Effects
import Repository
import RepositoryFormat

/// What commands say about approvals.
enum ApprovalWords {
    /// Digits of a request's hash that are shown.
    static let shownDigits = 12

    /// A request as people name it.
    static func name(_ hash: Hash256) -> String { String(hash.hexadecimal.prefix(shownDigits)) }

    /// That what was just said waits for persons; `nil` when it does not, or when it cannot be told.
    ///
    /// - Parameters:
    ///   - head: the entry that says it.
    ///   - before: what was read before it was said: where nobody is asked, nothing is read again.
    static func waits(
        _ head: SessionHead, in repository: OpenRepository, asWas before: RepositoryView
    ) async throws -> String? {
        guard before.said.approvals.required != nil else { return nil }
        let view = try await repository.view()
        let request = view.requests(at: repository.decisionTimes(view)).first { $0.request.hash == head.hash }
        return request.map { request in
            let missing = request.needed - request.behind.count
            return "it waits for the approval of \(missing == 1 ? "another person" : "\(missing) other persons"): "
                + "`dozo approve \(name(request.request.hash))`; until then nothing goes"
        }
    }

    /// That the owner's last word does not count yet; `nil` when it does.
    static func waits(_ repository: OpenRepository) async throws -> String? {
        guard repository.chain.decisions.contains(where: { $0.content.asksForPersons }) else { return nil }
        let view = try await repository.view()
        let head = repository.chain.head
        guard view.said.approvals.waiting.contains(where: { $0.statement == head }) else { return nil }
        return "note: it waits for approval: `dozo approve \(name(head.hash))`"
    }
}

extension OpenRepository {
    /// The times by which a sweep with this credential would decide now.
    func decisionTimes(_ view: RepositoryView, now: UInt64 = SystemClock.system.wall()) -> DecisionTimes {
        // Whoever only looks has no key to sweep with: then every other's word counts as another's.
        let own = credential.signingKey.map { WriterID(fingerprint: $0.publicKey.fingerprint) }
        return LockTime.decision(in: view, own: own, revoked: revokedWriters, now: now)
    }
}
