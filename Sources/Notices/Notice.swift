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

    /// Bytes that it takes in a document at most: each name by itself, with escapes, and in the key.
    var weight: Int { 8 * [guest, repository, policy, object].reduce(0) { $0 + ($1?.utf8.count ?? 0) } }
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
    /// Bytes that its document has at most.
    let weight: Int

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
        let texts = [self.sentence, self.remedy ?? "", self.run ?? ""]
        weight =
            Notice.frame + subject.weight + 2 * texts.reduce(0) { $0 + $1.utf8.count }
            + self.details.reduce(0) { $0 + 16 + 2 * ($1.name.utf8.count + $1.value.utf8.count) }
    }

    /// Bytes of names of members, numbers and words of a document.
    private static let frame = 600

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
            var escaped = "\(line)/\(part.0)="
            for scalar in value.unicodeScalars {
                switch scalar {
                case "%": escaped += "%25"
                case "/": escaped += "%2F"
                default: escaped.unicodeScalars.append(scalar)
                }
            }
            return escaped
        }
    }

    /// By kind, then by names; what has no name comes first.
    package static func < (left: NoticeKey, right: NoticeKey) -> Bool {
        if left.kind != right.kind { return left.kind.rawValue < right.kind.rawValue }
        let (first, second) = (left.subject, right.subject)
        let pairs = [
            (first.guest, second.guest), (first.repository, second.repository), (first.policy, second.policy),
            (first.object, second.object),
        ]
        guard let differing = pairs.first(where: { $0 != $1 }) else { return false }
        guard let one = differing.0, let other = differing.1 else { return differing.0 == nil }
        return one < other
    }
}
