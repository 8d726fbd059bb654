/// The rules of the house, over the files of a tree and nothing else: no disk, no clock, no process.
///
/// `scripts/check-architecture.swift` shows it the real tree; ArchitectureTests shows it small ones that keep a rule
/// and the nearest ones that break it.
struct Architecture: Sendable {
    let files: [SourceFile]
    let manifest: Manifest
    /// The Swift files, cut into tokens.
    let swift: [SwiftText]
    let protocols: ProtocolIndex

    init(_ files: [SourceFile]) {
        self.files = files.sorted { $0.path < $1.path }
        manifest = Manifest(files.first { $0.path == "Package.swift" } ?? SourceFile("Package.swift", ""))
        swift = self.files.filter(\.isSwift).map(SwiftText.init)
        protocols = ProtocolIndex(swift)
    }

    /// Everything that breaks a rule and that no allowance covers, by path and line; allowances that cover nothing too.
    func violations(allowing allowances: [Allowance] = Allowance.all) -> [Violation] {
        var found: [Violation] = []
        found += imports() + dependencies()
        for text in swift where text.path.hasPrefix("Sources/") {
            found += calls(text) + force(text)
            found += explanations(text) + documentation(text) + moduleNames(text)
        }
        for text in swift { found += bodies(text) }
        found += sizes() + drawers() + leftovers() + binaries()
        return Allowance.apply(allowances, to: found).sorted { left, right in
            (left.path, left.line, left.rule.rawValue) < (right.path, right.line, right.rule.rawValue)
        }
    }

    /// Name of the target that a file belongs to; empty when none.
    func target(_ path: String) -> String { manifest.target(holding: path)?.name ?? "" }
}
