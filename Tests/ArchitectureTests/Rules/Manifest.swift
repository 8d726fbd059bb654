/// What Package.swift says about targets, read from its text: literal names, no computed ones.
struct Manifest: Sendable {
    /// One target.
    struct Target: Sendable {
        enum Kind: Hashable, Sendable { case module, executable, test, system, other }

        let kind: Kind
        let name: String
        /// Folder of its files, without a last slash.
        let path: String
        /// Targets and products, by the names that an import spells.
        let dependencies: [String]
        let line: Int
    }

    /// In the order of the text.
    let targets: [Target]

    /// Reads the manifest; no targets when there are none.
    init(_ file: SourceFile) {
        let text = SwiftText(file)
        var targets: [Target] = []
        var index = 0
        while index < text.tokens.count {
            guard let kind = Manifest.kind(text, index), text.isSymbol(index + 2, "(") else {
                index += 1
                continue
            }
            let end = text.closing(index + 2)
            if let target = Manifest.target(kind, text, from: index + 3, to: end) { targets.append(target) }
            index = end + 1
        }
        self.targets = targets
    }

    /// The target whose folder holds `path`.
    func target(holding path: String) -> Target? {
        targets.filter { path.hasPrefix($0.path + "/") }.max { $0.path.count < $1.path.count }
    }

    private static func kind(_ text: SwiftText, _ index: Int) -> Target.Kind? {
        guard text.isSymbol(index, "."), let word = text.token(index + 1), word.kind == .word else { return nil }
        switch word.text {
        case "target": return .module
        case "executableTarget": return .executable
        case "testTarget": return .test
        case "systemLibrary": return .system
        case "plugin", "macro", "binaryTarget": return .other
        default: return nil
        }
    }

    private static func target(_ kind: Target.Kind, _ text: SwiftText, from start: Int, to end: Int) -> Target? {
        var name: String?
        var path: String?
        var dependencies: [String] = []
        var index = start
        while index < end {
            // At the depth of the arguments every word before a colon is a label.
            if text.isSymbol(index + 1, ":"), let label = text.token(index), label.kind == .word {
                let value = text.token(index + 2)
                switch label.text {
                case "name": name = value?.text
                case "path": path = value?.text
                case "dependencies":
                    dependencies = names(text, from: index + 3, to: text.closing(index + 2))
                default: break
                }
            }
            let isBracket = text.token(index).map { $0.kind == .symbol && "([{".contains($0.text) } ?? false
            index = isBracket ? text.closing(index) + 1 : index + 1
        }
        guard let name else { return nil }
        let folder = kind == .test ? "Tests" : "Sources"
        return Target(
            kind: kind, name: name, path: path ?? "\(folder)/\(name)", dependencies: dependencies,
            line: text.tokens[start].line)
    }

    /// The strings of a list of dependencies: plain ones, and of `.product(name: …)` the name alone.
    private static func names(_ text: SwiftText, from start: Int, to end: Int) -> [String] {
        var names: [String] = []
        var index = start
        while index < end {
            if text.tokens[index].kind == .string { names.append(text.tokens[index].text) }
            if text.isSymbol(index, "(") {
                let close = text.closing(index)
                let label = (index..<close).first { text.isWord($0, "name") && text.isSymbol($0 + 1, ":") }
                if let label, let value = text.token(label + 2) { names.append(value.text) }
                index = close
            }
            index += 1
        }
        return names
    }
}
