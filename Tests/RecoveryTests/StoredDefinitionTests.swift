import Recovery
import Testing

@Suite("names of a definition's files")
struct StoredDefinitionTests {
    @Test(
        "names that lead below the folder become paths",
        arguments: ["domain.xml", "nvram", "tpm/tpm2/tpm2-00.permall", "..a", "a..", ".hidden", "業務"])
    func fit(name: String) {
        #expect(StoredDefinition.isPath(name))
        #expect(StoredDefinition(files: [name: []]).unfitName == nil)
    }

    @Test(
        "names that lead anywhere else, or nowhere, are refused",
        arguments: [
            "", "/", "/etc/passwd", "..", ".", "../a", "a/../b", "a/..", "a//b", "a/", "./a", "a\u{0}b", "a\nb",
            "a\u{7F}",
            String(repeating: "n", count: 256), Array(repeating: "d", count: 17).joined(separator: "/"),
        ])
    func unfit(name: String) {
        #expect(!StoredDefinition.isPath(name))
        #expect(StoredDefinition(files: ["domain.xml": [], name: []]).unfitName == name)
    }

    @Test("a name that would be a file and a folder at once is refused")
    func both() {
        #expect(StoredDefinition(files: ["tpm": [], "tpm/a": [], "tpm2": []]).unfitName == "tpm/a")
        #expect(StoredDefinition(files: ["a/b": [], "a/b/c/d": []]).unfitName == "a/b/c/d")
        #expect(StoredDefinition(files: ["a/b": [], "a/c": [], "ab": []]).unfitName == nil)
    }
}
