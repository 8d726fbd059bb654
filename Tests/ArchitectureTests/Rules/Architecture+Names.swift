extension Architecture {
    private static let drawerNames: Set<String> = [
        "core", "common", "util", "utils", "utilities", "extra", "extras", "helper", "helpers", "shared", "misc",
        "manager", "managers",
    ]

    /// Folders, files and targets that are drawers: their last word says nothing about what is inside.
    func drawers() -> [Violation] {
        var found: [Violation] = []
        var folders: Set<String> = []
        func refuse(_ name: String, _ path: String, _ line: Int) {
            found.append(
                Violation(
                    rule: .drawerName, path: path, line: line, sentence: "\(name) is the name of a drawer",
                    remedy: "a thing without a home says that a noun is missing; name that"))
        }
        for file in files {
            if Architecture.isDrawer(file.stem) { refuse(file.name, file.path, 0) }
            for folder in file.path.split(separator: "/").dropLast() where Architecture.isDrawer(String(folder)) {
                if folders.insert(String(folder)).inserted { refuse(String(folder), file.path, 0) }
            }
        }
        for target in manifest.targets where Architecture.isDrawer(target.name) {
            refuse(target.name, "Package.swift", target.line)
        }
        return found
    }

    /// Whether the last word of a name in camel case, or cut by `-`, `_` or `+`, is one of the drawers.
    private static func isDrawer(_ name: String) -> Bool {
        var words = [""]
        for character in name {
            if character.isUppercase { words.append("") }
            if character.isLetter { words[words.count - 1].append(character) } else { words.append("") }
        }
        return drawerNames.contains((words.last { !$0.isEmpty } ?? "").lowercased())
    }

    /// Types that have their module's name: then neither can be spelled out.
    func moduleNames(_ text: SwiftText) -> [Violation] {
        let target = target(text.path)
        var found: [Violation] = []
        let keywords: Set<String> = ["struct", "class", "enum", "actor", "protocol", "typealias"]
        for index in text.tokens.indices {
            guard text.tokens[index].kind == .word, keywords.contains(text.tokens[index].text) else { continue }
            guard text.isWord(index + 1, target), !text.isInBody(index), !text.isSymbol(index - 1, ".") else {
                continue
            }
            found.append(
                Violation(
                    rule: .typeNamedAsModule, path: text.path, line: text.tokens[index].line,
                    sentence: "a type of the module \(target) has its name",
                    remedy: "name what it does: \(target)Reader, \(target)Error"))
        }
        return found
    }
}
