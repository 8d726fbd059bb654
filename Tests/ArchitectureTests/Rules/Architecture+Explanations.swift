extension Architecture {
    /// Lines before an unsafe expression in which its reason may stand, when it is not in the same body.
    private static let nearLines = 12
    /// A body of at most so many lines is covered by the reason above the type it belongs to.
    private static let shortBody = 3

    /// Unsafe code without a line that begins with `Safety:` in the same body, in the lines before it, or, for the
    /// short bodies of a type that guards a pointer, above that type.
    func explanations(_ text: SwiftText) -> [Violation] {
        let reasons = text.comments.filter(\.isSafety).map(\.firstLine)
        var found: [Violation] = []
        var reported: Set<Int> = []
        for index in text.tokens.indices {
            guard let what = unsafeThing(text, index) else { continue }
            let line = text.tokens[index].line
            let body = text.body(around: index).map { text.scopes[$0] }
            let isExplained = reasons.contains { reason in
                (line - Architecture.nearLines...line).contains(reason)
                    || body.map { ($0.firstLine...max($0.firstLine, $0.lastLine)).contains(reason) } ?? false
            }
            if isExplained || isShortAndCovered(text, index) { continue }
            // One report for each body: one line answers for all of it.
            guard reported.insert(body?.firstLine ?? line).inserted else { continue }
            found.append(
                Violation(
                    rule: .unsafeUnexplained, path: text.path, line: line, sentence: "\(what) without its reason",
                    remedy: "write a line \"// Safety: …\" in the same function or the 12 lines before it"))
        }
        return found
    }

    private func unsafeThing(_ text: SwiftText, _ index: Int) -> String? {
        let token = text.tokens[index]
        guard token.kind == .word else { return nil }
        if token.text == "unchecked", text.isSymbol(index - 1, "@") { return "@unchecked Sendable" }
        guard token.text == "unsafe" else { return nil }
        if text.isSymbol(index - 1, "("), text.isSymbol(index + 1, ")") {
            let word = text.token(index - 2)?.text ?? ""
            return ["nonisolated", "unowned"].contains(word) ? "\(word)(unsafe)" : nil
        }
        let isAttributeOrMember = text.isSymbol(index - 1, "@") || text.isSymbol(index - 1, ".")
        return isAttributeOrMember ? nil : "unsafe"
    }

    private func isShortAndCovered(_ text: SwiftText, _ index: Int) -> Bool {
        guard let body = text.body(around: index), let parent = text.scopes[body].parent else { return false }
        let (scope, type) = (text.scopes[body], text.scopes[parent])
        guard scope.lastLine - scope.firstLine - 1 <= Architecture.shortBody, !type.isStatements,
            let declaration = text.declaration(at: type.keyword)
        else { return false }
        return text.commentsAbove(declaration.start).contains(where: \.isSafety)
    }
}
