extension Architecture {
    /// Declarations that other modules see and that nothing explains.
    func documentation(_ text: SwiftText) -> [Violation] {
        var found: [Violation] = []
        func refuse(_ line: Int, _ sentence: String, _ remedy: String) {
            found.append(
                Violation(rule: .documentation, path: text.path, line: line, sentence: sentence, remedy: remedy))
        }
        for index in text.tokens.indices where !text.isInBody(index) {
            guard let declaration = visibleDeclaration(text, index) else { continue }
            let line = text.tokens[index].line
            if declaration.keyword == "extension" {
                refuse(
                    line, "an extension of \(declaration.name) has an access level of its own",
                    "write it on each member, where a reader looks for it")
                continue
            }
            let isDocumented = text.commentsAbove(declaration.start).contains(where: \.isDocumentation)
            if !isDocumented, !isWitness(text, index, declaration.name) {
                let name = declaration.keyword == declaration.name ? "" : " \(declaration.name)"
                refuse(
                    line, "\(declaration.keyword)\(name) is seen by other modules and not explained",
                    "write a /// sentence a stranger can act on: units, ranges, errors")
            }
        }
        return found
    }

    /// The declaration that `package`, `public` or `open` at `index` belongs to, or the requirement of a visible
    /// protocol whose keyword stands there.
    private func visibleDeclaration(_ text: SwiftText, _ index: Int) -> SwiftText.Declaration? {
        let token = text.tokens[index]
        guard token.kind == .word, !text.isSymbol(index - 1, ".") else { return nil }
        if isRequirement(text, index) { return text.declaration(at: index) }
        guard ["package", "public", "open"].contains(token.text), let next = text.token(index + 1) else { return nil }
        let begins = SwiftText.modifiers.contains(next.text) || SwiftText.keywords.contains(next.text)
        guard begins || next.isSymbol("@"), !text.isWord(index - 1, "func") else { return nil }
        var keyword = index + 1
        while let word = text.token(keyword) {
            let isModifier = word.isWord("class") && ["func", "var"].contains { text.isWord(keyword + 1, $0) }
            if word.kind == .word, SwiftText.keywords.contains(word.text), !isModifier { break }
            keyword = word.isSymbol("(") ? text.closing(keyword) + 1 : keyword + 1
        }
        return text.declaration(at: keyword)
    }

    /// Whether the keyword at `index` declares a requirement of a protocol that other modules see.
    private func isRequirement(_ text: SwiftText, _ index: Int) -> Bool {
        let kinds: Set<String> = ["func", "var", "init", "subscript", "associatedtype"]
        guard kinds.contains(text.tokens[index].text), let around = text.enclosing[index],
            case .members("protocol", let name) = text.scopes[around].kind
        else { return false }
        return protocols.visible.contains(name)
    }

    private func isWitness(_ text: SwiftText, _ index: Int, _ name: String) -> Bool {
        guard let around = text.enclosing[index], case .members(let keyword, let type) = text.scopes[around].kind else {
            return false
        }
        return keyword != "protocol" && protocols.explains(name, of: type)
    }
}
