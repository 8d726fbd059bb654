/// Whom or what a notice is about. All names are labels that people gave.
package struct NoticeSubject: Hashable, Sendable {
    /// Name of the guest; `nil` when it is about none.
    package var guest: String?
    /// The repository, as the configuration calls it.
    package var repository: String?
    /// The policy, as the configuration calls it.
    package var policy: String?
    /// What else tells it from another of the same kind: a medium, a target, a host, a disk.
    package var object: String?

    /// A subject; names lose what steers or breaks lines (``PlainText/line(_:limit:)``).
    package init(guest: String? = nil, repository: String? = nil, policy: String? = nil, object: String? = nil) {
        self.guest = guest.map { PlainText.line($0) }
        self.repository = repository.map { PlainText.line($0) }
        self.policy = policy.map { PlainText.line($0) }
        self.object = object.map { PlainText.line($0) }
    }
}

/// One more thing to know, with its name for machines.
package struct NoticeDetail: Hashable, Sendable {
    /// Lower-case letters and dashes; anything else becomes a dash.
    package let name: String
    /// One line.
    package let value: String

    /// A detail; see the properties.
    package init(_ name: String, _ value: String) {
        let letters = name.lowercased().utf8.map { (97...122).contains($0) || (48...57).contains($0) ? $0 : 45 }
        self.name = String(decoding: letters.prefix(NoticeDetail.longestName), as: UTF8.self)
        self.value = PlainText.line(value)
    }

    /// Most letters of a name.
    package static let longestName = 40
}

/// Something that people are to be told, or that is over.
package struct Notice: Hashable, Sendable {
    /// How it stands with it.
    package enum Phase: Hashable, Sendable {
        /// Told for the first time.
        case new
        /// It has become worse since it was told.
        case worse
        /// It still goes on: told again.
        case reminder
        /// It is over: good news.
        case over

        /// The word for machines.
        package var word: String {
            switch self {
            case .new: "new"
            case .worse: "worse"
            case .reminder: "reminder"
            case .over: "over"
            }
        }

        /// The phase of a word; `nil` for any other.
        package init?(word: String) {
            guard let phase = [Phase.new, .worse, .reminder, .over].first(where: { $0.word == word }) else {
                return nil
            }
            self = phase
        }
    }

    /// Most details of one notice.
    package static let mostDetails = 32

    /// What it is.
    package let kind: NoticeKind
    /// How much it wants somebody to act; of something that is over, how much it had.
    package let severity: NoticeSeverity
    /// Whom it is about.
    package let subject: NoticeSubject
    /// When it happened or was seen, nanoseconds since 1970.
    package let instant: UInt64
    /// Since when it goes on, as far as it is known.
    package var since: UInt64
    /// The run that found it, by its id.
    package let run: String?
    /// One line that names the object and the numbers.
    package let sentence: String
    /// What to do, in one line; `nil` for nothing.
    package let remedy: String?
    /// More to know.
    package let details: [NoticeDetail]
    /// How it stands.
    package var phase = Phase.new

    /// A notice; texts lose what steers or breaks lines, and what is too long.
    ///
    /// - Parameters: see the properties; only the first ``mostDetails`` details are kept.
    package init(
        _ kind: NoticeKind, _ severity: NoticeSeverity, _ subject: NoticeSubject, at instant: UInt64,
        since: UInt64? = nil, run: String? = nil, _ sentence: String, remedy: String? = nil,
        details: [NoticeDetail] = []
    ) {
        self.kind = kind
        self.severity = severity
        self.subject = subject
        self.instant = instant
        self.since = since ?? instant
        self.run = run.map { PlainText.line($0) }
        self.sentence = PlainText.line(sentence, limit: PlainText.longestSentence)
        self.remedy = remedy.map { PlainText.line($0, limit: PlainText.longestSentence) }
        self.details = Array(details.prefix(Notice.mostDetails))
    }

    /// What two notices of the same problem have in common.
    package var key: NoticeKey { NoticeKey(kind: kind, subject: subject) }

    /// The notice that this problem is over.
    package func over(at instant: UInt64) -> Notice {
        let lasted = PlainText.duration(instant > since ? instant - since : 0)
        var notice = Notice(
            kind, severity, subject, at: instant, since: since, run: run, "over after \(lasted): \(sentence)",
            details: details)
        notice.phase = .over
        return notice
    }
}

/// What a problem is known by: kind and subject.
package struct NoticeKey: Hashable, Sendable, Comparable {
    /// What it is.
    package let kind: NoticeKind
    /// Whom it is about.
    package let subject: NoticeSubject

    /// - Parameters: see the properties.
    package init(kind: NoticeKind, subject: NoticeSubject) {
        self.kind = kind
        self.subject = subject
    }

    /// As one line, the same for the same problem: the kind and the names that are given, each with its letter.
    package var line: String {
        let names: [(String, String?)] = [
            ("guest", subject.guest), ("repository", subject.repository), ("policy", subject.policy),
            ("object", subject.object),
        ]
        // A name may hold the marks between names; percent signs keep two subjects apart.
        return names.reduce(kind.rawValue) { line, part in
            guard let value = part.1 else { return line }
            let escaped = value.map { $0 == "%" ? "%25" : $0 == "/" ? "%2F" : String($0) }.joined()
            return "\(line)/\(part.0)=\(escaped)"
        }
    }

    package static func < (left: NoticeKey, right: NoticeKey) -> Bool { left.line < right.line }
}
