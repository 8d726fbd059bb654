package import Notices

extension Agenda {
    private static let version: Int64 = 1

    /// For the state folder: all but the configuration.
    package var document: JSONDocument {
        .members(
            ("format", .number(Agenda.version)),
            ("jobs", .list(jobs.sorted { $0.key < $1.key }.map(document))),
            (
                "former",
                .list(
                    formerPoints.sorted { $0.key < $1.key }.map { place, point in
                        .object(
                            place.guest.members + [
                                .init("repository", .text(place.repository)), .init("last-point", .seconds(point)),
                            ])
                    })
            ),
            ("runs", .list(runs.values.sorted { $0.identifier < $1.identifier }.map(\.document))),
            (
                "pauses",
                .list(
                    pauses.sorted { $0.key < $1.key }.map { scope, until in
                        .members(
                            ("kind", .text(scope.kind)), ("name", .text(scope.name)),
                            ("until", until.map(JSONDocument.seconds)))
                    })
            ),
            (
                "uncovered",
                .list(
                    uncovered.sorted { $0.key < $1.key }.map { guest, since in
                        .object(guest.members + [.init("since", .seconds(since))])
                    })
            ))
    }

    /// What was written down; what is not understood is passed over, and then begins anew.
    ///
    /// - Returns: `nil` for a document that is none of these.
    package init?(_ configuration: AgentConfiguration, places: Places, document: JSONDocument) {
        guard document["format"]?.number == Agenda.version else { return nil }
        self.init(configuration, places: places)
        for entry in (document["jobs"]?.elements ?? []).prefix(Agenda.mostJobs) {
            guard let key = JobKey(document: entry, of: configuration), let job = GuestJob(document: entry)
            else { continue }
            if configuration.policies[key.policy] != nil {
                jobs[key] = job
            } else if let repository = entry["repository"]?.text, let point = job.lastPoint {
                // The policy got another name while no agent ran.
                remember(point, of: PointPlace(guest: key.guest, repository: repository))
            }
        }
        for entry in (document["former"]?.elements ?? []).prefix(Agenda.mostJobs) {
            guard let guest = AgendaGuest(document: entry, of: configuration),
                let repository = entry["repository"]?.text, let point = entry["last-point"]?.seconds
            else { continue }
            remember(point, of: PointPlace(guest: guest, repository: repository))
        }
        for entry in document["runs"]?.elements ?? [] {
            guard let run = AgendaRun(document: entry, of: configuration) else { continue }
            runs[run.identifier] = run
        }
        for entry in document["pauses"]?.elements ?? [] {
            guard let kind = entry["kind"]?.text, let name = entry["name"]?.text,
                let scope = PauseScope(kind: kind, name: name)
            else { continue }
            pauses[scope] = .some(entry["until"]?.seconds)
        }
        for entry in (document["uncovered"]?.elements ?? []).prefix(Agenda.mostJobs) {
            guard let guest = AgendaGuest(document: entry, of: configuration), let since = entry["since"]?.seconds
            else { continue }
            uncovered[guest] = since
        }
    }

    private func document(_ key: JobKey, _ job: GuestJob) -> JSONDocument {
        var members =
            key.members + [
                .init("since", .seconds(job.since)), .init("seen", .seconds(job.cursor.seen)),
                .init("there", .truth(job.isThere)),
                .init("durations", .list(job.durations.map(JSONDocument.seconds))),
            ]
        if let repository = configuration.policies[key.policy]?.repository {
            members.append(.init("repository", .text(repository)))
        }
        if job.skipsNext { members.append(.init("skips-next", .truth(true))) }
        if let time = job.lastStart { members.append(.init("last-start", .seconds(time))) }
        if let time = job.waived { members.append(.init("waived", .seconds(time))) }
        if let time = job.lastPoint { members.append(.init("last-point", .seconds(time))) }
        if let pending = job.pending {
            members.append(
                .init(
                    "pending",
                    .members(
                        ("due", .seconds(pending.due)), ("cause", .text(pending.cause.text)),
                        ("not-before", .seconds(pending.notBefore)), ("failures", .seconds(pending.failures)),
                        ("unfinished", .truth(pending.isUnfinished)))))
        }
        return .object(members)
    }
}

