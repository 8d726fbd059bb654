import Commands
import Testing

/// Two names that look or read like one are told apart when the owner enrols, not later (S29).
@Suite("names of persons")
struct PersonNameTests {
    private static func isRefused(_ name: String, beside others: [String] = ["alice", "Bob", "Straße", "Ангел"]) -> Bool
    {
        do { try PersonName(name).refuse(beside: others) } catch { return error is CommandFailure }
        return false
    }

    @Test("what looks like a name that is there is refused, in whatever form it is typed")
    func lookAlike() {
        for name in [
            "Alice", "ALICE", "a lice", " alice", "ａｌｉｃｅ", "𝐚𝐥𝐢𝐜𝐞", "ⓐlice", "bob", "BOB", "STRASSE", "strasse",
            "АНГЕЛ",
        ] { #expect(Self.isRefused(name), "\(name)") }
        for name in ["alice", "Bob", "carol", "alicia", "Ангелина", "Zoë", "李雷", "山田 太郎", "O'Neill-2"] {
            #expect(!Self.isRefused(name), "\(name)")
        }
        // One letter with a mark, composed or not, is one name in two spellings.
        #expect(Self.isRefused("Zoe\u{308}", beside: ["Zo\u{eb}"]) && !Self.isRefused("Zo\u{eb}", beside: ["Zo\u{eb}"]))
    }

    @Test("alphabets that look alike are not mixed, and what is not seen is no part of a name")
    func mixed() {
        #expect(PersonName("аlice").mixedAlphabets == ["LATIN", "CYRILLIC"])
        for name in ["аlice", "bοb", "Αlice", "carоl", "Ａлиса"] { #expect(Self.isRefused(name, beside: []), "\(name)") }
        for name in [
            "ali\u{200b}ce", "\u{feff}dave", "da\u{ad}ve", "da\u{202e}ve", "dave\u{2028}", "da\u{3164}ve", "\u{e000}",
            "\u{2003}", "   ",
        ] { #expect(Self.isRefused(name, beside: []), "\(name.debugDescription)") }
        // Whom the owner has enrolled so before may have another key.
        #expect(!Self.isRefused("аlice", beside: ["аlice"]))
    }
}

/// What the agent reads of `dozo approve --json`.
@Suite("what waits for approval, as the agent hears it")
struct WaitingApprovalsTests {
    @Test("kinds are counted, the oldest counts, and a date of the future is now")
    func answer() throws {
        let now: UInt64 = 1_795_478_400_000_000_000
        func heard(_ text: String) -> WaitingApprovals? { WaitingApprovals(output: Array(text.utf8), now: now) }
        let some = try #require(
            heard(
                """
                {"required": 2, "may_approve": [], "requests": [{"kind": "forget", "at": "2026-11-23T00:00:00Z"},
                {"kind": "person", "at": "2029-01-01T00:00:00Z"}, {"kind": "forget"}]}
                """))
        #expect(some.kinds.map(\.word) == ["forget", "person"] && some.kinds.map(\.count) == [2, 1])
        #expect(some.isAskedFor && some.since / 1_000_000_000 == 1_795_392_000)
        let none = try #require(heard(#"{"may_approve": [], "requests": []}"#))
        #expect(none.kinds.isEmpty && !none.isAskedFor && none.since == now)
        #expect(heard("") == nil && heard("{}") == nil)
    }
}
