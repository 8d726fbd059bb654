/// One file of the tree, as bytes.
struct SourceFile: Sendable {
    /// Relative to the top of the tree, `/`-separated.
    let path: String
    let bytes: [UInt8]
    /// `nil` when the bytes are no UTF-8 text: a NUL byte or a broken sequence.
    let text: String?

    init(_ path: String, bytes: [UInt8]) {
        self.path = path
        self.bytes = bytes
        text = bytes.contains(0) ? nil : String(validating: bytes, as: UTF8.self)
    }

    init(_ path: String, _ text: String) { self.init(path, bytes: Array(text.utf8)) }

    /// The last part of the path.
    var name: String { path.split(separator: "/").last.map(String.init) ?? path }

    /// The name up to its first dot; all of it for a name that begins with one.
    var stem: String { name.split(separator: ".", omittingEmptySubsequences: false).first.map(String.init) ?? name }

    var isSwift: Bool { path.hasSuffix(".swift") }

    /// Text that a person writes line by line and reads beside other text: Swift, shell, Python, Promela.
    var isCode: Bool {
        guard let text else { return false }
        let endings = [".swift", ".sh", ".py", ".pml", ".h", ".c"]
        return endings.contains { path.hasSuffix($0) } || text.hasPrefix("#!")
    }

    /// The lines without their ends; a last empty one is not counted.
    var lines: [Substring] {
        guard let text else { return [] }
        var lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        if lines.last == "" { lines.removeLast() }
        return lines
    }
}