extension JSONDocument {
    /// A time or a count.
    fileprivate static func seconds(_ number: Int) -> JSONDocument { .number(Int64(number)) }
    /// A time or a count; `nil` when it is none.
    fileprivate var seconds: Int? { number.map(Int.init(_:)) }
}

extension AgendaGuest {
    fileprivate var members: [JSONDocument.Member] {
        [.init("guest", .text(name)), .init("connection", .text(connection.text))]
    }

    /// A guest whose connection the configuration knows; of another one nobody would know how to reach it.
    fileprivate init?(document: JSONDocument, of configuration: AgentConfiguration) {
        guard let name = document["guest"]?.text, let text = document["connection"]?.text,
            let connection = configuration.connections.first(where: { $0.text == text })
        else { return nil }
        self.init(connection: connection, name: name)
    }
}

extension AgentConfiguration {
    /// All connections, each once.
    package var connections: [GuestConnection] {
        Set(guests.values.map(\.connection)).sorted { $0.text < $1.text }
    }
}

extension JobKey {
    fileprivate var members: [JSONDocument.Member] { guest.members + [.init("policy", .text(policy))] }

    fileprivate init?(document: JSONDocument, of configuration: AgentConfiguration) {
        guard let guest = AgendaGuest(document: document, of: configuration), let policy = document["policy"]?.text
        else { return nil }
        self.init(guest: guest, policy: policy)
    }
}

extension AgendaRun {
    /// For the state folder.
    package var document: JSONDocument {
        .object(
            [
                .init("run", .text(identifier)), .init("repository", .text(repository)),
                .init("tier", .seconds(tier)), .init("due", .seconds(due)), .init("began", .seconds(began)),
                .init("cause", .text(cause.text)),
            ] + key.members + (stopReason.map { [.init("stop-reason", .text($0))] } ?? []))
    }

    /// A run that was written down; `nil` for anything else, and for a guest whose connection the configuration does
    /// not have any more.
    package init?(document: JSONDocument, of configuration: AgentConfiguration) {
        guard let key = JobKey(document: document, of: configuration), let run = document["run"]?.text,
            let repository = document["repository"]?.text, let tier = document["tier"]?.seconds,
            let due = document["due"]?.seconds, let began = document["began"]?.seconds,
            let cause = document["cause"]?.text.flatMap(RunCause.init(text:))
        else { return nil }
        self.init(
            identifier: run, key: key, repository: repository, tier: tier, due: due, began: began, cause: cause)
        stopReason = document["stop-reason"]?.text
    }
}

extension GuestJob {
    fileprivate init?(document: JSONDocument) {
        guard let since = document["since"]?.seconds, let seen = document["seen"]?.seconds else { return nil }
        self.init(since: since)
        cursor = ScheduleCursor(seen: seen)
        isThere = document["there"]?.truth ?? true
        durations = (document["durations"]?.elements ?? []).compactMap(\.seconds).suffix(GuestJob.mostDurations)
        skipsNext = document["skips-next"]?.truth ?? false
        lastStart = document["last-start"]?.seconds
        lastPoint = document["last-point"]?.seconds
        waived = document["waived"]?.seconds
        if let entry = document["pending"], let due = entry["due"]?.seconds,
            let cause = entry["cause"]?.text.flatMap(RunCause.init(text:)),
            let notBefore = entry["not-before"]?.seconds
        {
            var pending = Pending(due: due, cause: cause, notBefore: notBefore)
            pending.failures = max(0, entry["failures"]?.seconds ?? 0)
            pending.isUnfinished = entry["unfinished"]?.truth ?? false
            self.pending = pending
        }
    }
}
