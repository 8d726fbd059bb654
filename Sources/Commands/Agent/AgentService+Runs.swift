import Effects
import Jobs
import Notices

extension AgentService {
    /// Does what the agenda wants.
    func obey(_ orders: [AgendaOrder], _ now: UInt64) throws {
        for order in orders {
            switch order {
            case .start(let run): start(run, now)
            case .stop(let run, let reason): stop(run, reason, now)
            case .skipped(let key, let due):
                try recordSkipped(key, due: due, because: "a person skips it", by: "person", now)
            }
        }
    }

    private func start(_ run: AgendaRun, _ now: UInt64) {
        guard let policy = configuration.policies[run.key.policy],
            let repository = configuration.repositories[run.repository]
        else { return agenda.ended(run.identifier, .failed(mayTryAgain: false), now: AgentService.seconds(now)) }
        let excluded = policy.guests.compactMap { configuration.guests[$0] }
            .filter { $0.connection == run.key.guest.connection }.flatMap(\.excludedDisks)
        let revision = configuration.revisions[run.key.policy]
        let arguments = BackupArguments(
            run.key, policy, repository: repository, excluded: excluded, mark: revision?.mark ?? "", cause: run.cause)
        do {
            if let revision { try folder.note(revision, of: run.key.policy, at: now) }
            // First what leads to it, then the process: one that nobody knows of would run beside the next.
            try keep()
            let underWay = try RunUnderWay(
                run, policy, arguments: arguments.words, mark: revision?.mark ?? "", folder: folder, now: now)
            runs[run.identifier] = underWay
            log.say(.information, "run-began", "the backup begins", facts(run) + [("by", run.cause.text)])
            try archive.keep(underWay.record, at: now)
        } catch {
            let sentence = CommandFailure(error).sentence
            var record = RunRecord(
                run: run.identifier, subject: run.subject,
                policyRevision: "\(run.key.policy)@\(revision?.mark ?? "")", startedBy: run.cause.text, began: now,
                ended: now, outcome: .failed(sentence))
            if let underWay = runs[run.identifier] {
                record = underWay.record
            } else {
                close(record, run, .failed(mayTryAgain: true), now)
                do { try folder.removeRun(run.identifier) } catch {
                    log.say(.error, "state", CommandFailure(error).sentence, facts(run))
                }
                return
            }
            // It runs; that its beginning is not on record is made up for at its end.
            log.say(.error, "record", sentence, facts(run))
        }
    }

    private func stop(_ run: AgendaRun, _ reason: String, _ now: UInt64) {
        log.say(.notice, "run-stops", "the backup is told to stop: \(reason)", facts(run))
        runs[run.identifier]?.stop(reason, folder, now: now)
    }

    func facts(_ run: AgendaRun) -> [(String, String?)] {
        [("run", run.identifier), ("guest", run.key.guest.name), ("policy", run.key.policy)]
    }

    /// Finds runs that an earlier agent began and that may go on.
    func findRuns() throws {
        for identifier in try folder.runsUnderWay() {
            guard let document = try folder.document(of: identifier),
                let found = RunUnderWay(document: document, of: configuration)
            else {
                // It died before there was a process, or belongs to a connection that is not configured any more.
                log.say(
                    .warning, "run-unknown", "what an earlier agent left of a run is not understood",
                    [("run", identifier)])
                try folder.removeRun(identifier)
                continue
            }
            runs[identifier] = found
            log.say(.notice, "run-found", "a run of an earlier agent is found again", facts(found.run))
        }
        agenda.reconcile(runs.values.map(\.run))
    }

    /// Takes every run a step further, and closes those that are done.
    func advanceRuns(_ now: UInt64) throws {
        for (identifier, current) in runs.sorted(by: { $0.key < $1.key }) {
            var underWay = current
            let isDone = underWay.advance(folder, now: now, isClosing: closing != nil)
            if let problem = underWay.unkept, problem != current.unkept {
                log.say(.error, "state", problem, facts(underWay.run))
            }
            runs[identifier] = underWay
            guard isDone else { continue }
            conclude(underWay, now)
            runs[identifier] = nil
            isDirty = true
            try folder.removeRun(identifier)
        }
    }

