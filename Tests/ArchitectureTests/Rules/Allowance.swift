/// One exception to one rule, with its reason. An allowance that covers nothing is a violation itself, so the list only
/// holds what is true today.
struct Allowance: Sendable {
    let rule: Rule
    /// A file, or all files below a folder when it ends with `/`.
    let path: String
    /// What the sentence of the violation must contain; empty for any.
    let containing: String
    /// Why the rule does not hold here; a sentence of at least four words.
    let reason: String
    /// Where this stands in the list.
    let line: Int

    init(_ rule: Rule, _ path: String, containing: String = "", because reason: String, line: Int = #line) {
        self.rule = rule
        self.path = path
        self.containing = containing
        self.reason = reason
        self.line = line
    }

    /// Where the list stands, for messages.
    static let listPath = "Tests/ArchitectureTests/Rules/Allowance+List.swift"

    func covers(_ violation: Violation) -> Bool {
        guard rule == violation.rule, containing.isEmpty || violation.sentence.contains(containing) else {
            return false
        }
        return path.hasSuffix("/") ? violation.path.hasPrefix(path) : violation.path == path
    }

    /// `found` without what is allowed, and with what is wrong about the allowances.
    static func apply(_ allowances: [Allowance], to found: [Violation]) -> [Violation] {
        var left = found.filter { violation in !allowances.contains { $0.covers(violation) } }
        for allowance in allowances {
            if !found.contains(where: allowance.covers) {
                left.append(
                    Violation(
                        rule: .allowanceUnused, path: listPath, line: allowance.line,
                        sentence: "nothing in \(allowance.path) breaks \(allowance.rule.rawValue) any more",
                        remedy: "take the line out"))
            }
            if allowance.reason.split(separator: " ").count < 4 {
                left.append(
                    Violation(
                        rule: .allowanceUnreasoned, path: listPath, line: allowance.line,
                        sentence: "\(allowance.path) is excepted from \(allowance.rule.rawValue) without a reason",
                        remedy: "say in a sentence why the rule does not hold there"))
            }
        }
        return left
    }
}
