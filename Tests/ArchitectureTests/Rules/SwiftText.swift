/// A Swift file cut into tokens, with its braces understood: which enclose a type's members and which enclose
/// statements.
struct SwiftText: Sendable {
    /// What stands between `{` and the `}` that closes it.
    struct Scope: Sendable {
        enum Kind: Hashable, Sendable {
            /// Members of a type, extension or protocol: its keyword and its name (the last part of a dotted one).
            case members(keyword: String, name: String)
            case statements
        }

        let kind: Kind
        /// Index of the declaring keyword of a type's scope; of the brace otherwise.
        let keyword: Int
        /// The words behind the colon of the declaration: protocols, superclass, conditions on them.
        let inherits: [String]
        /// Index into ``SwiftText/scopes`` of the scope around it.
        let parent: Int?
        let firstLine: Int
        fileprivate(set) var lastLine: Int

        var isStatements: Bool { kind == .statements }
    }

    let path: String
    let tokens: [Token]
    let comments: [Comment]
    private(set) var scopes: [Scope] = []
    /// For each token the index of the innermost scope around it.
    private(set) var enclosing: [Int?] = []

    init(_ file: SourceFile) {
        let tokenizer = Tokenizer(file.text ?? "")
        path = file.path
        tokens = tokenizer.tokens
        comments = tokenizer.comments
        findScopes()
    }

    /// The token at `index`; `nil` outside.
    func token(_ index: Int) -> Token? { tokens.indices.contains(index) ? tokens[index] : nil }

    func isWord(_ index: Int, _ word: String) -> Bool { token(index)?.isWord(word) ?? false }
    func isSymbol(_ index: Int, _ symbol: String) -> Bool { token(index)?.isSymbol(symbol) ?? false }

    /// Index of the outermost scope of statements around a token: the body of the function, accessor or closure it is
    /// in.
    func body(around index: Int) -> Int? {
        var found: Int?
        var next = enclosing[index]
        while let current = next {
            if scopes[current].isStatements { found = current }
            next = scopes[current].parent
        }
        return found
    }

    /// Whether the token stands among statements rather than among declarations.
    func isInBody(_ index: Int) -> Bool { body(around: index) != nil }

    /// Index of the token that closes the bracket at `index`; the last token when none does.
    func closing(_ index: Int) -> Int {
        var depth = 0
        for next in index..<tokens.count where tokens[next].kind == .symbol {
            if "([{".contains(tokens[next].text) { depth += 1 }
            if ")]}".contains(tokens[next].text) { depth -= 1 }
            if depth == 0 { return next }
        }
        return tokens.count - 1
    }

    private struct PendingType {
        let index: Int
        let name: String
        let depth: Int
        var inherits: [String] = []
        var isBehindColon = false
    }

    private mutating func findScopes() {
        var open: [Int] = []
        var depth = 0
        var pending: PendingType?
        for index in tokens.indices {
            let token = tokens[index]
            enclosing.append(open.last)
            if let type = typeDeclared(at: index) {
                pending = PendingType(index: index, name: type, depth: depth)
                continue
            }
            note(token, in: &pending)
            guard token.kind == .symbol else { continue }
            switch token.text {
            case "(", "[": depth += 1
            case ")", "]":
                depth -= 1
                if let type = pending, depth < type.depth { pending = nil }
            case "{":
                open.append(scopes.count)
                scopes.append(scope(openedBy: index, pending?.depth == depth ? pending : nil))
                if pending?.depth == depth { pending = nil }
            case "}":
                if let closed = open.popLast() { scopes[closed].lastLine = token.line }
            default: break
            }
        }
    }

    private func scope(openedBy index: Int, _ type: PendingType?) -> Scope {
        var kind = Scope.Kind.statements
        if let type { kind = .members(keyword: tokens[type.index].text, name: type.name) }
        let line = tokens[index].line
        return Scope(
            kind: kind, keyword: type?.index ?? index, inherits: type?.inherits ?? [], parent: enclosing[index],
            firstLine: line, lastLine: line)
    }

    private func note(_ token: Token, in pending: inout PendingType?) {
        guard pending != nil else { return }
        if token.isSymbol(":") { pending?.isBehindColon = true }
        if token.kind == .word, pending?.isBehindColon == true { pending?.inherits.append(token.text) }
    }

    /// The name of the type whose declaration the keyword at `index` begins; `nil` when it is no such keyword.
    private func typeDeclared(at index: Int) -> String? {
        let keywords: Set<String> = ["struct", "class", "enum", "actor", "extension", "protocol"]
        guard tokens[index].kind == .word, keywords.contains(tokens[index].text) else { return nil }
        if let before = token(index - 1), before.kind == .symbol, [".", ":", ",", "("].contains(before.text) {
            return nil
        }
        guard let name = token(index + 1), name.kind == .word else { return nil }
        let members: Set<String> = ["func", "var", "let", "subscript", "init"]
        if members.contains(name.text) || isWord(index - 1, "import") { return nil }
        var last = index + 1
        while isSymbol(last + 1, "."), let part = token(last + 2), part.kind == .word { last += 2 }
        return tokens[last].text
    }
}
