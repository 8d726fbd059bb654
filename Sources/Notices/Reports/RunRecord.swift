/// What is kept of one run of one guest.
package struct RunRecord: Hashable, Sendable {
    /// How it ended.
    package enum Outcome: Hashable, Sendable {
        /// It goes on.
        case running
        /// There is a point, and it has all that was asked for.
        case complete
        /// There is a point that lacks something, a phrase each.
        case partial([String])
        /// There is no point; the error's sentence.
        case failed(String)
        /// It was stopped cleanly and goes on the next time: the window's end, a UPS on battery, a person.
        case stopped(String)
        /// It never began, though it was due; why.
        case skipped(String)

        /// The word for machines.
        package var word: String {
            switch self {
            case .running: "running"
            case .complete: "complete"
            case .partial: "partial"
            case .failed: "failed"
            case .stopped: "stopped"
            case .skipped: "skipped"
            }
        }

        /// What is said beside the word.
        package var reasons: [String] {
            switch self {
            case .running, .complete: []
            case .partial(let list): list
            case .failed(let reason), .stopped(let reason), .skipped(let reason): [reason]
            }
        }

        /// An outcome from its words; `nil` for a word that is not known.
        package init?(word: String, reasons: [String]) {
            switch word {
            case "running": self = .running
            case "complete": self = .complete
            case "partial": self = .partial(reasons)
            case "failed": self = .failed(reasons.first ?? "")
            case "stopped": self = .stopped(reasons.first ?? "")
            case "skipped": self = .skipped(reasons.first ?? "")
            default: return nil
            }
        }
    }

    /// A part of the run and how long it took.
    package struct Phase: Hashable, Sendable {
        /// Its name.
        package let name: String
        /// Nanoseconds.
        package let duration: UInt64

        /// - Parameters: see the properties.
        package init(_ name: String, _ duration: UInt64) {
            self.name = PlainText.line(name, limit: 64)
            self.duration = duration
        }
    }

    /// Sizes, in bytes.
    package struct Sizes: Hashable, Sendable {
        /// Read from the guest.
        package var read: UInt64 = 0
        /// Of these, read again because an earlier run was stopped.
        package var readAgain: UInt64 = 0
        /// What had changed since the point before.
        package var changed: UInt64 = 0
        /// What the repository did not have yet.
        package var new: UInt64 = 0
        /// What that takes up, compressed and sealed.
        package var stored: UInt64 = 0

        /// Nothing.
        package init() {}

        /// Sizes; see the properties.
        package init(read: UInt64, readAgain: UInt64 = 0, changed: UInt64, new: UInt64, stored: UInt64) {
            self.read = read
            self.readAgain = readAgain
            self.changed = changed
            self.new = new
            self.stored = stored
        }

        /// Both together; ends at the largest number there is.
        package static func + (left: Sizes, right: Sizes) -> Sizes {
            Sizes(
                read: later(left.read, by: right.read), readAgain: later(left.readAgain, by: right.readAgain),
                changed: later(left.changed, by: right.changed), new: later(left.new, by: right.new),
                stored: later(left.stored, by: right.stored))
        }
    }

    /// Most phases, and most reasons of an outcome.
    package static let mostParts = 32

    /// Its id.
    package var run: String
    /// Guest, repository and policy.
    package var subject: NoticeSubject
    /// Revision of the policy that it followed.
    package var policyRevision: String
    /// Who or what started it: `schedule`, `catch-up`, a person's name.
    package var startedBy: String
    /// When it began, nanoseconds since 1970.
    package var began: UInt64
    /// When it ended; `nil` while it goes on.
    package var ended: UInt64?
    /// How it ended.
    package var outcome: Outcome
    /// The point it made.
    package var point: String?
    /// What took how long, in order.
    package var phases: [Phase]
    /// How much.
    package var sizes: Sizes
    /// How the changes were found.
    package var trust: String?
    /// What the point's instant promises.
    package var consistency: String?

    /// A record; texts lose what steers or breaks lines.
    package init(
        run: String, subject: NoticeSubject, policyRevision: String, startedBy: String, began: UInt64, ended: UInt64?,
        outcome: Outcome, point: String? = nil, phases: [Phase] = [], sizes: Sizes = Sizes(), trust: String? = nil,
        consistency: String? = nil
    ) {
        self.run = PlainText.line(run, limit: 64)
        self.subject = subject
        self.policyRevision = PlainText.line(policyRevision, limit: 128)
        self.startedBy = PlainText.line(startedBy, limit: 128)
        self.began = began
        self.ended = ended
        let reasons = outcome.reasons.prefix(RunRecord.mostParts).map { PlainText.line($0) }
        self.outcome = Outcome(word: outcome.word, reasons: reasons) ?? outcome
        self.point = point.map { PlainText.line($0, limit: 64) }
        self.phases = Array(phases.prefix(RunRecord.mostParts))
        self.sizes = sizes
        self.trust = trust.map { PlainText.line($0, limit: 64) }
        self.consistency = consistency.map { PlainText.line($0, limit: 64) }
    }

    /// Nanoseconds from its beginning to its end, or to now.
    func duration(at now: UInt64) -> UInt64 { passed(began, ended ?? now) }
}

