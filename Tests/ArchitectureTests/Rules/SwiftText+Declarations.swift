extension SwiftText {
    /// A declaration: its keyword, its name and the token its first attribute or modifier begins with.
    struct Declaration: Sendable {
        let keyword: String
        let name: String
        let start: Int
    }

    static let modifiers: Set<String> = [
        "package", "public", "open", "private", "fileprivate", "internal", "static", "final", "mutating", "nonmutating",
        "override", "required", "convenience", "lazy", "weak", "unowned", "nonisolated", "indirect", "borrowing",
        "consuming", "dynamic", "optional", "prefix", "postfix", "infix", "distributed", "isolated", "sending",
    ]
    static let keywords: Set<String> = [
        "func", "var", "let", "init", "subscript", "struct", "class", "enum", "actor", "protocol", "extension",
        "typealias", "associatedtype", "macro", "case", "precedencegroup", "operator",
    ]

    /// The declaration whose keyword stands at `keyword`; `nil` when none does.
    func declaration(at keyword: Int) -> Declaration? {
        guard let word = token(keyword), word.kind == .word, SwiftText.keywords.contains(word.text) else { return nil }
        var start = keyword
        while start > 0, let before = startOfModifier(endingAt: start - 1) { start = before }
        return Declaration(keyword: word.text, name: name(behind: keyword), start: start)
    }

    /// The comments right above a token, from below: only comments and nothing else stand between.
    func commentsAbove(_ index: Int) -> [Comment] {
        var found: [Comment] = []
        var line = tokens[index].line
        while let comment = comments.last(where: { $0.lastLine == line - 1 && $0.startsLine }) {
            found.append(comment)
            line = comment.firstLine
        }
        return found
    }

    /// Where the modifier or attribute that ends at `index` begins; `nil` when something else ends there.
    private func startOfModifier(endingAt index: Int) -> Int? {
        var index = index
        if isSymbol(index, ")") {
            var depth = 0
            repeat {
                if isSymbol(index, ")") { depth += 1 }
                if isSymbol(index, "(") { depth -= 1 }
                index -= 1
            } while depth > 0 && index >= 0
        }
        guard let word = token(index), word.kind == .word else { return nil }
        if isSymbol(index - 1, "@") { return index - 1 }
        return SwiftText.modifiers.contains(word.text) || word.isWord("class") ? index : nil
    }

    private func name(behind keyword: Int) -> String {
        guard let first = token(keyword + 1) else { return "" }
        if ["init", "subscript"].contains(tokens[keyword].text) { return tokens[keyword].text }
        if first.kind == .word { return first.text }
        // An operator's name: the symbols up to its parameters.
        var name = ""
        var index = keyword + 1
        while let token = token(index), token.kind == .symbol, !token.isSymbol("(") {
            if !name.isEmpty && token.spaceBefore { break }
            name += token.text
            index += 1
        }
        return name
    }
}
