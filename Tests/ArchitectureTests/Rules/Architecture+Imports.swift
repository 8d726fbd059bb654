extension Architecture {
    /// Modules of the system that every target may import.
    private static let everywhere: Set<String> = ["Swift", "Glibc", "Synchronization"]
    /// Modules that tests may import besides.
    private static let inTests: Set<String> = ["Testing", "Foundation"]
    /// Modules with a Foundation's weight, and the targets that may carry it.
    private static let heavy: Set<String> = [
        "Foundation", "FoundationEssentials", "FoundationNetworking", "FoundationXML", "Dispatch",
    ]
    private static let heavyTargets: Set<String> = ["Commands", "Catalog", "Hypervisors", "Jobs", "MapCache"]
    /// Each third-party name stops at these targets (and at the tests of the same name).
    private static let foreign: [String: Set<String>] = [
        "CNBD": ["GuestSource"],
        "CVirt": ["Hypervisors"],
        "CZstd": ["ChunkCompression"],
        "COpenSSL": ["ChunkEncryption"],
        "GRDB": ["Catalog", "MapCache"],
        "Yams": ["Jobs"],
        "ArgumentParser": ["Commands", "dozo"],
    ]

    /// One module that a file names.
    private struct Import {
        let module: String
        let line: Int
        let isTestable: Bool
    }

    private func imports(of text: SwiftText) -> [Import] {
        var found: [Import] = []
        let kinds: Set<String> = ["struct", "class", "enum", "protocol", "typealias", "func", "var", "let", "actor"]
        for index in text.tokens.indices where text.isWord(index, "import") && text.enclosing[index] == nil {
            guard !text.isSymbol(index - 1, ".") else { continue }
            let next = text.token(index + 1).map { kinds.contains($0.text) } ?? false ? index + 2 : index + 1
            guard let module = text.token(next), module.kind == .word else { continue }
            var isTestable = false
            var before = index - 1
            while before >= 0, text.tokens[before].line == text.tokens[index].line {
                if text.isWord(before, "testable") { isTestable = true }
                before -= 1
            }
            found.append(Import(module: module.text, line: text.tokens[index].line, isTestable: isTestable))
        }
        return found
    }

    /// What each file may import: what its target lists, and the system.
    func imports() -> [Violation] {
        swift.flatMap { text -> [Violation] in
            guard let target = manifest.target(holding: text.path) else { return [] }
            return imports(of: text).flatMap { self.violations(of: $0, in: text.path, target) }
        }
    }

    private func violations(of item: Import, in path: String, _ target: Manifest.Target) -> [Violation] {
        var found: [Violation] = []
        let isTest = target.path.hasPrefix("Tests/")
        func refuse(_ rule: Rule, _ sentence: String, _ remedy: String) {
            found.append(Violation(rule: rule, path: path, line: item.line, sentence: sentence, remedy: remedy))
        }
        if item.isTestable {
            refuse(
                .importTestable, "@testable import of \(item.module)",
                "a test that needs the inside says that the inside wants a name of its own")
        }
        if Architecture.heavy.contains(item.module), !isTest {
            if !Architecture.heavyTargets.contains(target.name) {
                refuse(.importForeign, "\(target.name) imports \(item.module)", "use the standard library and Effects")
            }
            return found
        }
        if let admitted = Architecture.foreign[item.module],
            !admitted.contains(target.name) && !admitted.contains(where: { $0 + "Tests" == target.name })
        {
            refuse(
                .importForeign, "\(target.name) imports \(item.module)",
                "that name stops at \(admitted.sorted().joined(separator: " and ")); ask that module for what you need")
            return found
        }
        let free = Architecture.everywhere.union(isTest ? Architecture.inTests : [])
        if !free.contains(item.module), !target.dependencies.contains(item.module) {
            refuse(
                .importUndeclared, "\(target.name) imports \(item.module), which Package.swift does not list for it",
                "list it there if it stands above in the order of the data, else turn the arrow round")
        }
        return found
    }

    /// Arrows of the manifest: they point up the list, and somebody uses them.
    func dependencies() -> [Violation] {
        var found: [Violation] = []
        var above: Set<String> = []
        let ours = Set(manifest.targets.map(\.name))
        for target in manifest.targets {
            defer { above.insert(target.name) }
            guard target.path.hasPrefix("Sources/"), target.kind != .system else { continue }
            let used = Set(swift.filter { $0.path.hasPrefix(target.path + "/") }.flatMap(imports).map(\.module))
            for name in target.dependencies {
                if ours.contains(name), !above.contains(name) {
                    found.append(
                        Violation(
                            rule: .dependencyOrder, path: "Package.swift", line: target.line,
                            sentence: "\(target.name) uses \(name), which stands below it",
                            remedy: "targets stand in the order data flows, and each uses rows above it"))
                }
                if !used.contains(name) {
                    found.append(
                        Violation(
                            rule: .dependencyUnused, path: "Package.swift", line: target.line,
                            sentence: "\(target.name) lists \(name) and no file of it imports that",
                            remedy: "take the arrow out of the manifest"))
                }
            }
        }
        return found
    }
}
