import BackupModel
import Foundation
import Notices
import TestKit
import Testing

@Suite("rules, targets and what waits")
struct NoticeDeskTests {
    private static let two = """
        {"targets": [
          {"name": "mail", "type": "mail", "server": "mx.example.org",
           "from": "dozo@example.org", "to": "op@example.org"},
          {"name": "log", "type": "journal"}],
         "rules": [
          {"at-least": "error", "targets": "mail"},
          {"at-least": "information", "guests": ["web*"], "targets": ["mail"], "send": "digest"},
          {"targets": ["log"]}]}
        """

    private func desk() throws -> NoticeDesk { NoticeDesk(settings: try Sample.settings(Self.two)) }

    private func waiting(_ desk: NoticeDesk, _ target: String) -> [String] {
        desk.state.outbox.parcels.filter { $0.target == target }.flatMap(\.notices).map {
            "\($0.phase.word) \($0.key.line)"
        }
    }

    @Test("by kind, severity and guest; at once goes before digest; good news goes where the bad went")
    func routing() throws {
        var desk = try desk()
        let warning = Sample.failure("web02", .warning)
        desk.report([Sample.failure("db01"), warning, Sample.failure("db02", .notice)], at: Sample.start)
        #expect(waiting(desk, "mail") == ["new failed/guest=db01/policy=nightly"])
        #expect(waiting(desk, "log").count == 3)
        #expect(desk.state.outbox.held["mail"]?.map(\.subject.guest) == ["web02"])
        desk.succeeded(NoticeSubject(guest: "db01", policy: "nightly"), isComplete: true, at: Sample.start + 1)
        #expect(waiting(desk, "mail").last == "over failed/guest=db01/policy=nightly")
        desk.closeDigests(at: Sample.start + 2)
        let digest = try #require(desk.state.outbox.parcels.last)
        #expect(digest.isDigest && digest.notices.map(\.subject.guest) == ["web02"])
        #expect(desk.state.outbox.held.isEmpty)
    }

    @Test("a point that lacks something ends a failure and not what it lacks; another policy's point ends nothing")
    func success() throws {
        var desk = try desk()
        let subject = NoticeSubject(guest: "web01", policy: "nightly")
        desk.report(
            [Sample.failure(), .partial(subject, run: "r", at: Sample.start, missing: ["disk vdb"])], at: Sample.start)
        desk.succeeded(NoticeSubject(guest: "web01", policy: "hourly"), isComplete: true, at: Sample.start)
        #expect(desk.state.ledger.open.count == 2)
        desk.succeeded(subject, isComplete: false, at: Sample.start)
        #expect(desk.state.ledger.open.keys.map(\.kind) == [.partial])
        desk.succeeded(subject, isComplete: true, at: Sample.start)
        #expect(desk.state.ledger.open.isEmpty)
    }

