import Notices
import TestKit
import Testing

/// Whatever stands in the state folder or in settings is read within bounds, or refused; nothing traps.
@Suite("seeded mutations of notices")
struct NoticeFuzzTests {
    private static func state() throws -> NoticeState {
        let settings = try Sample.settings(
            """
            {"targets": [{"name": "mail", "type": "journal"}, {"name": "log", "type": "journal"}],
             "rules": [{"targets": ["mail"], "send": "digest", "at-least": "error"}, {"targets": "log"}]}
            """)
        var desk = NoticeDesk(settings: settings)
        desk.report(Sample.hostileNames.prefix(4).map { Sample.failure($0) }, at: Sample.start)
        desk.report([.agentStarted(host: "h", at: Sample.start, version: "1")], at: Sample.start)
        desk.deliver(at: Sample.start) { _, _ in .refused("no") }
        return desk.state
    }

    @Test("files of the state folder")
    func files() throws {
        let bytes = try Self.state().encoded
        Mutator.run("file of notices", [bytes], refusedBy: NoticeError.self) { bytes in
            let state = try NoticeState(decoding: bytes)
            return try NoticeState(decoding: state.encoded) == state ? nil : "a state that does not come back"
        }
    }

    @Test("what stands in them, behind the checksum")
    func documents() throws {
        let bytes = Array(try Self.state().encoded.drop { $0 != UInt8(ascii: "{") })
        let settings = try Sample.settings("{\"targets\": [{\"name\": \"log\", \"type\": \"journal\"}]}")
        Mutator.run("state of notices", [bytes], refusedBy: JSONRefusal.self) { bytes in
            let state = NoticeState(document: try JSONDocument(decoding: bytes))
            guard state.ledger.open.count <= NoticeLedger.mostOpen else { return "more than is kept" }
            guard let again = try? NoticeState(decoding: state.encoded) else { return "a state that is refused" }
            guard again == state else { return "a state that does not come back" }
            var desk = NoticeDesk(settings: settings, state: state)
            desk.remind(at: Sample.start)
            desk.closeDigests(at: Sample.start)
            desk.deliver(at: Sample.start) { _, _ in .failed("no") }
            return nil
        }
    }

    @Test("texts of JSON")
    func json() {
        let samples = [
            "{\"a\": [1, -2, true, null, \"\\u00e9\\ud83d\\ude00\\n\"], \"b\": {\"c\": {}}}", "[[[[[[[[[[]]]]]]]]]]",
            "\"x\"",
            "9223372036854775807",
        ]
        Mutator.run("JSON", samples.map { Array($0.utf8) }, refusedBy: JSONRefusal.self) { bytes in
            let value = try JSONDocument(decoding: bytes)
            guard let again = try? JSONDocument(decoding: value.encoded) else { return "what was written is refused" }
            return again == value ? nil : "another value comes back"
        }
    }

    @Test("records of runs")
    func records() {
        let samples = [
            NightReportTests.record("業務", .partial(["a", "b"])), NightReportTests.record("x", .running),
            NightReportTests.record("y", .failed("no\nroom")),
        ]
        Mutator.run("records of runs", samples.map { $0.document.encoded }, refusedBy: JSONRefusal.self) { bytes in
            guard let record = RunRecord(document: try JSONDocument(decoding: bytes)) else { return nil }
            return RunRecord(document: record.document) == record ? nil : "a record that does not come back"
        }
    }

    @Test("settings")
    func settings() {
        let text = """
            {"targets": [
              {"name": "m", "type": "mail", "server": "mx.example.org", "port": 587, "security": "starttls",
               "from": "Dozo <dozo@example.org>", "to": ["a@b.c"], "user": "u", "password-file": "/p"},
              {"name": "w", "type": "webhook", "url": "https://[::1]:8443/x?y",
               "headers": [{"name": "A", "file": "/t"}]},
              {"name": "c", "type": "command", "command": ["/bin/true", "x"], "seconds": 5}],
             "rules": [{"kinds": ["failed"], "at-least": "error", "guests": ["w*"],
               "targets": ["m"], "send": "digest"}],
             "reminder-hours": 12}
            """
        struct Either: Error {}
        Mutator.run("settings of notices", [Array(text.utf8)], refusedBy: Either.self) { bytes in
            do {
                _ = try NoticeSettings(document: try JSONDocument(decoding: bytes))
                return nil
            } catch is NoticeError {
                throw Either()
            } catch is JSONRefusal {
                throw Either()
            }
        }
    }

    @Test("JSON beyond its bounds and besides its rules is refused; what is near is not")
    func refusedJSON() throws {
        let deep = { (count: Int) in
            Array((String(repeating: "[", count: count) + String(repeating: "]", count: count)).utf8)
        }
        #expect(throws: Never.self) { try JSONDocument(decoding: deep(JSONDocument.deepest)) }
        #expect(throws: JSONRefusal.self) { try JSONDocument(decoding: deep(JSONDocument.deepest + 1)) }
        #expect(throws: JSONRefusal.self) { try JSONDocument(decoding: deep(100_000)) }
        for text in [
            "", " ", "[1,]", "{\"a\":1,\"a\":2}", "01", "1.5", "1e3", "-", "9223372036854775808", "\"\u{1}\"",
            "\"\\ud800\"",
            "\"\\ud800\\u0041\"", "\"\\x\"", "nul", "[1] 2", "{\"a\"}", "{a:1}", "\"", "\"\\u12", "tru", "\u{FEFF}1",
        ] { #expect(throws: JSONRefusal.self, "\(text)") { try JSONDocument(decoding: Array(text.utf8)) } }
        #expect(throws: JSONRefusal.self) { try JSONDocument(decoding: [0x22, 0xFF, 0x22]) }
        #expect(try JSONDocument(decoding: Array(" [ -5 , \"\\/\" ] ".utf8)) == .list([.number(-5), .text("/")]))
        #expect(throws: JSONRefusal.self) {
            try JSONDocument(decoding: [UInt8](repeating: 0x20, count: JSONDocument.longestText + 1))
        }
    }
}
