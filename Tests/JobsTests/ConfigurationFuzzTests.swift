import Foundation
import Jobs
import TestKit
import Testing

/// Files that nobody should have written: bombs, depths, and mutations of good ones.
@Suite("the configuration's parser")
struct ConfigurationFuzzTests {
    enum NeverThrown: Error {}

    static func check(_ bytes: [UInt8]) -> String? {
        let reading = AgentConfiguration.read(bytes)
        if (reading.configuration == nil) != !reading.errors.isEmpty { return "neither read nor refused" }
        let lines = bytes.count { $0 == 10 || $0 == 13 } + 2
        for problem in reading.errors + reading.notes {
            // Yams counts other ends of lines as well, of three bytes at most each.
            if problem.line < 1 || problem.line > lines + bytes.count { return "there is no line \(problem.line)" }
            if problem.sentence.isEmpty || problem.remedy.isEmpty { return "a problem says nothing" }
            if problem.text(file: "f").unicodeScalars.contains(where: { $0.value < 32 }) {
                return "a control character came out: \(problem)"
            }
        }
        return nil
    }

    @Test("mutations of the sample and of a small file are read or refused")
    func mutations() {
        // Without comments, of which mutations teach nothing.
        let lines = ConfigurationTests.sample.split(separator: "\n").filter { !$0.contains("#") }
        let small = Array(ConfigurationTests.small.utf8)
        Mutator.run(
            "configuration", [small, Array(lines.joined(separator: "\n").utf8), small], refusedBy: NeverThrown.self
        ) { Self.check($0) }
    }

    @Test("lines of the sample in any order, indented anew, are read or refused", arguments: 0..<60)
    func shuffled(seed: UInt64) {
        var dice = Dice(seed: seed)
        var lines = ConfigurationTests.sample.split(separator: "\n").map(String.init).filter { !$0.contains("#") }
        for _ in 0..<(1 + Int(dice.roll(below: 12))) {
            let one = Int(dice.roll(below: UInt64(lines.count)))
            let other = Int(dice.roll(below: UInt64(lines.count)))
            switch dice.roll(below: 5) {
            case 0: lines.swapAt(one, other)
            case 1: lines.remove(at: one)
            case 2: lines.insert(lines[other], at: one)
            case 3: lines[one] = "  " + lines[one]
            default: lines[one] = lines[one].replacingOccurrences(of: ": ", with: ": [")
            }
        }
        #expect(Self.check(Array(lines.joined(separator: "\n").utf8)) == nil, "seed \(seed)")
    }

    static let tags = (0..<20).map { "a\($0): &a\($0) [*a\(max(0, $0 - 1)), *a\(max(0, $0 - 1))]" }

    @Test(
        "bombs, depths and floods are refused",
        arguments: [
            ("laughs", tags.joined(separator: "\n"), "anchor"),
            ("laughs as keys", "{&a [x, x]: 1, ? [*a, *a] : 2}", "anchor"),
            ("an anchor behind a quoted key", "{\"a\":&x 1}", "anchor"),
            ("depth of brackets", String(repeating: "[", count: 400_000), "no YAML"),
            ("closed depth", String(repeating: "[", count: 900) + String(repeating: "]", count: 900), "nested deeper"),
            ("depth of indentation", (0..<700).map { String(repeating: " ", count: $0) + "a:\n" }.joined(), "nested"),
            ("depth of dashes", String(repeating: "- ", count: 900) + "x", "nested deeper"),
            ("depth of keys", String(repeating: "? ", count: 900) + "x", "keys are words"),
            ("too large", String(repeating: "# comment\n", count: 60_000), "bytes"),
            ("too many values", "a: [" + String(repeating: "1,", count: 60_000) + "]", "50000 values"),
            ("two documents", "a: 1\n---\nb: 2\n", "no YAML"), ("nothing", "", "empty"),
            ("a comment", "# x\n", "empty"),
            ("one value", "true", "section of keys"), ("a list", "- 1\n- 2", "section of keys"),
            ("merge", "<<: {a: 1}", "no key"), ("no bytes of text", "a: \u{0}", "no YAML"),
            ("another encoding", "%YAML 9.9\n---\na: 1", "no YAML"), ("a reader's tag", "!<tag:x> a: 1", "tags"),
        ])
    func bombs(name: String, text: String, words: String) {
        #expect(Self.check(Array(text.utf8)) == nil)
        let errors = ConfigurationTests.read(text).errors
        #expect(errors.contains { $0.sentence.contains(words) }, "\(errors.prefix(3))")
    }

    @Test("keys of keys are refused before each is hashed with all that is in it; a question in a comment is not")
    func keysOfKeys() {
        let deep = String(repeating: "? ", count: 900) + "[" + String(repeating: "x,", count: 20_000) + "x]"
        let flow = String(repeating: "{?", count: 400) + "x"
        for text in [deep, flow] {
            #expect(ConfigurationTests.read(text).errors.map(\.sentence).first?.contains("keys are words") == true)
        }
        #expect(ConfigurationTests.read("# Pourquoi ? Parce que.\n" + ConfigurationTests.small).errors.isEmpty)
    }

    @Test("nothing of a file steers the terminal, and nothing long comes out of it")
    func printable() {
        let word = "\"x\\e[31m\\n" + String(repeating: "y", count: 5000) + "\""
        for text in [
            "\(word): 1", "\(word): 1\n\(word): 2", "time-zone: \(word)", "guests: {\(word): {}}",
            "guests: {a: {\(word): {}}}", "guests: {a: {connection: \(word)}}", "!<x%1B[31m> a: 1",
            "guests: {a: {b: {\(word): !x 1}}}",
        ] {
            for problem in ConfigurationTests.read(text).errors {
                let said = problem.text(file: "f")
                #expect(said.count < 1000 && !said.unicodeScalars.contains { $0.value < 32 }, "\(said.count)")
            }
        }
    }

    @Test("bytes that are no UTF-8 are refused with their line")
    func invalid() {
        let reading = AgentConfiguration.read(Array("a: 1\nb: ".utf8) + [0xFF, 0xFE] + Array("\n".utf8))
        #expect(reading.errors.map(\.line) == [2])
        #expect(reading.errors.first?.sentence.contains("UTF-8") == true)
    }
}
