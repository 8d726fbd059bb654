import Effects
import Foundation
import Jobs
import Notices

/// What waits for the approval of persons in a repository.
package struct WaitingApprovals {
    /// How many of which kind, as `dozo approve --json` has them; empty when nothing waits.
    package let kinds: [(word: String, count: Int)]
    /// Since when the oldest waits, nanoseconds since 1970.
    package let since: UInt64
    /// Whether the owner asks for persons at all.
    package let isAskedFor: Bool

    private struct Answer: Decodable {
        struct Request: Decodable {
            let kind: String
            let at: String?
        }
        let required: Int?
        let requests: [Request]
    }

    /// What the command printed; `nil` for what is no such document.
    ///
    /// - Parameter now: since when a request waits that bears no date, or one that is still to come.
    package init?(output: [UInt8], now: UInt64) {
        guard let answer = try? JSONDecoder().decode(Answer.self, from: Data(output)) else { return nil }
        isAskedFor = answer.required != nil
        let counts = answer.requests.reduce(into: [:]) { $0[$1.kind, default: 0] += 1 }
        kinds = counts.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
        since = answer.requests.map { $0.at.flatMap { TimeText.parse($0) } ?? now }.min().map { min($0, now) } ?? now
    }
}

extension AgentService {
    private static let approvalPrefix = "asking what waits for approval in "
    /// Between two looks at a repository whose owner asks for persons, and at another.
    private static let (approvalInterval, otherInterval) = (3600 * second, 86_400 * second)
    /// Seconds that a look may take.
    private static let approvalLimit = 3600

    /// Asks from time to time what waits for persons, where there is a credential that can see it.
    func lookForApprovals(_ now: UInt64) throws {
        for (name, repository) in configuration.repositories.sorted(by: { $0.key < $1.key }) {
            guard let key = repository.maintainerFile else { continue }
            let known = approvals[name]
            let interval =
                known?.waiting?.isAskedFor ?? true ? AgentService.approvalInterval : AgentService.otherInterval
            if let asked = known?.asked, asked <= now, now - asked < interval { continue }
            let errand = AgentService.approvalPrefix + name
            guard !errands.contains(where: { $0.name == errand }) else { continue }
            approvals[name] = (now, known?.waiting)
            errands.append(
                try Errand(
                    errand,
                    [
                        RunUnderWay.ownProgram, "approve", "--repository", repository.location, "--key-file", key,
                        "--json", "--quiet",
                    ], limit: AgentService.approvalLimit, folder: folder, now: now))
        }
    }

    /// Takes an answer. - Returns: whether it was one to this question.
    func tookApprovals(_ errand: String, _ result: Errand.Result, _ now: UInt64) -> Bool {
        guard errand.hasPrefix(AgentService.approvalPrefix) else { return false }
        let name = String(errand.dropFirst(AgentService.approvalPrefix.count))
        guard result.status == 0, let waiting = WaitingApprovals(output: result.output, now: now) else {
            log.say(
                .error, "approvals-unknown",
                "what waits for approval is not known: \(AgentService.complaint(result))", [("repository", name)])
            return true
        }
        approvals[name] = (approvals[name]?.asked ?? now, waiting)
        let known = Set(configuration.repositories.keys)
        guard let repository = configuration.repositories[name] else { return true }
        let notice =
            waiting.kinds.isEmpty
            ? nil
            : Notice.approvalWaiting(
                repository: name, kinds: waiting.kinds, since: waiting.since, location: repository.location, at: now)
        let isOver = waiting.kinds.isEmpty
        post.post { desk, now in
            if let notice { desk.report([notice], at: now) }
            desk.end(at: now) { key in
                guard key.kind == .approvalWaiting, let repository = key.subject.repository else { return false }
                return !known.contains(repository) || isOver && repository == name
            }
        }
        return true
    }

    /// For whoever asks how the agent stands.
    var approvalStatus: [AgentStatusDocument.Approvals] {
        approvals.sorted { $0.key < $1.key }.compactMap { name, known in
            guard let waiting = known.waiting, !waiting.kinds.isEmpty,
                let location = configuration.repositories[name]?.location
            else { return nil }
            return AgentStatusDocument.Approvals(
                repository: name, requests: waiting.kinds.reduce(0) { $0 + $1.count },
                kinds: Dictionary(waiting.kinds.map { ($0.word, $0.count) }) { $0 + $1 },
                since: TimeText.utc(waiting.since), look: "dozo approve -r \(location)")
        }
    }
}
