/// What the house refuses. The raw value is the name that people see and that ``Allowance`` uses.
enum Rule: String, CaseIterable, Sendable {
    case importUndeclared = "import-undeclared"
    case importForeign = "import-foreign"
    case importTestable = "import-testable"
    case dependencyOrder = "dependency-order"
    case dependencyUnused = "dependency-unused"
    case doorToTheWorld = "door-to-the-world"
    case doorToFiles = "door-to-files"
    case deletion = "deletion"
    case unstructuredTask = "unstructured-task"
    case forcedTry = "forced-try"
    case forcedCast = "forced-cast"
    case forcedUnwrap = "forced-unwrap"
    case unsafeUnexplained = "unsafe-unexplained"
    case lineLength = "line-length"
    case fileLength = "file-length"
    case fileLengthShare = "file-length-share"
    case bodyLength = "body-length"
    case drawerName = "drawer-name"
    case typeNamedAsModule = "type-named-as-module"
    case documentation = "documentation"
    case machinePath = "machine-path"
    case leftoverWord = "leftover-word"
    case binaryTotal = "binary-total"
    case vendoredBinary = "vendored-binary"
    case allowanceUnused = "allowance-unused"
    case allowanceUnreasoned = "allowance-unreasoned"
}

/// One place that breaks one rule.
struct Violation: Hashable, Sendable {
    let rule: Rule
    /// Relative to the top of the tree.
    let path: String
    /// From 1; 0 when the whole file is meant.
    let line: Int
    /// What is wrong, with the name or the number.
    let sentence: String
    /// What to do about it.
    let remedy: String

    /// As a compiler would say it, so that editors can jump there.
    var text: String { "\(path):\(line): [\(rule.rawValue)] \(sentence); \(remedy)" }
}
