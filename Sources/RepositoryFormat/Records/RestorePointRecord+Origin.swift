import BackupModel

extension RestorePointRecord {
    /// Tags of one point, at most.
    package static let tagLimit = 32
    /// UTF-8 bytes of a tag, of a policy's name, of its revision and of what started a run, at most.
    package static let wordByteCount = 64

    /// What asked for the run that made a point (format page §11).
    package struct Origin: Hashable, Sendable {
        /// The policy's name; empty when no policy asked.
        package var policy: String
        /// Which wording of it, as the agent counts them; empty when not known.
        package var revision: String
        /// What started the run, such as `schedule`; empty when not known.
        package var startedBy: String

        /// An origin from its fields.
        package init(policy: String, revision: String, startedBy: String) {
            self.policy = policy
            self.revision = revision
            self.startedBy = startedBy
        }

        var value: RecordValue {
            .map(["name": .text(policy), "revision": .text(revision), "started_by": .text(startedBy)])
        }

        init(_ value: RecordValue, of what: String) throws(FormatError) {
            let fields = try RecordFields(value, of: what)
            policy = try fields.word(text: "name", of: what)
            revision = try fields.word(text: "revision", of: what)
            startedBy = try fields.word(text: "started_by", of: what)
        }
    }

    /// Whether a text can be a tag, or the name of a policy: 1 to ``wordByteCount`` bytes, without control characters.
    package static func isWord(_ text: String) -> Bool {
        (1...wordByteCount).contains(text.utf8.count) && NameCheck.isFit(text)
    }

    static func tags(_ fields: RecordFields, of what: String) throws(FormatError) -> [String] {
        let values = try fields.list("tags", orEmpty: true)
        guard values.count <= tagLimit else {
            throw .overLimit("tags of \(what)", value: UInt64(values.count), limit: UInt64(tagLimit))
        }
        var tags: [String] = []
        for value in values {
            guard case .text(let tag) = value, isWord(tag) else {
                throw .notCanonical("\(what): a tag is not a text of 1 to \(wordByteCount) bytes")
            }
            if let last = tags.last, last >= tag { throw .notCanonical("\(what): its tags are not in ascending order") }
            tags.append(tag)
        }
        return tags
    }
}

extension RecordFields {
    fileprivate func word(text name: String, of what: String) throws(FormatError) -> String {
        let word = try text(name)
        guard word.isEmpty || RestorePointRecord.isWord(word) else {
            throw .notCanonical(
                "\(what): \(name) has more than \(RestorePointRecord.wordByteCount) bytes, or control characters")
        }
        return word
    }
}