    @Test("a target that fails is told through the other, once, and its messages come in order when it is back")
    func failingTarget() throws {
        var desk = try desk()
        var isUp = false
        var got: [String] = []
        func send(_ message: NoticeMessage, _ target: NoticeTarget) -> NoticeDesk.Outcome {
            if target.name == "mail", !isUp { return .failed("mail server mx.example.org:587: could not connect") }
            got += message.notices.map {
                "\(target.name) \($0.phase.word) \($0.kind.rawValue) \($0.subject.guest ?? "")"
            }
            return .delivered
        }
        var attempts = 0
        for minute in UInt64(0)..<(10 * 60) {
            let now = Sample.start + minute * 60 * Sample.second
            if minute < 3 { desk.report([Sample.failure("db\(minute)", at: now)], at: now) }
            if minute == 400 { isUp = true }
            desk.deliver(at: now) { message, target in
                if target.name == "mail" { attempts += 1 }
                return send(message, target)
            }
        }
        #expect(
            got.filter { $0.hasPrefix("log") } == [
                "log new failed db0", "log new target-failed ", "log new failed db1", "log new failed db2",
                "log over target-failed ",
            ])
        #expect(
            got.filter { $0.hasPrefix("mail") } == [
                "mail new failed db0", "mail new failed db1", "mail new failed db2",
            ])
        // 0, ½, 1, 2, 4, 8, 16, 32 minutes and then every hour: within seven hours a dozen and a half.
        #expect((10...20).contains(attempts), "\(attempts)")
        #expect(desk.state.outbox.parcels.isEmpty && desk.state.outbox.troubles.isEmpty)
    }

    @Test("two targets that fail both do not talk about each other for ever")
    func bothFail() throws {
        var desk = try desk()
        desk.report([Sample.failure("db0")], at: Sample.start)
        for minute in UInt64(0)..<(3 * 24 * 60) {
            let now = Sample.start + minute * 60 * Sample.second
            desk.observe([], of: [], at: now)
            desk.remind(at: now)
            desk.deliver(at: now) { _, _ in .failed("nobody") }
        }
        #expect(desk.state.outbox.parcels.count < 40, "\(desk.state.outbox.parcels.count)")
        desk.deliver(at: Sample.start + 30 * Sample.day) { _, _ in .failed("nobody") }
        #expect(desk.state.outbox.parcels.allSatisfy { $0.since == Sample.start + 30 * Sample.day })
        #expect(desk.state.outbox.lost["mail"] ?? 0 > 0)
    }

    @Test("a message that is refused for good stands in nobody's way, and that it was given up is told with the next")
    func refusal() throws {
        var desk = try desk()
        desk.report([Sample.failure("bad")], at: Sample.start)
        var lost: [Int] = []
        var got: [String] = []
        for hour in UInt64(0)..<24 {
            if hour == 1 { desk.report([Sample.failure("good")], at: Sample.start + Sample.hour) }
            desk.deliver(at: Sample.start + hour * Sample.hour) { message, target in
                guard target.name == "mail" else { return .delivered }
                if message.notices.contains(where: { $0.subject.guest == "bad" }) { return .refused("552 too large") }
                lost.append(message.lost)
                got += message.notices.map { $0.subject.guest ?? "" }
                return .delivered
            }
        }
        #expect(got == ["good"])
        #expect(lost == [1])
    }

    @Test("five hundred guests that fail one by one are one message, and a flood of messages is slowed for people only")
    func floods() throws {
        var desk = try desk()
        for index in 0..<500 { desk.report([Sample.failure("g\(index)")], at: Sample.start) }
        var sizes: [Int] = []
        desk.deliver(at: Sample.start) { message, target in
            if target.name == "mail" { sizes.append(message.notices.count) }
            return .delivered
        }
        #expect(sizes == [256, 244])
        var counts: [String: Int] = [:]
        var told: [String: Int] = [:]
        for minute in UInt64(60)..<120 {
            let now = Sample.start + minute * 60 * Sample.second
            desk.report([Sample.failure("h\(minute)", at: now)], at: now)
            desk.deliver(at: now) { message, target in
                counts[target.name, default: 0] += 1
                told[target.name, default: 0] += message.notices.count
                return .delivered
            }
        }
        #expect(told["log"] == 60 && told["mail"] ?? 0 >= 57)
        #expect(counts["log"] == 60)
        // Twenty at once, and one each three minutes.
        #expect((30...41).contains(counts["mail"] ?? 0), "\(counts)")
    }

    @Test("of a message whose one notice is refused for good, all others come")
    func poison() throws {
        var desk = try desk()
        let guests = (0..<11).map { "g\($0)" }
        desk.report(guests.map { Sample.failure($0) }, at: Sample.start)
        var got: Set<String> = []
        for hour in UInt64(0)..<48 {
            desk.deliver(at: Sample.start + hour * Sample.hour) { message, target in
                guard target.name == "mail" else { return .delivered }
                let names = message.notices.compactMap(\.subject.guest)
                if names.contains("g7") { return .refused("550 no") }
                got.formUnion(names)
                return .delivered
            }
        }
        #expect(got == Set(guests).subtracting(["g7"]))
        #expect(desk.state.outbox.parcels.isEmpty)
    }

    @Test("what waits has bounds, and the least urgent goes first")
    func bounds() {
        var outbox = NoticeOutbox()
        outbox.put([Sample.failure("precious", .critical)], for: "mail", isDigest: true, at: Sample.start)
        for index in 0..<(NoticeOutbox.mostParcels + 50) {
            outbox.put([Sample.failure("g\(index)")], for: "mail", isDigest: true, at: Sample.start + UInt64(index))
        }
        #expect(outbox.parcels.count == NoticeOutbox.mostParcels)
        #expect(outbox.parcels.first?.notices.first?.subject.guest == "precious")
        #expect(outbox.lost["mail"] == 51)
        var held = NoticeOutbox()
        held.hold((0..<40_000).map { Sample.failure("g\($0)") }, for: "mail")
        #expect((3000..<10_000).contains(held.waiting(for: "mail")))
        held.closeDigests(at: Sample.start)
        #expect(held.parcels.allSatisfy { $0.notices.count <= NoticeOutbox.mostInParcel })
    }

    @Test("what is remembered comes back from its bytes, and goes on where it was")
    func state() throws {
        var desk = try desk()
        desk.report(Sample.hostileNames.map { Sample.failure($0) }, at: Sample.start)
        desk.report([.agentStarted(host: "h", at: Sample.start, version: "1")], at: Sample.start)
        desk.report([Sample.failure("web09", .notice)], at: Sample.start)
        desk.deliver(at: Sample.start) { _, _ in .failed("nobody") }
        let again = try NoticeState(decoding: desk.state.encoded)
        #expect(again == desk.state)
        var other = NoticeDesk(settings: desk.settings, state: again)
        other.report(Sample.hostileNames.map { Sample.failure($0) }, at: Sample.start + 1)
        #expect(other.state.outbox.parcels == desk.state.outbox.parcels)
    }

    @Test("the longest texts there are, as many as are kept, fit into the file and come back from it")
    func fullState() throws {
        var desk = try desk()
        let long = String(repeating: "\"業%/\\", count: 2000)
        for index in 0..<300 {
            let details = (0..<40).map { NoticeDetail("name-\($0)", long) }
            let heavy = Notice(
                .partial, index % 3 == 0 ? .error : .warning,
                NoticeSubject(guest: "web\(index)" + (index % 2 == 0 ? long : ""), repository: long, policy: long),
                at: Sample.start, run: long, long, remedy: long, details: index % 5 == 0 ? details : [])
            desk.report(
                [heavy, .agentStarted(host: "\(index)" + long, at: Sample.start, version: long)], at: Sample.start)
            if index % 7 == 0 { desk.deliver(at: Sample.start) { _, _ in .failed(long) } }
        }
        let bytes = desk.state.encoded
        #expect(bytes.count < JSONDocument.longestText && bytes.count > 1 << 20, "\(bytes.count)")
        #expect(try NoticeState(decoding: bytes).encoded == bytes)
        // Nor does what was kept grow when it is reported again with more words.
        desk.report(
            desk.state.ledger.open.values.map { problem in
                Notice(problem.notice.kind, .critical, problem.notice.subject, at: Sample.start, long, remedy: long)
            }, at: Sample.start + 1)
        #expect(desk.state.encoded.count < JSONDocument.longestText)
        #expect(try NoticeState(decoding: desk.state.encoded).encoded == desk.state.encoded)
    }

    @Test("a damaged file begins anew and says so; the file is replaced whole")
    func file() throws {
        let disk = SimulatedDisk()
        let file = NoticeStateFile(files: disk, randomness: .seeded(1))
        #expect(try file.read().state == NoticeState())
        var desk = try desk()
        desk.report([Sample.failure()], at: Sample.start)
        try file.write(desk.state)
        try file.write(desk.state)
        #expect(try file.read().state == desk.state)
        #expect(try disk.names(in: "") == ["notices.2"])
        try disk.writeNew("notices.3", Array(desk.state.encoded.dropLast(3)))
        let (state, problem) = try file.read()
        #expect(state == NoticeState())
        #expect(problem?.code == .state)
    }

    @Test("settings that are wrong are refused, with the place and what belongs there")
    func refusedSettings() throws {
        let target = "{\"name\": \"m\", \"type\": \"mail\", \"server\": \"mx\", \"from\": \"a@b\", \"to\": \"c@d\""
        let table: [(String, String)] = [
            ("[]", "an object is expected"), ("{\"target\": []}", "target is not known"),
            ("{\"targets\": [{\"name\": \"x\", \"type\": \"pigeon\"}]}", "targets[0]: type is"),
            ("{\"targets\": [\(target)}, \(target)}]}", "two targets have one name"),
            (
                "{\"targets\": [\(target), \"security\": \"none\", \"user\": \"u\", \"password-file\": \"/p\"}]}",
                "without TLS"
            ),
            ("{\"targets\": [\(target), \"user\": \"u\"}]}", "belong together"),
            ("{\"targets\": [\(target), \"port\": 0}]}", "port is a number from 1 to 65535"),
            ("{\"targets\": [\(target), \"password\": \"secret\"}]}", "password is not known"),
            ("{\"targets\": [], \"rules\": [{\"targets\": \"m\"}]}", "there is no target m"),
            ("{\"targets\": [\(target)}], \"rules\": [{\"targets\": \"m\", \"kinds\": [\"x\"]}]}", "is no kind"),
            ("{\"targets\": [{\"name\": \"c\", \"type\": \"command\", \"command\": [\"rm\"]}]}", "absolute path"),
            ("{\"targets\": [{\"name\": \"w\", \"type\": \"webhook\", \"url\": \"ftp://x/\"}]}", "https://"),
            ("{\"targets\": [{\"name\": \"w\", \"type\": \"webhook\"}]}", "one of url and url-file"),
            ("{\"reminder-hours\": 0}", "reminder-hours is a number from 1"),
        ]
        for (text, wanted) in table {
            let error = #expect(throws: NoticeError.self) { try Sample.settings(text) }
            #expect(error?.sentence.contains(wanted) == true, "\(text): \(error?.sentence ?? "")")
        }
    }

    @Test("the page has all kinds, and all variables of a program")
    func page() throws {
        let top = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        let page = try String(
            contentsOf: top.deletingLastPathComponent().appending(path: "docs/operating/notices.md"), encoding: .utf8)
        for kind in NoticeKind.allCases { #expect(page.contains("`\(kind.rawValue)`"), "\(kind.rawValue)") }
        for pair in NoticeText.environment([Sample.failure()], host: "h", isDigest: false, path: "/bin") {
            #expect(page.contains("`\(pair.prefix { $0 != "=" })`"), "\(pair)")
        }
    }

    @Test("patterns of names match as shells have it, in time that does not explode")
    func patterns() throws {
        let table: [(String, String, Bool)] = [
            ("*", "", true), ("*", "anything", true), ("web*", "web01", true), ("web*", "db01", false),
            ("?", "業", true),
            ("a?c*", "abcd", true), ("*01", "web01", true), ("*a*b", "xaxbxb", true), ("*a*b", "xaxbx", false),
            ("[a]", "a", false), ("[a]", "[a]", true), ("web01", "web01", true), ("web01", "web011", false),
        ]
        for (pattern, name, wanted) in table {
            #expect(NamePattern(pattern)?.matches(name) == wanted, "\(pattern) \(name)")
        }
        let slow = try #require(NamePattern(String(repeating: "a*", count: 200) + "b"))
        #expect(!slow.matches(String(repeating: "a", count: 2000)))
        #expect(NamePattern("") == nil)
    }
}
