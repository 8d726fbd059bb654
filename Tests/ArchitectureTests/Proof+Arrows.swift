extension Proof {
    /// Imports, the manifest and calls that belong behind a door.
    static let arrows: [Proof] = [
        Proof(.importUndeclared, accepted: "import Glibc\nimport Synchronization", refused: "import BackupModel"),
        Proof(
            .importUndeclared, "Tests/ChunkingTests/CutTests.swift", accepted: "import Chunking\nimport Testing",
            refused: "import struct Effects.Randomness"),
        Proof(.importForeign, accepted: "// import Foundation", refused: "package import Foundation"),
        Proof(.importForeign, accepted: "let text = \"import CZstd\"", refused: "import CZstd"),
        Proof(
            .importTestable, "Tests/ChunkingTests/CutTests.swift", accepted: "import Chunking",
            refused: "@testable import Chunking"),
        Proof(
            .dependencyOrder, "a target uses one below it",
            accepted: [SourceFile("Package.swift", two("[]", "[\"A\"]"))],
            refused: [SourceFile("Package.swift", two("[\"B\"]", "[]"))]),
        Proof(
            .dependencyUnused, "an arrow nobody follows",
            accepted: [
                SourceFile("Package.swift", two("[]", "[\"A\"]")), SourceFile("Sources/B/Use.swift", "import A"),
            ],
            refused: [
                SourceFile("Package.swift", two("[]", "[\"A\"]")), SourceFile("Sources/B/Use.swift", "// import A"),
            ]),
        Proof(.doorToTheWorld, accepted: "let at = times.time()", refused: "let at = time(nil)"),
        Proof(
            .doorToTheWorld, accepted: "let one = Int.random(in: 0..<9, using: &dice)",
            refused: "let one = Int.random(in: 0..<9)"),
        Proof(.doorToTheWorld, accepted: "list.sort()", refused: "let mixed = list.shuffled()"),
        Proof(.doorToTheWorld, accepted: "let date = Date(day: 1)", refused: "let date = Date()"),
        Proof(
            .doorToTheWorld, accepted: "try await clock.sleep(for: pause)",
            refused: "try await Task.sleep(for: pause)"),
        Proof(
            .doorToTheWorld, accepted: "let clock = \"ContinuousClock()\"",
            refused: "let clock = \"\\(ContinuousClock())\""),
        Proof(.doorToTheWorld, accepted: "getentropyLater(b)", refused: "import Glibc\nlet s = Glibc.getentropy(b, 8)"),
        Proof(
            .doorToTheWorld, "only Effects asks",
            accepted: [SourceFile("Sources/Effects/Clock.swift", "let at = time(nil)")],
            refused: [SourceFile("Sources/GuestSource/Clock.swift", "let at = time(nil)")]),
        Proof(.doorToFiles, accepted: "let pack = try reader.open(path)", refused: "let file = open(path, 0)"),
        Proof(
            .doorToFiles, accepted: "func open(_ a: Int) {}\nlet file = open(1)",
            refused: "import Glibc\nfunc open(_ a: Int) {}\nlet file = open(1)"),
        Proof(.doorToFiles, accepted: "/* unlink(path) /* rename( */ */", refused: "let gone = unlink(path)"),
        Proof(
            .deletion, "Sources/Repository/Session.swift", accepted: "try await rows.deleteAll(name)",
            refused: "try await store.delete(name)"),
        Proof(
            .deletion, "only the sweep deletes",
            accepted: [SourceFile("Sources/Repository/Sweep/Deletions.swift", "try await store.delete(name)")],
            refused: [SourceFile("Sources/Repository/Swept.swift", "try await store.delete(name)")]),
        Proof(.unstructuredTask, accepted: "group.addTask { await run() }", refused: "Task { await run() }"),
        Proof(.unstructuredTask, accepted: "await Task.yield()", refused: "Task.detached { await run() }"),
        Proof(
            .unstructuredTask, accepted: "var task: Task<Void, Never>?",
            refused: "let task = Task<Void, Never> { await run() }"),
        Proof(
            .unstructuredTask, "only dozo starts tasks",
            accepted: [SourceFile("Sources/dozo/Main.swift", "Task { run() }")],
            refused: [SourceFile("Sources/Effects/Main.swift", "DispatchQueue.main.async { run() }")]),
    ]

    private static func two(_ first: String, _ second: String) -> String {
        """
        let package = Package(name: "two", targets: [
            .target(name: "A", dependencies: \(first)), .target(name: "B", dependencies: \(second)),
        ])
        """
    }
}
