import Effects
import Foundation
import Glibc
import Jobs
import Notices

extension AgentService {
    /// Answers one question at the control socket.
    func answer(_ question: [UInt8], from peer: SocketPeer) -> [UInt8] {
        let answer = judged(question, from: peer)
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return (try? encoder.encode(answer)).map { Array($0) } ?? Array(#"{"status":1,"says":[]}"#.utf8)
    }

    private func judged(_ question: [UInt8], from peer: SocketPeer) -> AgentAnswer {
        guard
            AgentAccess.isAllowed(
                peer, agent: geteuid(), group: SocketPeer.group(named: AgentAccess.group))
        else {
            log.say(
                .warning, "refused", "somebody who may not asked the agent",
                [("user", peer.userName), ("process", "\(peer.process)")])
            return AgentAnswer(
                status: ExitStatus.refused.rawValue,
                says: ["\(peer.userName) may not ask this agent: root and members of the group dozo may"])
        }
        guard let asked = try? JSONDecoder().decode(AgentQuestion.self, from: Data(question)) else {
            return AgentAnswer(
                status: ExitStatus.usage.rawValue,
                says: ["the agent does not understand that; is it of another version of dozo?"])
        }
        switch asked.ask {
        case .status: return AgentAnswer(status: 0, says: [], state: status())
        case .run: return told(asked, peer, run)
        case .skip: return told(asked, peer, skip)
        case .pause: return told(asked, peer, pause)
        case .resume: return told(asked, peer, resume)
        }
    }

    private func told(
        _ asked: AgentQuestion, _ peer: SocketPeer, _ act: (AgentQuestion, String) -> AgentAnswer
    ) -> AgentAnswer {
        guard closing == nil else {
            return AgentAnswer(status: ExitStatus.refused.rawValue, says: ["the agent is on its way out"])
        }
        isDirty = true
        let answer = act(asked, peer.userName)
        for sentence in answer.says {
            log.say(
                .notice, "asked", sentence, [("user", peer.userName), ("verb", asked.ask.rawValue)])
        }
        do { try keep() } catch {
            return AgentAnswer(
                status: ExitStatus.failed.rawValue,
                says: answer.says + ["this is not written down yet: \(CommandFailure(error).sentence)"])
        }
        return answer
    }

    /// Jobs that a question names.
    private func chosen(_ asked: AgentQuestion) -> [JobKey] {
        let guests = asked.guests ?? []
        let policies = asked.policies ?? []
        return agenda.jobs.keys.filter { key in
            asked.all == true
                || (guests.isEmpty || guests.contains(key.guest.name))
                    && (policies.isEmpty || policies.contains(key.policy)) && !(guests.isEmpty && policies.isEmpty)
        }.sorted()
    }

    private func unknown(_ asked: AgentQuestion) -> [String] {
        let guests = Set(agenda.jobs.keys.map(\.guest.name))
        let missing =
            (asked.guests ?? []).filter { !guests.contains($0) }.map { "no policy covers a guest \($0)" }
            + (asked.policies ?? []).filter { configuration.policies[$0] == nil }.map { "there is no policy \($0)" }
        return missing.map { PlainText.line($0) }
    }

    private func run(_ asked: AgentQuestion, _ person: String) -> AgentAnswer {
        var says = unknown(asked)
        var count = 0
        for key in chosen(asked) {
            if runs.values.contains(where: { $0.run.key == key }) {
                says.append("\(key.guest.name) is being backed up by \(key.policy) already")
                count += 1
            } else if agenda.demand(key, by: person, now: AgentService.seconds(now)) {
                says.append("\(key.guest.name) will be backed up by \(key.policy) as soon as there is a place")
                count += 1
            } else {
                says.append("\(key.guest.name) is not there now")
            }
        }
        if says.isEmpty { says = ["nothing fits"] }
        let isWhole = unknown(asked).isEmpty && count > 0 && count == chosen(asked).count
        return AgentAnswer(status: isWhole ? 0 : count > 0 ? 3 : 1, says: says)
    }

    private func skip(_ asked: AgentQuestion, _ person: String) -> AgentAnswer {
        var says = unknown(asked)
        let keys = chosen(asked)
        for key in keys {
            if let due = agenda.skip(key) {
                says.append("\(key.guest.name): the run by \(key.policy) that is due is left out")
                do {
                    try recordSkipped(
                        key, due: due, because: "\(person) skips it", by: RunCause.person(person).text, now)
                } catch {
                    says.append(CommandFailure(error).sentence)
                }
            } else {
                says.append("\(key.guest.name): the next run by \(key.policy) is left out")
            }
        }
        if says.isEmpty { says = ["nothing fits"] }
        return AgentAnswer(status: keys.isEmpty ? 1 : unknown(asked).isEmpty ? 0 : 3, says: says)
    }

    private func scopes(_ asked: AgentQuestion) -> [PauseScope] {
        asked.all == true
            ? [.all] : (asked.guests ?? []).map(PauseScope.guest) + (asked.policies ?? []).map(PauseScope.policy)
    }

    private func pause(_ asked: AgentQuestion, _ person: String) -> AgentAnswer {
        let missing = unknown(asked)
        guard missing.isEmpty else { return AgentAnswer(status: 1, says: missing) }
        let until = asked.until
        let seconds = AgentService.seconds(now)
        if let until, until <= seconds || until - seconds > AgentService.longestPause {
            return AgentAnswer(status: ExitStatus.usage.rawValue, says: ["a pause ends within a year from now"])
        }
        for scope in scopes(asked) { agenda.pause(scope, until: until) }
        let end = until.map { " until \(TimeText.local(UInt64($0) * AgentService.second))" } ?? ""
        return AgentAnswer(
            status: 0,
            says: scopes(asked).map { "\($0.words): no run begins by itself\(end); what runs goes on" })
    }

    /// Seconds of a pause at most: a year, and a day for a clock that differs.
    private static let longestPause = 367 * 86_400

    private func resume(_ asked: AgentQuestion, _ person: String) -> AgentAnswer {
        var count = 0
        let scopes = asked.all == true ? agenda.pauses.keys.sorted() : scopes(asked)
        guard !scopes.isEmpty else { return AgentAnswer(status: 1, says: ["nothing is paused"]) }
        let says = scopes.map { scope in
            guard agenda.resume(scope) else { return "\(scope.words): was not paused" }
            count += 1
            return "\(scope.words): runs begin again as they are due"
        }
        return AgentAnswer(status: count == says.count && count > 0 ? 0 : 1, says: says)
    }

    // MARK: Status

    private func status() -> AgentStatusDocument {
        let now = now
        let seconds = AgentService.seconds(now)
        return AgentStatusDocument(
            version: DozoCommand.version, process: getpid(), since: TimeText.utc(began), config: options.configFile,
            config_problem: configurationProblem, stopping: closing?.reason,
            runs: runs.values.sorted { $0.run.began < $1.run.began }.map { underWay in
                AgentStatusDocument.Run(
                    run: underWay.run.identifier, guest: underWay.run.key.guest.name,
                    policy: underWay.run.key.policy, repository: underWay.run.repository,
                    step: underWay.step.rawValue, began: AgentService.text(underWay.run.began),
                    started_by: underWay.run.cause.text, stops_because: underWay.stopReason)
            }, jobs: agenda.jobs.sorted { $0.key < $1.key }.compactMap { job($0.key, $0.value, seconds) },
            pauses: agenda.pauses.sorted { $0.key < $1.key }.map { scope, until in
                AgentStatusDocument.Pause(
                    kind: scope.kind, name: scope.name, until: until.map(AgentService.text))
            },
            uncovered: agenda.uncovered.keys.sorted().map {
                AgentStatusDocument.Guest(name: $0.name, connection: $0.connection.text)
            },
            unreachable: Dictionary(
                discovery.compactMap { key, value in value.problem.map { (key.text, $0) } },
                uniquingKeysWith: { first, _ in first }),
            problems: post.open.sorted { ($1.severity, $0.key) < ($0.severity, $1.key) }.map { notice in
                AgentStatusDocument.Problem(
                    kind: notice.kind.rawValue, guest: notice.subject.guest, severity: notice.severity.word,
                    sentence: notice.sentence,
                    remedy: notice.remedy, since: TimeText.utc(notice.since))
            }, approvals: approvalStatus,
            repositories: configuration.repositories.keys.sorted().map { name in
                AgentStatusDocument.Repository(
                    name: name,
                    next_prune: rounds.nextTidying(of: name, configuration, now: seconds).map(AgentService.text),
                    next_verification: rounds.nextVerifying(of: name, configuration, now: seconds)
                        .map(AgentService.text))
            })
    }

    private static func text(_ seconds: Int) -> String { TimeText.utc(UInt64(max(0, seconds)) * second) }

    private func job(_ key: JobKey, _ job: GuestJob, _ now: Int) -> AgentStatusDocument.Job? {
        guard let policy = configuration.policies[key.policy] else { return nil }
        let isRunning = runs.values.contains { $0.run.key == key }
        let state =
            isRunning
            ? "running"
            : !job.isThere
                ? "gone"
                : agenda.isPaused(key)
                    ? "paused"
                    : job.pending?.isUnfinished == true ? "unfinished" : job.pending != nil ? "due" : "waiting"
        let age = max(0, now - (job.lastPoint ?? job.since))
        return AgentStatusDocument.Job(
            guest: key.guest.name, connection: key.guest.connection.text, policy: key.policy, tier: policy.tier,
            repository: policy.repository, state: state, due: job.pending.map { AgentService.text($0.due) },
            next: [job.pending?.notBefore, agenda.clock(of: key)?.next(after: now)].compactMap(\.self)
                .filter { $0 > now }.min().map(AgentService.text),
            last_start: job.lastStart.map(AgentService.text), last_point: job.lastPoint.map(AgentService.text),
            age_seconds: job.lastPoint.map { max(0, now - $0) }, rpo_seconds: policy.rpo,
            objective_class: ObjectiveClass(
                age: UInt64(age) * AgentService.second, target: UInt64(max(1, policy.rpo)) * AgentService.second
            ).rawValue)
    }
}

extension PauseScope {
    fileprivate var words: String {
        switch self {
        case .all: "everything"
        case .guest(let name): "guest \(name)"
        case .policy(let name): "policy \(name)"
        }
    }
}