extension RunRecord {
    /// For machines, and for the state folder.
    package var document: JSONDocument {
        .members(
            ("run", .text(run)), ("guest", subject.guest.map { .text($0) }),
            ("repository", subject.repository.map { .text($0) }), ("policy", subject.policy.map { .text($0) }),
            ("object", subject.object.map { .text($0) }), ("policy-revision", .text(policyRevision)),
            ("started-by", .text(startedBy)), ("began", .count(began)), ("ended", ended.map { .count($0) }),
            ("outcome", .text(outcome.word)),
            ("reasons", outcome.reasons.isEmpty ? nil : .list(outcome.reasons.map { .text($0) })),
            ("point", point.map { .text($0) }),
            ("phases", .list(phases.map { .list([.text($0.name), .count($0.duration)]) })),
            ("bytes-read", .count(sizes.read)), ("bytes-read-again", .count(sizes.readAgain)),
            ("bytes-changed", .count(sizes.changed)), ("bytes-new", .count(sizes.new)),
            ("bytes-stored", .count(sizes.stored)), ("trust", trust.map { .text($0) }),
            ("consistency", consistency.map { .text($0) }))
    }

    /// A record from its document; `nil` when something needed is missing or unknown.
    package init?(document: JSONDocument) {
        let reasons = (document["reasons"]?.elements ?? []).prefix(RunRecord.mostParts).compactMap(\.text)
        guard let run = document["run"]?.text, let began = document["began"]?.count,
            let outcome = document["outcome"]?.text.flatMap({ Outcome(word: $0, reasons: reasons) })
        else { return nil }
        let phases = (document["phases"]?.elements ?? []).prefix(RunRecord.mostParts).compactMap { pair -> Phase? in
            guard let parts = pair.elements, parts.count == 2, let name = parts[0].text, let duration = parts[1].count
            else { return nil }
            return Phase(name, duration)
        }
        func bytes(_ name: String) -> UInt64 { document["bytes-\(name)"]?.count ?? 0 }
        self.init(
            run: run, subject: NoticeSubject(document: document),
            policyRevision: document["policy-revision"]?.text ?? "", startedBy: document["started-by"]?.text ?? "",
            began: began, ended: document["ended"]?.count, outcome: outcome, point: document["point"]?.text,
            phases: phases,
            sizes: Sizes(
                read: bytes("read"), readAgain: bytes("read-again"), changed: bytes("changed"), new: bytes("new"),
                stored: bytes("stored")), trust: document["trust"]?.text, consistency: document["consistency"]?.text)
    }
}
