extension Proof {
    /// The beginning of a path of somebody's machine, which no file of this tree may spell.
    private static func below(_ root: String) -> String { "/\(root)/" }

    /// What a file says: force, unsafe code, sizes, names, documentation, leftovers.
    static let texts: [Proof] = [
        Proof(.forcedTry, accepted: "let a = try? read()", refused: "let a = try! read()"),
        Proof(.forcedCast, accepted: "let a = b as? Int", refused: "let a = b as! Int"),
        Proof(.forcedUnwrap, accepted: "let a = !b && c != d", refused: "let a = b!"),
        Proof(
            .forcedUnwrap, accepted: "let a = #\"b!\"# + \"\"\"\n  c! \" d!\n  \"\"\"", refused: "let a = \"\\(b!)\""),
        Proof(.forcedUnwrap, accepted: "let a: Int? = 1", refused: "var a: [Int]! = [1]"),
        Proof(.forcedUnwrap, accepted: "let a = /b!/", refused: "let a = c / b! / 2"),
        Proof(
            .unsafeUnexplained, accepted: "func a() {\n    // Safety: b lives.\n    unsafe b()\n}",
            refused: "func a() {\n    // Not a reason.\n    unsafe b()\n}"),
        Proof(
            .unsafeUnexplained, accepted: "// Safety: b lives.\nstruct A {\n    func a() { unsafe b() }\n}",
            refused: "struct A {\n    func a() { unsafe b() }\n}"),
        Proof(
            .unsafeUnexplained,
            accepted: "// Safety: written once.\n" + filler(11) + "nonisolated(unsafe) var a = 1",
            refused: "// Safety: written once.\n" + filler(12) + "nonisolated(unsafe) var a = 1"),
        Proof(
            .unsafeUnexplained, accepted: "struct A: Sendable {}", refused: "final class A: @unchecked Sendable {}"),
        Proof(.lineLength, accepted: columns(120), refused: columns(121)),
        Proof(
            .lineLength, "scripts/tier", accepted: "#!/bin/sh\n" + columns(120), refused: "#!/bin/sh\n" + columns(121)),
        Proof(.fileLength, accepted: filler(800), refused: filler(801)),
        Proof(
            .fileLengthShare, "one long file in ten", accepted: [SourceFile("Tests/A.swift", filler(401))] + short(9),
            refused: [SourceFile("Tests/A.swift", filler(401))] + short(6)),
        Proof(.bodyLength, accepted: function(70), refused: function(71)),
        Proof(
            .bodyLength, accepted: "struct A {\n" + filler(90) + "}",
            refused: "let a = A {\n" + filler(90) + "}"),
        Proof(
            .drawerName, "a file", accepted: [SourceFile("Sources/Chunking/SharedPages.swift", "")],
            refused: [SourceFile("Sources/Chunking/PageUtils.swift", "")]),
        Proof(
            .drawerName, "a folder", accepted: [SourceFile("Sources/Chunking/Score/Page.swift", "")],
            refused: [SourceFile("Sources/Chunking/Core/Page.swift", "")]),
        Proof(
            .drawerName, "a target", accepted: [SourceFile("Package.swift", ".target(name: \"Jobs\")")],
            refused: [SourceFile("Package.swift", ".target(name: \"JobManager\")")]),
        Proof(.typeNamedAsModule, accepted: "struct ChunkingRun {}", refused: "struct Chunking {}"),
        Proof(.documentation, accepted: "/// Cuts.\npackage func cut() {}", refused: "// Cuts.\npackage func cut() {}"),
        Proof(
            .documentation, accepted: "/// A.\n// Safety: b.\n@safe @inline(__always) package final class A {}",
            refused: "/// A.\n\n@safe @inline(__always) package final class A {}"),
        Proof(
            .documentation, accepted: "struct A: Hashable {\n    package func hash(into hasher: inout Hasher) {}\n}",
            refused: "struct A: Sendable {\n    package func hash(into hasher: inout Hasher) {}\n}"),
        Proof(
            .documentation,
            accepted: "protocol P {\n    /// Runs.\n    func run()\n}\nstruct A: P {\n    package func run() {}\n}",
            refused: "protocol P {\n    func run()\n}\nstruct A: P {\n    package func run() {}\n}"),
        Proof(
            .documentation, accepted: "/// P.\npackage protocol P {\n    /// Runs.\n    func run()\n}",
            refused: "/// P.\npackage protocol P {\n    func run()\n}"),
        Proof(.documentation, accepted: "extension A {}", refused: "/// A.\npackage extension A {}"),
        Proof(
            .documentation, accepted: "/// A.\npackage enum A {\n    case b, c\n}",
            refused: "/// A.\npackage enum A {\n    package static let b = 1\n}"),
        Proof(
            .machinePath, "docs/a.md", accepted: "see [it](docs\(below("work"))page) and \(below("home"))",
            refused: "see \(below("home"))anna/page"),
        Proof(
            .machinePath, accepted: "// ~\(below("root"))page", refused: "let path = \"\(below("root"))page\""),
        Proof(.leftoverWord, "docs/a.md", accepted: "mktemp a.XXXXXX, TODOS", refused: "a TODO: more"),
        Proof(
            .binaryTotal, "256 KiB of bytes", accepted: [binary("a.bin", 131_072), binary("b.bin", 131_072)],
            refused: [binary("a.bin", 131_072), binary("b.bin", 131_073)]),
        Proof(
            .vendoredBinary, "a library", accepted: [binary("a.source", 1)], refused: [binary("libz.so.1", 1)]),
    ]

    private static func filler(_ count: Int) -> String { String(repeating: "// line\n", count: count) }

    private static func columns(_ count: Int) -> String { "//" + String(repeating: "é", count: count - 2) + "\n" }

    private static func function(_ lines: Int) -> String { "func a() {\n" + filler(lines) + "}\n" }

    private static func binary(_ path: String, _ count: Int) -> SourceFile {
        SourceFile(path, bytes: [UInt8](repeating: 0, count: count))
    }

    /// Short files; every tree has two more besides.
    private static func short(_ count: Int) -> [SourceFile] {
        (0..<count).map { SourceFile("Tests/Short\($0).swift", "") }
    }
}
