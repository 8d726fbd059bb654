extension Notice {
    /// For machines: what webhooks and commands are given, and what the state folder keeps. Instants are nanoseconds
    /// since 1970 beside their stamps in RFC 3339.
    package var document: JSONDocument {
        .members(
            ("kind", .text(kind.rawValue)), ("severity", .text(severity.word)), ("phase", .text(phase.word)),
            ("key", .text(key.line)), ("guest", subject.guest.map { .text($0) }),
            ("repository", subject.repository.map { .text($0) }), ("policy", subject.policy.map { .text($0) }),
            ("object", subject.object.map { .text($0) }), ("run", run.map { .text($0) }),
            ("at", .count(instant)), ("time", .text(CivilTime(instant).stamp)), ("since", .count(since)),
            ("sentence", .text(sentence)), ("remedy", remedy.map { .text($0) }),
            ("details", details.isEmpty ? nil : .list(details.map { .list([.text($0.name), .text($0.value)]) })))
    }

    /// A notice from its document; `nil` when something needed is missing or unknown. `key`, `time` and what is not
    /// known are passed over.
    package init?(document: JSONDocument) {
        guard let kind = document["kind"]?.text.flatMap({ NoticeKind(rawValue: $0) }),
            let severity = document["severity"]?.text.flatMap({ NoticeSeverity(word: $0) }),
            let instant = document["at"]?.count, let sentence = document["sentence"]?.text
        else { return nil }
        var phase = Phase.new
        if let word = document["phase"]?.text {
            guard let known = Phase(word: word) else { return nil }
            phase = known
        }
        let details = (document["details"]?.elements ?? []).prefix(Notice.mostDetails).compactMap { pair in
            pair.elements.flatMap { parts -> NoticeDetail? in
                guard parts.count == 2, let name = parts[0].text, let value = parts[1].text else { return nil }
                return NoticeDetail(name, value)
            }
        }
        self.init(
            kind, severity, NoticeSubject(document: document), at: instant, since: document["since"]?.count,
            run: document["run"]?.text, sentence, remedy: document["remedy"]?.text, details: details)
        self.phase = phase
    }
}

extension NoticeSubject {
    /// The names that a document gives.
    package init(document: JSONDocument) {
        self.init(
            guest: document["guest"]?.text, repository: document["repository"]?.text,
            policy: document["policy"]?.text, object: document["object"]?.text)
    }
}
