/// A section of the file while it is read: knows the keys it may have and says what is wrong with the others.
///
/// Everything wrong goes to the findings, and reading goes on with `nil` or what is usual: one run names it all.
struct ConfigurationSection<Key: RawRepresentable & CaseIterable & Sendable> where Key.RawValue == String {
    private let entries: [String: ConfigurationNode.Entry]
    /// Its own path; empty for the whole file.
    let path: String
    /// The line of its own key.
    let line: Int
    /// Keys that were meant by others, which was told: they are not missing as well.
    private var misspelt: Set<String> = []

    /// Takes a section; `nil`, with an error told, when it is none. An empty value is a section without keys.
    init?(_ node: ConfigurationNode, path: String, line: Int, _ findings: inout ConfigurationFindings) {
        self.path = path
        self.line = line
        switch node.content {
        case .section(let list):
            entries = Dictionary(list.map { ($0.key, $0) }) { first, _ in first }
            let known = Key.allCases.map(\.rawValue)
            for entry in list where !known.contains(entry.key) { refuse(entry, known, &findings) }
        case .scalar("", isQuoted: false): entries = [:]
        default:
            findings.error(
                node.line, path, "here stands \(node.kind), and it takes a section of keys",
                "write \(Key.allCases.map { "\($0.rawValue):" }.joined(separator: ", ")), indented by two")
            return nil
        }
    }

    private mutating func refuse(
        _ entry: ConfigurationNode.Entry, _ known: [String], _ findings: inout ConfigurationFindings
    ) {
        let own = at(ConfigurationKeys.short(entry.key))
        // What would be left out is not worth a search for what was meant.
        guard !findings.isFull else { return findings.error(entry.line, own, "no key", "") }
        if ConfigurationKeys.later.contains(entry.key) {
            return findings.error(
                entry.line, own, "\(entry.key) are not available in this release",
                "take the key away; copies at other sites and on media come with later ones")
        }
        if ConfigurationKeys.secrets.contains(entry.key) {
            return findings.error(
                entry.line, own, "secrets do not stand in this file",
                "put it into a file that only root reads, and name that: credential-file, password-file, secret-file")
        }
        let remedy: String
        if let meant = NearMiss.of(entry.key, among: known) {
            remedy = "did you mean \(meant)?"
            misspelt.insert(meant)
        } else if let elsewhere = ConfigurationKeys.all.first(where: { $0.hasSuffix(".\(entry.key)") }) {
            remedy = "it belongs to \(elsewhere)"
        } else {
            remedy = "keys here are \(known.joined(separator: ", "))"
        }
        findings.error(entry.line, own, "\"\(ConfigurationKeys.short(entry.key))\" is no key here", remedy)
    }

    /// A key's path.
    func at(_ key: String) -> String { path.isEmpty ? key : "\(path).\(key)" }
    /// A key's path.
    func at(_ key: Key) -> String { at(key.rawValue) }

    /// A key's value, if it has one.
    subscript(key: Key) -> ConfigurationNode? { entries[key.rawValue]?.value }
    /// The line of a key, or of the section when the key is not there.
    func line(_ key: Key) -> Int { entries[key.rawValue]?.line ?? line }
    /// Whether the key is there.
    func has(_ key: Key) -> Bool { entries[key.rawValue] != nil }

    /// Says that a key is missing.
    func lacks(_ key: Key, _ remedy: String, _ findings: inout ConfigurationFindings) {
        guard !misspelt.contains(key.rawValue) else { return }
        findings.error(line, path, "the key \(key.rawValue) is missing", remedy)
    }

    /// A text; `nil` when the key is not there, or is no text, which is told.
    func text(_ key: Key, _ findings: inout ConfigurationFindings) -> String? {
        guard let node = self[key] else { return nil }
        return ConfigurationValue.text(node, at(key), &findings)
    }

    /// A value that a function reads from its text; `nil` when it is not there, or the text is none, which is told.
    ///
    /// - Parameter what: what it takes, as in `"a time such as 15m"`.
    func value<Value>(
        _ key: Key, _ what: String, _ findings: inout ConfigurationFindings, _ read: (String) -> Value?
    ) -> Value? {
        guard let text = text(key, &findings) else { return nil }
        guard let value = read(text) else {
            findings.error(
                line(key), at(key), "\"\(ConfigurationKeys.short(text))\" is not \(what)", "write \(what)")
            return nil
        }
        return value
    }

