extension Architecture {
    private static let longestLine = 120
    private static let longestFile = 800
    private static let usualFile = 400
    private static let longestBody = 70

    /// Lines and files that are too long.
    func sizes() -> [Violation] {
        var found: [Violation] = []
        for file in files where file.isCode {
            for (index, line) in file.lines.enumerated() where line.utf8.count > Architecture.longestLine {
                guard line.count > Architecture.longestLine else { continue }
                found.append(
                    Violation(
                        rule: .lineLength, path: file.path, line: index + 1, sentence: "\(line.count) columns",
                        remedy: "a line has at most \(Architecture.longestLine)"))
            }
        }
        let lengths = files.filter(\.isSwift).map { (path: $0.path, count: $0.lines.count) }
        for file in lengths where file.count > Architecture.longestFile {
            found.append(
                Violation(
                    rule: .fileLength, path: file.path, line: 0, sentence: "\(file.count) lines",
                    remedy: "no file has more than \(Architecture.longestFile); split it by topic"))
        }
        let long = lengths.filter { $0.count > Architecture.usualFile }
        if long.count * 10 > lengths.count, let longest = long.max(by: { $0.count < $1.count }) {
            found.append(
                Violation(
                    rule: .fileLengthShare, path: longest.path, line: 0,
                    sentence: "\(long.count) of \(lengths.count) files have more than \(Architecture.usualFile) lines",
                    remedy: "nine files in ten stay below that; begin with this one, of \(longest.count)"))
        }
        return found
    }

    /// Bodies of functions, accessors and closures that are too long, counted between their braces.
    func bodies(_ text: SwiftText) -> [Violation] {
        text.scopes.indices.compactMap { index in
            let scope = text.scopes[index]
            let isOutermost = scope.parent.map { !text.scopes[$0].isStatements } ?? true
            let count = scope.lastLine - scope.firstLine - 1
            guard scope.isStatements, isOutermost, count > Architecture.longestBody else { return nil }
            return Violation(
                rule: .bodyLength, path: text.path, line: scope.firstLine, sentence: "a body of \(count) lines",
                remedy: "at most \(Architecture.longestBody), better 40; name the steps")
        }
    }
}
