package import BackupModel
package import RepositoryFormat

/// Something that waits for persons.
package struct PendingRequest: Sendable {
    /// What it would do.
    package enum Content: Sendable {
        /// Let points go, of those that are still there; and end locks, with `standing` those of all points.
        case points(forgets: [PointID], unlocks: [PointID], standing: Bool, reason: String)
        /// Let the owner's word come into force.
        case statement(OwnerChain.Decision.Content)
    }

    /// See ``Content``.
    package let content: Content
    /// What an approval of it names.
    package let request: Approvals.Request
    /// The rules by which it was decided, with what an approval of them names; `nil` for a decision by hand.
    package let rules: (text: String, request: Approvals.Request)?
    /// When it was asked for: nanoseconds since 1970, UTC, to be shown and no more; `nil` for a time that is none.
    package let at: UInt64?
    /// Names of the persons behind it, or behind its rules where those are more; sorted.
    package let behind: [String]
    /// How many persons there must be.
    package let needed: Int
}

extension RepositoryView {
    /// What waits for persons, the owner's words first, the rest in the order of the log; empty where none are asked
    /// for.
    ///
    /// - Parameter times: by which a sweep would decide now.
    package func requests(at times: DecisionTimes) -> [PendingRequest] {
        let approvals = said.approvals
        guard let needed = approvals.required else { return [] }
        var requests = approvals.waiting.map { decision in
            let request = Approvals.Request(hash: decision.statement.hash, signer: owner)
            return PendingRequest(
                content: .statement(decision.content), request: request, rules: nil, at: decision.nanoseconds,
                behind: approvals.persons(behind: request, at: times.approval), needed: needed)
        }
        let shown = Dictionary(points.map { ($0.record.identifier, $0.record) }) { first, _ in first }
        for asked in said.asked.sorted(by: { $0.slot < $1.slot }) {
            let forgets = asked.forgets.flatMap(\.points).filter { point in
                shown[point] != nil && said.waits(point, at: times)
                    && !said.isTakenBack(point, after: asked.slot)
            }
            let isAllowed = approvals.allow(asked.request, at: times.approval)
            let unlocks = asked.unlocks.flatMap(\.points).filter { point in
                shown[point].map { !isAllowed && said.lock(of: $0, at: times) != nil } ?? false
            }
            let standing =
                !isAllowed && asked.unlocks.contains(where: \.endsStandingLocks)
                && said.standingLock(at: times) != nil
            guard !forgets.isEmpty || !unlocks.isEmpty || standing else { continue }
            let rules = asked.rules.map { bytes in
                let digest = ForgetRecord.digest(ofRules: bytes, repository: repository, signer: asked.request.signer)
                return (
                    text: String(decoding: bytes, as: UTF8.self),
                    request: Approvals.Request(hash: digest, signer: asked.request.signer)
                )
            }
            var behind = approvals.persons(behind: asked.request, at: times.approval)
            if let rules {
                let ofRules = approvals.persons(behind: rules.request, at: times.approval)
                if ofRules.count > behind.count { behind = ofRules }
            }
            requests.append(
                PendingRequest(
                    content: .points(
                        forgets: forgets, unlocks: unlocks, standing: standing,
                        reason: asked.forgets.first?.reason ?? asked.unlocks.first?.reason ?? ""),
                    request: asked.request, rules: rules, at: asked.forgets.first?.at ?? asked.unlocks.first?.at,
                    behind: behind, needed: needed))
        }
        return requests
    }
}