    /// A whole number of a range.
    func number(_ key: Key, _ range: ClosedRange<Int>, _ findings: inout ConfigurationFindings) -> Int? {
        value(key, "a whole number from \(range.lowerBound) to \(range.upperBound)", &findings) {
            ConfigurationValue.number($0).flatMap { range.contains($0) ? $0 : nil }
        }
    }

    /// A length of time in seconds.
    func duration(_ key: Key, _ range: ClosedRange<Int>, _ findings: inout ConfigurationFindings) -> Int? {
        let least = ConfigurationValue.duration(range.lowerBound)
        let most = ConfigurationValue.duration(range.upperBound)
        return value(key, "a time from \(least) to \(most), such as 90s, 15m, 24h or 7d", &findings) {
            ConfigurationValue.seconds($0).flatMap { range.contains($0) ? $0 : nil }
        }
    }

    /// Yes or no.
    func flag(_ key: Key, _ findings: inout ConfigurationFindings) -> Bool? {
        value(key, "yes or no", &findings) {
            switch $0 {
            case "yes", "true": true
            case "no", "false": false
            default: nil
            }
        }
    }

    /// One of the cases of an enumeration.
    func choice<Choice: RawRepresentable & CaseIterable>(
        _ key: Key, _: Choice.Type, _ findings: inout ConfigurationFindings
    ) -> Choice? where Choice.RawValue == String {
        let names = Choice.allCases.map(\.rawValue)
        return value(key, "one of \(names.joined(separator: ", "))", &findings) { Choice(rawValue: $0) }
    }

    /// An absolute path.
    func path(_ key: Key, _ findings: inout ConfigurationFindings) -> String? {
        value(key, "an absolute path", &findings) { ConfigurationValue.isPath($0) ? $0 : nil }
    }

    /// Texts of a list; one text alone is a list of one. Empty when the key is not there.
    func texts(_ key: Key, _ findings: inout ConfigurationFindings) -> [String] {
        guard let node = self[key] else { return [] }
        guard case .list(let items) = node.content else {
            if case .scalar("", isQuoted: false) = node.content { return [] }
            return text(key, &findings).map { [$0] } ?? []
        }
        return items.enumerated().compactMap {
            ConfigurationValue.text($0.element, "\(at(key))[\($0.offset + 1)]", &findings)
        }
    }

    /// A section below a key.
    func section<Inner>(_ key: Key, _: Inner.Type, _ findings: inout ConfigurationFindings)
        -> ConfigurationSection<Inner>?
    where Inner: RawRepresentable & CaseIterable & Sendable, Inner.RawValue == String {
        self[key].flatMap { ConfigurationSection<Inner>($0, path: at(key), line: line(key), &findings) }
    }

    /// Sections by names of the user's own below a key, in their order.
    func named<Inner>(_ key: Key, _: Inner.Type, _ findings: inout ConfigurationFindings)
        -> [(name: String, section: ConfigurationSection<Inner>)]
    where Inner: RawRepresentable & CaseIterable & Sendable, Inner.RawValue == String {
        guard let node = self[key] else { return [] }
        guard case .section(let list) = node.content else {
            if case .scalar("", isQuoted: false) = node.content { return [] }
            findings.error(
                node.line, at(key), "here stands \(node.kind), and it takes names with a section each",
                "write a name and a colon, and below it, indented, its keys")
            return []
        }
        return list.compactMap { entry in
            let own = "\(at(key)).\(ConfigurationKeys.short(entry.key))"
            guard ConfigurationValue.isName(entry.key) else {
                findings.error(
                    entry.line, own, "\"\(ConfigurationKeys.short(entry.key))\" cannot be a name",
                    "names have 1 to 64 letters, digits, - or _")
                return nil
            }
            return ConfigurationSection<Inner>(entry.value, path: own, line: entry.line, &findings).map {
                (entry.key, $0)
            }
        }
    }
}
