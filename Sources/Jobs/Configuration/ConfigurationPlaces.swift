/// In which line each key of the file stands.
struct ConfigurationPlaces: Sendable {
    private var lines: [String: Int] = [:]

    /// Looks at every key of a tree.
    init(_ tree: ConfigurationNode) { look(at: tree, path: "") }

    private mutating func look(at node: ConfigurationNode, path: String) {
        guard case .section(let entries) = node.content else { return }
        for entry in entries {
            let own = path.isEmpty ? entry.key : "\(path).\(entry.key)"
            lines[own] = entry.line
            look(at: entry.value, path: own)
        }
    }

    /// Whether the key stands in the file.
    func has(_ path: String) -> Bool { lines[path] != nil }

    /// The line of a key; of the nearest section around it when the key is not there; else 1.
    func line(_ path: String) -> Int {
        var path = path
        while true {
            if let line = lines[path] { return line }
            guard let dot = path.lastIndex(of: ".") else { return 1 }
            path = String(path[..<dot])
        }
    }
}
