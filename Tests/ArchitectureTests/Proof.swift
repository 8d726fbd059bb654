import Testing

/// For one rule a small tree that keeps it and the nearest one that breaks it.
struct Proof: Sendable, CustomTestStringConvertible {
    let rule: Rule
    let accepted: [SourceFile]
    let refused: [SourceFile]
    let testDescription: String

    /// A pair of whole trees; a manifest is added to a tree without one.
    init(_ rule: Rule, _ description: String, accepted: [SourceFile], refused: [SourceFile]) {
        self.rule = rule
        self.accepted = Proof.withManifest(accepted)
        self.refused = Proof.withManifest(refused)
        testDescription = "\(rule.rawValue): \(description)"
    }

    /// A pair of texts of one file.
    init(_ rule: Rule, _ path: String = "Sources/Chunking/Cut.swift", accepted: String, refused: String) {
        self.init(
            rule, refused.split(separator: "\n").first.map(String.init) ?? "", accepted: [SourceFile(path, accepted)],
            refused: [SourceFile(path, refused)])
    }

    static let manifest = """
        let package = Package(name: "small", targets: [
            .systemLibrary(name: "CZstd"),
            .target(name: "BackupModel"),
            .target(name: "Effects"),
            .target(name: "GuestSource"),
            .target(name: "Chunking"),
            .target(name: "ObjectStorage"),
            .target(name: "Repository", dependencies: ["ObjectStorage"]),
            .executableTarget(name: "dozo"),
            .testTarget(name: "ChunkingTests", dependencies: [.target(name: "Chunking")]),
        ])
        """

    private static func withManifest(_ files: [SourceFile]) -> [SourceFile] {
        if files.contains(where: { $0.path == "Package.swift" }) { return files }
        return files + [
            SourceFile("Package.swift", manifest),
            SourceFile("Sources/Repository/Uses.swift", "import ObjectStorage\n"),
        ]
    }
}
