import Yams

/// The text of the configuration file as a tree, within bounds.
///
/// Of YAML it takes one document of mappings, sequences and scalars. Anchors and aliases, by which few lines stand for
/// gigabytes, are refused before the parser sees them; so are tags and keys that are no text. What a scalar means is
/// decided by the key it belongs to, not by its looks.
enum ConfigurationText {
    /// Largest file, in bytes: a thousand guests by name take a tenth of it.
    static let mostBytes = 512 << 10
    /// Deepest nesting; the configuration itself takes six levels.
    static let deepest = 16
    /// Most values, keys not counted.
    static let mostNodes = 50_000
    /// Most errors and notes that are collected.
    static let mostProblems = 200

    /// Reads it. - Throws: the one reason why it is no tree, with its line.
    static func parse(_ bytes: [UInt8]) throws(ConfigurationProblem) -> ConfigurationNode {
        guard bytes.count <= mostBytes else {
            throw ConfigurationProblem(
                line: 1, key: "", sentence: "the file has \(bytes.count) bytes, and \(mostBytes) are the most",
                remedy: "name guests by patterns or tags")
        }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw ConfigurationProblem(
                line: line(ofInvalid: bytes), key: "", sentence: "this line is not UTF-8",
                remedy: "save the file as UTF-8")
        }
        try refuseBombs(bytes)
        let root: Node?
        do { root = try Yams.compose(yaml: text, .basic) } catch { throw problem(error, in: text) }
        guard let root else {
            throw ConfigurationProblem(
                line: 1, key: "", sentence: "the file is empty", remedy: "begin with the sample, dozo.sample.yaml")
        }
        var count = 0
        return try node(root, path: "", depth: 1, line: 1, &count)
    }

    private static func line(ofInvalid bytes: [UInt8]) -> Int {
        var line = 1
        for row in bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false) {
            if String(validating: row, as: UTF8.self) == nil { return line }
            line += 1
        }
        return 1
    }

    /// Refuses what makes the parser do more than the text is long: anchors, and many keys of several lines, of which
    /// each is hashed with everything in it.
    ///
    /// Whatever could be one counts, also where it stands in a comment or between quotes: a tokenizer that disagrees
    /// with the parser's once would let one through.
    private static func refuseBombs(_ bytes: [UInt8]) throws(ConfigurationProblem) {
        var line = 1
        var keyCount = 0
        for (index, byte) in bytes.enumerated() {
            if byte == UInt8(ascii: "\n") { line += 1 }
            guard byte == UInt8(ascii: "&") || byte == UInt8(ascii: "?"), mayBegin(bytes, index) else { continue }
            if byte == UInt8(ascii: "?") {
                keyCount += 1
                guard keyCount > mostLongKeys else { continue }
                throw ConfigurationProblem(
                    line: line, key: "",
                    sentence: "\"?\" before a word is a key of several lines in YAML, and keys are words here",
                    remedy: "take it away; in a text between double quotes write \\x3F for ?")
            }
            let after = index + 1 < bytes.count ? bytes[index + 1] : UInt8(ascii: "\n")
            guard after >= 0x80 || isNameByte(after) else { continue }
            throw ConfigurationProblem(
                line: line, key: "",
                sentence: "\"&\" before a word is an anchor in YAML, and anchors and aliases are not read here",
                remedy: "write the value out; in a text between double quotes write \\x26 for &")
        }
    }

    /// Most signs in a file that could begin a key of several lines; a comment may ask a question.
    private static let mostLongKeys = 64
    /// What a token may follow directly, spaces and ends of lines among them.
    private static let openers: Set<UInt8> = Set(" \t\r\n[{,:?-".utf8)
    /// The other ends of lines of YAML, and the mark that may begin a file, in UTF-8.
    private static let longOpeners: [[UInt8]] = [
        [0xC2, 0x85], [0xE2, 0x80, 0xA8], [0xE2, 0x80, 0xA9], [0xEF, 0xBB, 0xBF],
    ]

    /// Whether a token may begin at a byte.
    private static func mayBegin(_ bytes: [UInt8], _ index: Int) -> Bool {
        guard index > 0 else { return true }
        if openers.contains(bytes[index - 1]) { return true }
        return longOpeners.contains { bytes[..<index].suffix($0.count).elementsEqual($0) }
    }

    private static func isNameByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "_"), UInt8(ascii: "-"):
            true
        default: false
        }
    }

    private static func node(
        _ node: Node, path: String, depth: Int, line: Int, _ count: inout Int
    ) throws(ConfigurationProblem) -> ConfigurationNode {
        let line = node.mark?.line ?? line
        count += 1
        guard depth <= deepest, count <= mostNodes else {
            throw ConfigurationProblem(
                line: line, key: path,
                sentence: depth > deepest
                    ? "the file is nested deeper than \(deepest) levels" : "the file has more than \(mostNodes) values",
                remedy: "dozo.sample.yaml shows what it should look like")
        }
        switch node {
        case .scalar(let scalar):
            try refuse(tag: scalar.tag.rawValue, line, path)
            let isQuoted = scalar.style != .plain && scalar.style != .any
            return ConfigurationNode(content: .scalar(scalar.string, isQuoted: isQuoted), line: line)
        case .sequence(let sequence):
            try refuse(tag: sequence.tag.rawValue, line, path)
            var list: [ConfigurationNode] = []
            for (index, item) in sequence.enumerated() {
                list.append(
                    try self.node(item, path: "\(path)[\(index + 1)]", depth: depth + 1, line: line, &count))
            }
            return ConfigurationNode(content: .list(list), line: line)
        case .mapping(let mapping):
            try refuse(tag: mapping.tag.rawValue, line, path)
            var entries: [ConfigurationNode.Entry] = []
            for (key, value) in mapping {
                let keyLine = key.mark?.line ?? line
                guard case .scalar(let name) = key else {
                    throw ConfigurationProblem(
                        line: keyLine, key: path, sentence: "a key is a section or a list here, and keys are words",
                        remedy: "put the text between quotes if it is meant as a word")
                }
                try refuse(tag: name.tag.rawValue, keyLine, path)
                let word = ConfigurationKeys.short(name.string)
                let own = path.isEmpty ? word : "\(path).\(word)"
                entries.append(
                    ConfigurationNode.Entry(
                        key: name.string, line: keyLine,
                        value: try self.node(value, path: own, depth: depth + 1, line: keyLine, &count)))
            }
            return ConfigurationNode(content: .section(entries), line: line)
        case .alias:
            throw ConfigurationProblem(
                line: line, key: path, sentence: "aliases are not read here", remedy: "write the value out")
        }
    }

    /// Tags that say what is so anyway; keys have got theirs from the parser.
    private static let plainTags: Set<String> = [
        "", "tag:yaml.org,2002:str", "tag:yaml.org,2002:seq", "tag:yaml.org,2002:map",
    ]

    private static func refuse(tag: String, _ line: Int, _ path: String) throws(ConfigurationProblem) {
        guard !plainTags.contains(tag) else { return }
        throw ConfigurationProblem(
            line: line, key: path, sentence: "tags such as \(ConfigurationKeys.short(tag)) are not read here",
            remedy: "take it away, or put the text between quotes if it is meant as text")
    }

    private static func problem(_ error: any Error, in text: String) -> ConfigurationProblem {
        func made(_ line: Int, _ sentence: String, _ remedy: String) -> ConfigurationProblem {
            ConfigurationProblem(line: max(1, line), key: "", sentence: sentence, remedy: remedy)
        }
        switch error as? YamlError {
        case .scanner(_, let problem, let mark, _)?, .parser(_, let problem, let mark, _)?:
            return made(
                mark.line, "this is no YAML: \(problem) (column \(mark.column))",
                "look at the indentation and the quotes here and in the line before")
        case .composer(_, let problem, let mark, _)?:
            return made(
                mark.line,
                problem.contains("alias")
                    ? "a value that begins with * is an alias in YAML, and aliases are not read here"
                    : "this is no YAML: \(problem)",
                "put a pattern or a schedule that begins with * between quotes; write one document, without --- "
                    + "in its midst")
        case .duplicatedKeysInMapping(let keys, let context)?:
            let words = keys.prefix(8).map(ConfigurationKeys.short).joined(separator: ", ")
            return made(context.mark.line, "the key \(words) stands twice in one section", "keep one of them")
        case .reader(let problem, let offset, _, _)?:
            let line = offset.map { text.prefix($0).count { $0.isNewline } + 1 } ?? 1
            return made(line, "this is no YAML: \(problem)", "take away control characters")
        default:
            return made(1, "the parser gave up", "begin with the sample, dozo.sample.yaml")
        }
    }
}
