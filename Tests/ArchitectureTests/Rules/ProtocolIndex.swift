/// Which protocols the tree declares, what they explain, and who says it conforms. By simple names: two types of one
/// name are taken for one, which can only excuse too much, never too little.
struct ProtocolIndex: Sendable {
    /// Protocols that other modules see.
    private(set) var visible: Set<String> = []
    /// The documented requirements of the tree's own protocols.
    private var requirements: [String: Set<String>] = ProtocolIndex.foreign
    /// What each type and protocol says it conforms to.
    private var conformances: [String: Set<String>] = [:]

    /// Members that protocols of the language and of libraries demand: their documentation is the protocol's.
    private static let foreign: [String: Set<String>] = [
        "CustomStringConvertible": ["description"],
        "CustomDebugStringConvertible": ["debugDescription"],
        "CustomReflectable": ["customMirror"],
        "Equatable": ["=="],
        "Hashable": ["==", "hash"],
        "Comparable": ["==", "<"],
        "RandomNumberGenerator": ["next"],
        "IteratorProtocol": ["next"],
        "Sequence": ["makeIterator"],
        "ParsableCommand": ["configuration", "init", "run", "validate"],
        "AsyncParsableCommand": ["configuration", "init", "run", "validate"],
        "ParsableArguments": ["init", "validate"],
    ]

    init(_ texts: [SwiftText]) {
        for text in texts {
            for scope in text.scopes {
                guard case .members(let keyword, let name) = scope.kind else { continue }
                conformances[name, default: []].formUnion(scope.inherits)
                guard keyword == "protocol", let declaration = text.declaration(at: scope.keyword) else { continue }
                let isVisible = (declaration.start..<scope.keyword).contains { index in
                    text.isWord(index, "package") || text.isWord(index, "public")
                }
                if isVisible { visible.insert(name) }
            }
            for index in text.tokens.indices {
                guard let around = text.enclosing[index],
                    case .members("protocol", let name) = text.scopes[around].kind,
                    let declaration = text.declaration(at: index),
                    text.commentsAbove(declaration.start).contains(where: \.isDocumentation)
                else { continue }
                requirements[name, default: []].insert(declaration.name)
            }
        }
    }

    /// Whether a member called `member` keeps a promise of a protocol that `type` conforms to and that explains it.
    func explains(_ member: String, of type: String) -> Bool {
        var seen: Set<String> = []
        var open = conformances[type] ?? []
        while let next = open.popFirst() {
            guard seen.insert(next).inserted else { continue }
            if requirements[next]?.contains(member) == true { return true }
            open.formUnion(conformances[next] ?? [])
        }
        return false
    }
}