    private func conclude(_ underWay: RunUnderWay, _ now: UInt64) {
        var record = underWay.record
        record.ended = now
        for note in underWay.notes { log.say(.information, "run-note", note, facts(underWay.run)) }
        let end: RunEnd
        switch underWay.ending {
        case .point:
            end = .point(instant: AgentService.seconds(underWay.pointInstant ?? record.began))
            record.outcome = underWay.lacks.isEmpty ? .complete : .partial(underWay.lacks)
        case .stopped(let reason)?:
            end = .stopped
            record.outcome = .stopped(reason)
        case .failed(let sentence, let mayTryAgain)?:
            end = .failed(mayTryAgain: mayTryAgain)
            record.outcome = .failed(sentence)
        case nil:
            end = .failed(mayTryAgain: true)
            record.outcome = .failed("it ended and left no word of how")
        }
        close(record, underWay.run, end, now)
        tellChurn(underWay, now)
    }

    /// Tells that a guest has begun to write what looks encrypted.
    private func tellChurn(_ underWay: RunUnderWay, _ now: UInt64) {
        guard let churn = underWay.churn else { return }
        var clean: (point: String, instant: UInt64)?
        if let point = churn.last_clean_point, let instant = churn.last_clean_at.flatMap(TimeText.parse) {
            clean = (point, instant)
        }
        let notices = (churn.findings ?? []).map { finding in
            Notice.encryptionLike(
                underWay.run.subject, run: underWay.run.identifier, at: now, disk: finding.disk,
                ranges: finding.ranges.compactMap { range in
                    guard range.count == 2, range[0] <= .max - range[1] else { return nil }
                    return range[0]..<range[0] + range[1]
                }, lastClean: clean, isHeld: churn.last_clean_held ?? false)
        }
        for notice in notices { log.say(.critical, "encryption-like", notice.sentence, facts(underWay.run)) }
        post.post { desk, now in desk.report(notices, at: now) }
    }

    /// Keeps the record, tells the agenda, and whoever wants to know.
    private func close(_ record: RunRecord, _ run: AgendaRun, _ end: RunEnd, _ now: UInt64) {
        do { try archive.keep(record, at: now) } catch { log.say(.error, "record", error.sentence, facts(run)) }
        let hadPoint = agenda.jobs[run.key]?.lastPoint != nil
        agenda.ended(run.identifier, end, now: AgentService.seconds(now))
        let subject = run.subject
        let sizes: [(String, String?)] = [
            ("outcome", record.outcome.word), ("point", record.point), ("read", "\(record.sizes.read)"),
            ("read-again", record.sizes.readAgain > 0 ? "\(record.sizes.readAgain)" : nil),
            ("stored", "\(record.sizes.stored)"),
            ("seconds", "\(AgentService.seconds(now > record.began ? now - record.began : 0))"),
        ]
        switch record.outcome {
        case .complete:
            log.say(.information, "run-done", "there is a point", facts(run) + sizes)
            post.post { desk, now in desk.succeeded(subject, isComplete: true, at: now) }
        case .partial(let missing):
            log.say(
                .warning, "run-done", "there is a point; \(missing.joined(separator: "; "))", facts(run) + sizes)
            post.post { desk, now in
                desk.succeeded(subject, isComplete: false, at: now)
                desk.report([.partial(subject, run: record.run, at: now, missing: missing)], at: now)
            }
        case .failed(let reason):
            log.say(.error, "run-failed", reason, facts(run) + sizes)
            post.post { desk, now in
                desk.report(
                    [
                        .failed(
                            subject, run: record.run, at: now, because: reason,
                            remedy: "dozo report nightly has the whole night; dozo run \(subject.guest ?? "") tries "
                                + "again now", isGone: !hadPoint)
                    ], at: now)
            }
        case .stopped(let reason), .skipped(let reason):
            log.say(.notice, "run-stopped", "there is no point yet: \(reason)", facts(run) + sizes)
        case .running: break
        }
    }

    /// Keeps on record that a run was due and left out.
    func recordSkipped(_ key: JobKey, due: Int, because reason: String, by person: String, _ now: UInt64) throws {
        guard let policy = configuration.policies[key.policy] else { return }
        let subject = NoticeSubject(guest: key.guest.name, repository: policy.repository, policy: key.policy)
        let mark = configuration.revisions[key.policy]?.mark ?? ""
        log.say(.notice, "run-skipped", reason, [("guest", key.guest.name), ("policy", key.policy)])
        try archive.keep(
            RunRecord(
                run: "skip-\(due)-\(mark)-\(key.guest.name)", subject: subject,
                policyRevision: "\(key.policy)@\(mark)", startedBy: person, began: now, ended: now,
                outcome: .skipped(reason)), at: now)
    }
}
