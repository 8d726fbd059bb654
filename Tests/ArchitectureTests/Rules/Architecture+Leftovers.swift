extension Architecture {
    private static let leftoverWords: Set<String> = ["TODO", "FIXME", "XXX", "HACK"]
    /// Beginnings of absolute paths that exist on one machine only: homes and the usual roots of build machines.
    private static let machineRoots = [
        "home", "root", "Users", "work", "workspace", "builds", "__w", "buildkite",
    ].map { "/\($0)/" }
    private static let mostBinaryBytes = 256 * 1024
    private static let binaryEndings: Set<String> = ["so", "a", "o", "dylib", "dll", "lib", "exe", "swiftmodule"]

    /// Words and paths that belong to a desk and not into a product.
    func leftovers() -> [Violation] {
        var found: [Violation] = []
        for file in files where file.text != nil {
            for (index, line) in file.lines.enumerated() {
                for word in Architecture.words(of: line) where Architecture.leftoverWords.contains(word) {
                    found.append(
                        Violation(
                            rule: .leftoverWord, path: file.path, line: index + 1, sentence: "the word \(word)",
                            remedy: "do it, or say plainly what is missing"))
                }
                for root in Architecture.machineRoots where Architecture.names(root, in: line) {
                    found.append(
                        Violation(
                            rule: .machinePath, path: file.path, line: index + 1, sentence: "a path below \(root)",
                            remedy: "it exists on one machine only; name it relative to the tree or take it as argument"
                        ))
                }
            }
        }
        return found
    }

    /// The runs of capital letters that stand alone.
    private static func words(of line: Substring) -> [String] {
        guard
            line.utf8.contains(where: { $0 == UInt8(ascii: "X") || $0 == UInt8(ascii: "O") || $0 == UInt8(ascii: "K") })
        else { return [] }
        return line.split { !$0.isLetter && !$0.isNumber && $0 != "_" }.map(String.init)
    }

    /// Whether `line` has an absolute path below `root`: nothing of a longer path stands before it.
    private static func names(_ root: String, in line: Substring) -> Bool {
        let bytes = Array(line.utf8)
        let wanted = Array(root.utf8)
        guard bytes.count > wanted.count else { return false }
        for start in 0..<bytes.count - wanted.count where bytes[start] == wanted[0] {
            guard bytes[start..<start + wanted.count].elementsEqual(wanted) else { continue }
            let before = start > 0 ? Character(UnicodeScalar(bytes[start - 1])) : " "
            let isInside = before.isASCII && (before.isLetter || before.isNumber || "._-~}>)*$".contains(before))
            let after = Character(UnicodeScalar(bytes[start + wanted.count]))
            if !isInside, after.isLetter || after.isNumber || after == "." || after == "_" { return true }
        }
        return false
    }

    /// Bytes nobody can review: too many in all, or built elsewhere.
    func binaries() -> [Violation] {
        var found: [Violation] = []
        let binaries = files.filter { $0.text == nil }
        let total = binaries.reduce(0) { $0 + $1.bytes.count }
        if total > Architecture.mostBinaryBytes, let largest = binaries.max(by: { $0.bytes.count < $1.bytes.count }) {
            found.append(
                Violation(
                    rule: .binaryTotal, path: largest.path, line: 0,
                    sentence: "binary files have \(total) bytes in all; this one has \(largest.bytes.count)",
                    remedy: "keep them below \(Architecture.mostBinaryBytes), or make them when they are needed"))
        }
        for file in files {
            // `libx.so.1` is a library as well.
            let endings = file.name.split(separator: ".").dropFirst().map(String.init)
            let ending = endings.last { !$0.allSatisfy(\.isNumber) } ?? ""
            guard Architecture.binaryEndings.contains(ending) else { continue }
            found.append(
                Violation(
                    rule: .vendoredBinary, path: file.path, line: 0, sentence: "a compiled file in the tree",
                    remedy: "link what the distribution provides, or build it from source"))
        }
        return found
    }
}
