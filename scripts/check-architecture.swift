// Shows the rules of Tests/ArchitectureTests/Rules the real tree. `scripts/tier check` compiles and runs it:
// check-architecture TOP. Prints one line for each violation; ends with 1 when there is one, with 2 when it could not
// look.
import Glibc

@main
struct CheckArchitecture {
    static func main() {
        guard CommandLine.arguments.count == 2 else { stop("usage: check-architecture TOP") }
        let top = CommandLine.arguments[1]
        let ignored = IgnoredNames(read("\(top)/.gitignore") ?? [])
        let files = filePaths(below: top, ignored).compactMap { path in
            read("\(top)/\(path)").map { SourceFile(path, bytes: $0) }
        }
        guard files.contains(where: { $0.path == "Package.swift" }) else { stop("\(top) has no Package.swift") }
        let architecture = Architecture(files)
        guard !architecture.manifest.targets.isEmpty else { stop("Package.swift names no target that can be read") }
        let violations = architecture.violations()
        for violation in violations { print(violation.text) }
        print("architecture: \(files.count) files, \(violations.count) violations, \(Allowance.all.count) allowances")
        exit(violations.isEmpty ? 0 : 1)
    }

    static func stop(_ sentence: String) -> Never {
        print(sentence)
        exit(2)
    }

    /// The whole file; `nil` when it cannot be opened.
    static func read(_ path: String) -> [UInt8]? {
        guard let file = fopen(path, "r") else { return nil }
        defer { fclose(file) }
        var bytes: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = fread(&piece, 1, piece.count, file)
            if count == 0 { return bytes }
            bytes += piece[..<count]
        }
    }

    /// Regular files below `top`, relative to it; symbolic links are not followed.
    static func filePaths(below top: String, _ ignored: IgnoredNames) -> [String] {
        var found: [String] = []
        var folders = [""]
        while let folder = folders.popLast() {
            guard let stream = opendir("\(top)/\(folder)") else { stop("cannot list \(top)/\(folder)") }
            defer { closedir(stream) }
            while let entry = readdir(stream) {
                let name = withUnsafeBytes(of: entry.pointee.d_name) { bytes in
                    String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
                }
                let path = folder + name
                var facts = stat()
                guard name != ".", name != "..", !ignored.covers(path, name), lstat("\(top)/\(path)", &facts) == 0
                else { continue }
                switch facts.st_mode & S_IFMT {
                case S_IFDIR: folders.append(path + "/")
                case S_IFREG: found.append(path)
                default: break
                }
            }
        }
        return found
    }
}

/// The lines of .gitignore that name a file or folder: `name`, `name/`, `/path`. Lines with `*` hide nothing from the
/// rules.
struct IgnoredNames {
    private var names: Set<String> = [".git"]
    private var paths: Set<String> = []

    init(_ bytes: [UInt8]) {
        for line in String(decoding: bytes, as: UTF8.self).split(separator: "\n") where !line.contains("*") {
            var name = String(line)
            if name.hasSuffix("/") { name.removeLast() }
            if name.hasPrefix("/") {
                paths.insert(String(name.dropFirst()))
            } else {
                names.insert(name)
            }
        }
    }

    func covers(_ path: String, _ name: String) -> Bool {
        names.contains(name) || paths.contains(path)
    }
}
