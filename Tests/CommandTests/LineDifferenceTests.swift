import Commands
import TestKit
import Testing

@Suite("what changed of a definition")
struct LineDifferenceTests {
    private static func difference(_ before: String, _ after: String) -> [String] {
        LineDifference(before.map(String.init), after.map(String.init)).lines
    }

    @Test("lines that went and came, with two around them and the number of the first")
    func places() {
        #expect(Self.difference("abcdefghij", "abcdefghij").isEmpty)
        #expect(
            Self.difference("abcdefghij", "abcdXfghij")
                == ["@@ line 3", "  c", "  d", "- e", "+ X", "  f", "  g"])
        #expect(Self.difference("", "ab") == ["@@ line 1", "+ a", "+ b"])
        #expect(
            Self.difference("abcdefghij", "Xabcdefghi") == [
                "@@ line 1", "+ X", "  a", "  b", "@@ line 8", "  h", "  i", "- j",
            ])
    }

    /// What a reader of the difference makes of the earlier text.
    private static func applied(_ lines: [String], to before: [String]) -> [String] {
        var (out, position): ([String], Int) = ([], 0)
        for line in lines {
            let text = String(line.dropFirst(2))
            if line.hasPrefix("@@ line "), let number = Int(line.dropFirst(8)) {
                out += before[position..<number - 1]
                position = number - 1
            } else if line.hasPrefix("+ ") {
                out.append(text)
            } else {
                if line.hasPrefix("  ") { out.append(text) }
                guard before[position] == text else { return ["\(text) is not line \(position + 1)"] }
                position += 1
            }
        }
        return out + before[position...]
    }

    @Test("applied to the earlier text it makes the later one, for any texts")
    func anyTexts() {
        var dice = Dice(seed: 7)
        for _ in 0..<500 {
            let before = (0..<dice.roll(below: 30)).map { _ in String(dice.roll(below: 5)) }
            var after = before
            for _ in 0..<dice.roll(below: 5) {
                let place = Int(dice.roll(below: UInt64(after.count + 1)))
                if dice.roll(below: 2) == 0 || place == after.count {
                    after.insert(String(dice.roll(below: 5)), at: place)
                } else {
                    after.remove(at: place)
                }
            }
            let lines = LineDifference(before, after).lines
            #expect(Self.applied(lines, to: before) == after)
            #expect((before == after) == lines.isEmpty)
        }
    }

    @Test("long texts stay bounded")
    func bounds() {
        let long = (0..<LineDifference.mostCompared * 2).map { "line \($0)" }
        let other = long.map { "other \($0)" }
        let difference = LineDifference(long, other)
        #expect(difference.isCut && difference.lines.count == LineDifference.mostLines)
        var near = long
        near[3000] = "changed"
        #expect(LineDifference(long, near).lines.count == 7)
    }

    @Test("passwords are not shown, and where one changed is known")
    func passwords() {
        let xml = "<graphics type='vnc' passwd='se&apos;cret' x=\"1\"/>\n<a password=\"more\"/>\n<b passwd='open"
        #expect(
            HiddenPasswords.lines(xml) == [
                "<graphics type='vnc' passwd='hidden' x=\"1\"/>", "<a password=\"hidden\"/>", "<b passwd='hidden",
            ])
        #expect(HiddenPasswords.secrets(xml).count == 3)
        #expect(HiddenPasswords.secrets(xml) != HiddenPasswords.secrets(xml.replacing("more", with: "less")))
    }
}
