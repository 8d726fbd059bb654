import Testing

@Suite("rules of the house")
struct RuleTests {
    private static let proofs = Proof.arrows + Proof.texts

    private func broken(_ files: [SourceFile]) -> Set<Rule> {
        Set(Architecture(files).violations(allowing: []).map(\.rule))
    }

    @Test("each rule accepts what keeps it and refuses the nearest text that does not", arguments: proofs)
    func proof(_ proof: Proof) {
        #expect(!broken(proof.accepted).contains(proof.rule))
        #expect(broken(proof.refused).contains(proof.rule))
    }

    @Test("no rule is without its proof")
    func complete() {
        let aboutAllowances: Set<Rule> = [.allowanceUnused, .allowanceUnreasoned]
        #expect(Set(RuleTests.proofs.map(\.rule)).union(aboutAllowances) == Set(Rule.allCases))
    }

    @Test("a violation names its file and line as a compiler would")
    func place() throws {
        let files = [
            SourceFile("Package.swift", Proof.manifest),
            SourceFile("Sources/Chunking/Cut.swift", "let a = \"\"\"\n\n\"\"\"\nlet b = c!\n"),
        ]
        let found = Architecture(files).violations(allowing: []).filter { $0.rule == .forcedUnwrap }
        let only = try #require(found.first)
        #expect(found.count == 1)
        #expect(only.text.hasPrefix("Sources/Chunking/Cut.swift:4: [forced-unwrap] c!"))
    }

    @Test("an allowance covers its file and rule alone")
    func allowance() {
        let files = [SourceFile("docs/a.md", "TODO"), SourceFile("docs/b.md", "TODO")]
        let allowance = Allowance(.leftoverWord, "docs/a.md", because: "the page is about that word")
        let found = Architecture(files).violations(allowing: [allowance])
        #expect(found.map(\.path) == ["docs/b.md"])
        let folder = Allowance(.leftoverWord, "docs/", containing: "TODO", because: "the folder is about that word")
        #expect(Architecture(files).violations(allowing: [folder]).isEmpty)
    }

    @Test("an allowance that covers nothing, or gives no reason, is refused")
    func uselessAllowance() {
        let files = [SourceFile("docs/a.md", "TODO")]
        let stale = Allowance(.leftoverWord, "docs/b.md", because: "the page was about that word")
        let wordless = Allowance(.leftoverWord, "docs/a.md", because: "needed")
        let found = Architecture(files).violations(allowing: [stale, wordless])
        #expect(found.count == 2)
        #expect(Set(found.map(\.rule)) == [.allowanceUnused, .allowanceUnreasoned])
        #expect(found.allSatisfy { $0.path == Allowance.listPath })
    }
}
