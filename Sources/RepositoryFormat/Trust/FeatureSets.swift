/// What a program does to a repository; each act has features of its own that must be known for it.
package enum RepositoryAct: String, CaseIterable, Sendable {
    /// Restoring, listing, verifying.
    case read
    /// Storing new objects.
    case write
    /// Deleting what nobody needs.
    case sweep
}

/// Words for what a program must know before it reads, writes or sweeps a repository (format page §3).
package struct FeatureSets: Hashable, Sendable {
    /// Of sweeping: what lets points go needs the persons that the owner asks for (format page §11, "Approvals").
    package static let approvals = "approvals"
    /// Words that this program knows, by the act that needs them.
    package static let known: [RepositoryAct: Set<String>] = [.sweep: [approvals]]

    private var words: [RepositoryAct: [String]]

    /// Words by act, without an order or repetitions that mean anything.
    package init(read: [String] = [], write: [String] = [], sweep: [String] = []) {
        words = [.read: read, .write: write, .sweep: sweep]
    }

    /// Why `act` is forbidden to this program; `nil` when it is not.
    package func refusal(for act: RepositoryAct) -> FormatError? {
        let unknown = (words[act] ?? []).filter { !(FeatureSets.known[act]?.contains($0) ?? false) }
        guard !unknown.isEmpty else { return nil }
        let list = unknown.joined(separator: ", ")
        return .unsupported("to \(act.rawValue) this repository a program must know \(list); this one does not")
    }

    /// Whether a program must know a word for an act.
    package func names(_ word: String, for act: RepositoryAct) -> Bool { words[act]?.contains(word) ?? false }

    /// The same, with or without a word for an act.
    package func setting(_ word: String, for act: RepositoryAct, to isNamed: Bool) -> FeatureSets {
        var other = self
        let rest = (words[act] ?? []).filter { $0 != word }
        other.words[act] = isNamed ? rest + [word] : rest
        return other
    }

    var value: RecordValue {
        var members: [String: RecordValue] = [:]
        for act in RepositoryAct.allCases { members[act.rawValue] = .array((words[act] ?? []).map { .text($0) }) }
        return .map(members)
    }

    init(_ fields: RecordFields, of what: String) throws(FormatError) {
        words = [:]
        for act in RepositoryAct.allCases {
            var texts: [String] = []
            for value in try fields.list(act.rawValue) {
                guard case .text(let text) = value else {
                    throw .notCanonical("\(what): a feature of \(act.rawValue) is not a text")
                }
                texts.append(text)
            }
            words[act] = texts
        }
    }
}
