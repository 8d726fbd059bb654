import Testing

@Suite("tokenizer")
struct TokenizerTests {
    private func words(_ text: String) -> [String] {
        Tokenizer(text).tokens.filter { $0.kind == .word }.map(\.text)
    }

    @Test(
        "code is told from comments, strings and regular expressions",
        arguments: [
            ("a /* b /* c */ d */ e", ["a", "e"]),
            ("a // b\nc", ["a", "c"]),
            (#"a = "b \" c" + d"#, ["a", "d"]),
            (#"a = "b \(c + "d \(e)") f" + g"#, ["a", "c", "e", "g"]),
            ("a = #\"b \\(c) \"d\"# + e", ["a", "e"]),
            ("a = #\"b \\#(c) d\"# + e", ["a", "c", "e"]),
            ("a = \"\"\"\n b \" c\n \\(d)\n \"\"\" + e", ["a", "d", "e"]),
            ("a = /b\"c/ ; d", ["a", "d"]),
            ("a / b / c", ["a", "b", "c"]),
            ("`class` a", ["class", "a"]),
            ("#!/bin/sh \" b\na", ["a"]),
        ])
    func code(_ text: String, _ expected: [String]) {
        #expect(words(text) == expected)
    }

    @Test("every truncation of a tricky text is cut without trapping, and lines never run past the end")
    func truncations() {
        let text = "a(\"b \\(c(\"d\")) e\", #\"f\"#) /* g /* */ */\nlet h = \"\"\"\n i\n \"\"\" // j\n/k/ `l`"
        let bytes = Array(text.utf8)
        for count in 0...bytes.count {
            let part = String(decoding: bytes[..<count], as: UTF8.self)
            let lineCount = part.utf8.filter { $0 == UInt8(ascii: "\n") }.count + 1
            #expect(Tokenizer(part).tokens.allSatisfy { $0.line <= lineCount })
            _ = SwiftText(SourceFile("a.swift", part))
        }
    }

    @Test("scopes know members from statements")
    func scopes() {
        let text = SwiftText(SourceFile("a.swift", "extension A.B where C: D { var e: Int { 1 }\n class func f() {} }"))
        #expect(text.scopes.map(\.kind) == [.members(keyword: "extension", name: "B"), .statements, .statements])
    }
}
