import ArgumentParser
import RepositoryFormat

/// What is written down of a point beside what it holds: by what it is found again, and what asked for it.
struct OriginOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "A word by which rules and people find the point again; may be repeated.", valueName: "word"))
    var tag: [String] = []
    @Option(help: ArgumentHelp("The policy that the point is made for.", valueName: "name@revision"))
    var policy: String?
    @Option(help: ArgumentHelp("What started the run, such as schedule or change-1234.", valueName: "word"))
    var startedBy: String?

    /// The tags, ascending, each once.
    var tags: [String] { Set(tag).sorted() }

    /// What asked for the run; `nil` when nobody said.
    var origin: RestorePointRecord.Origin? {
        guard policy != nil || startedBy != nil else { return nil }
        let (name, revision) = named
        return RestorePointRecord.Origin(policy: name, revision: revision, startedBy: startedBy ?? "")
    }

    /// The policy's name and its revision. A name may hold what people like: the last @ splits.
    private var named: (String, String) {
        guard let policy else { return ("", "") }
        guard let at = policy.lastIndex(of: "@") else { return (policy, "") }
        return (String(policy[..<at]), String(policy[policy.index(after: at)...]))
    }

    func validate() throws {
        let most = RestorePointRecord.wordByteCount
        for word in tag where !RestorePointRecord.isWord(word) {
            throw ValidationError(
                "\(Console.printable(word)) is no tag: it has 1 to \(most) bytes and no control characters")
        }
        guard Set(tag).count <= RestorePointRecord.tagLimit else {
            throw ValidationError("a point has \(RestorePointRecord.tagLimit) tags at most")
        }
        if let startedBy, !RestorePointRecord.isWord(startedBy) {
            throw ValidationError("--started-by is a word of 1 to \(most) bytes")
        }
        if policy != nil {
            let (name, revision) = named
            guard RestorePointRecord.isWord(name), revision.isEmpty || RestorePointRecord.isWord(revision) else {
                throw ValidationError("--policy is NAME or NAME@REVISION, each of 1 to \(most) bytes")
            }
        }
    }
}
