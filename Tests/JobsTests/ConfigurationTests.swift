import Foundation
import Jobs
import Notices
import TestKit
import Testing

/// The agent's configuration file: what is read, what is refused, and with which words.
@Suite("configuration of the agent (S19)")
struct ConfigurationTests {
    static let sample: String = {
        let top = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let file = top.appendingPathComponent("agent/config/dozo.sample.yaml")
        return (try? String(contentsOf: file, encoding: .utf8)) ?? ""
    }()

    /// The smallest file that is right.
    static let small = """
        time-zone: Europe/Berlin
        repositories:
          main:
            location: /srv/dozo
            credential-file: /etc/dozo/writer
        guests:
          web:
            connection: libvirt
            names: [web01]
        tiers:
          1:
            name: trade
            largest-rpo: 1h
          3:
            name: inner
            largest-rpo: 24h
        policies:
          nightly:
            guests: [web]
            repository: main
            tier: 3
            schedule: "30 22 * * *"
            retention:
              daily: 14
        """

    static func read(_ text: String) -> ConfigurationReading { AgentConfiguration.read(Array(text.utf8)) }

    /// The small file with one text put in the place of another.
    static func changed(_ old: String, _ new: String) -> String {
        precondition(small.contains(old), "the small file has it")
        return small.replacingOccurrences(of: old, with: new)
    }

    @Test("the smallest file is read, with what is usual for the rest")
    func smallest() throws {
        let reading = Self.read(Self.small)
        #expect(reading.errors.isEmpty && reading.notes.isEmpty, "\(reading.errors) \(reading.notes)")
        let policy = try #require(reading.configuration?.policies["nightly"])
        #expect(policy.rpo == 86_400)
        #expect(policy.timeZone.identifier == "Europe/Berlin")
        #expect(policy.retention.periods[.day] == 14)
        #expect(policy.samplePercent == 2 && policy.fullReadEvery == 30 && policy.quiesce == .auto)
        #expect(!policy.takesMemory && policy.window == nil && policy.limits.concurrency == 1)
        #expect(reading.configuration?.repositories["main"]?.maintainerFile == nil)
    }

    @Test("the settings on the page about notices are taken as they stand there")
    func pageOfNotices() throws {
        let top = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        let page = try String(
            contentsOf: top.deletingLastPathComponent().appending(path: "docs/operating/notices.md"), encoding: .utf8)
        let parts = page.components(separatedBy: "```yaml\n")
        let shown = try #require(parts.last?.components(separatedBy: "```").first)
        let reading = Self.read(Self.small + "\n" + shown)
        #expect(reading.errors.isEmpty, "\(reading.errors.map { $0.text(file: "page") })")
        let settings = try #require(reading.configuration?.noticeSettings)
        #expect(parts.count == 2 && settings.targets.count == 4 && settings.rules.count == 5)
        #expect(settings.rules.count { $0.isDigest } == 1 && settings.rules.count { !$0.tellsOver } == 1)
    }

    /// Paths of all keys of the sample with their lines, names of the user's own as `*`; by indentation alone, without
    /// the parser that is tested.
    static func keys(of text: String) -> [(path: String, isExplained: Bool)] {
        let named: Set<String> = [
            "repositories", "guests", "tiers", "policies", "notifications.targets", "notifications.rules",
        ]
        var stack: [(indent: Int, name: String)] = []
        var found: [(String, Bool)] = []
        var before = ""
        for line in text.components(separatedBy: "\n") {
            defer { before = line.trimmingCharacters(in: .whitespaces) }
            let body = line.trimmingCharacters(in: .whitespaces)
            guard !body.isEmpty, !body.hasPrefix("#"), let colon = body.firstIndex(of: ":") else { continue }
            let indent = line.prefix { $0 == " " }.count
            while let last = stack.last, last.indent >= indent { stack.removeLast() }
            let parent = stack.map(\.name).joined(separator: ".")
            let isNamed = named.contains(parent)
            stack.append((indent, isNamed ? "*" : String(body[..<colon])))
            if !isNamed { found.append((stack.map(\.name).joined(separator: "."), before.hasPrefix("#"))) }
        }
        return found
    }

    @Test("the sample is read without a word, has every key that the reader knows, and explains each exactly once")
    func sampleIsWhole() throws {
        let reading = Self.read(Self.sample)
        #expect(reading.errors.isEmpty, "\(reading.errors.map { $0.text(file: "sample") })")
        #expect(reading.notes.isEmpty, "\(reading.notes.map { $0.text(file: "sample") })")
        let keys = Self.keys(of: Self.sample)
        #expect(Set(keys.map(\.path)) == Set(ConfigurationKeys.all))
        for path in ConfigurationKeys.all {
            // Two commands around a run have the same two keys.
            let count = keys.filter { $0.path == path && $0.isExplained }.count
            #expect(count == 1, "\(path) is explained \(count) times")
        }
        let configuration = try #require(reading.configuration)
        #expect(configuration.tiers.keys.sorted() == [1, 2, 3, 4])
        #expect(configuration.tiers.mapValues(\.largestRPO) == [1: 3600, 2: 43_200, 3: 86_400, 4: 604_800])
    }

    @Test("the sample means what it says")
    func sampleMeans() throws {
        let configuration = try #require(Self.read(Self.sample).configuration)
        let nightly = try #require(configuration.policies["nightly"])
        #expect(nightly.window == configuration.policies["nightly"]?.window && nightly.window?.minutes == 480)
        #expect(nightly.timeZone.identifier == "Europe/Vienna" && nightly.jitter == 1200 && nightly.rpo == 86_400)
        #expect(nightly.limits.read == 200 << 20 && nightly.limits.store == 50 << 20)
        #expect(nightly.limits.workers == 2 && nightly.limits.nice == 10 && nightly.limits.concurrency == 2)
        #expect(nightly.before?.command == ["/usr/local/sbin/close-the-day", "--guests"])
        #expect(nightly.before?.timeLimit == 300 && nightly.after?.timeLimit == 60)
        let trade = try #require(configuration.policies["trade"])
        #expect(trade.rpo == 1800 && trade.quiesce == .application && trade.tier == 1)
        #expect(trade.retention.last == 8 && trade.retention.verified == 2 && trade.retention.tags == ["audit"])
        #expect(trade.retention.periods == [.hour: 48, .day: 14, .week: 8, .month: 12, .year: 3])
        #expect(try trade.schedule == Schedule("every 15m"))
        let local = GuestConnection.libvirt(uri: "qemu:///system")
        #expect(configuration.policies(covering: "ledger", local) == ["trade"])
        #expect(configuration.policies(covering: "cart-01", local) == ["nightly"])
        #expect(configuration.policies(covering: "cart-001", local) == [])
        #expect(configuration.policies(covering: "any", local, tags: ["shop", "x"]) == ["nightly"])
        #expect(configuration.policies(covering: "test-9", .xen) == ["weekly"])
        #expect(configuration.policies(covering: "test-9", local) == [])
        #expect(
            configuration.policies(covering: "router", .monitor(socket: "/run/router.qmp", agent: "/run/router.qga"))
                == ["nightly"])
        guard case .email(let mail)? = configuration.targets["operators"] else {
            Issue.record("operators get no letters")
            return
        }
        #expect(mail.port == 587 && mail.security == .startTLS && mail.to == ["operators@example.org"])
        #expect(mail.login?.user == "dozo" && mail.login?.passwordFile == "/etc/dozo/mail.password")
        #expect(configuration.rules.map(\.name) == ["everything", "trouble", "night"])
        func told(_ event: NoticeKind, _ severity: NoticeSeverity, _ guest: String?) -> [String] {
            configuration.rules.filter { $0.rule.concerns(event, severity, guest: guest) }.map(\.name)
        }
        #expect(told(.night, .information, "ledger") == ["everything"])
        #expect(told(.failed, .warning, "ledger") == ["everything", "trouble"])
        #expect(told(.failed, .critical, "shop-1") == ["everything", "trouble", "night"])
        #expect(told(.storageFull, .critical, nil) == ["everything", "trouble"])
    }

    /// A change of the small file, and what is said: the key, and words of the sentence and of the remedy.
    struct Refusal: Sendable, CustomTestStringConvertible {
        let old: String
        let new: String
        let key: String
        let words: String
        let remedy: String
        init(_ old: String, _ new: String, _ key: String, _ words: String, _ remedy: String) {
            (self.old, self.new, self.key, self.words, self.remedy) = (old, new, key, words, remedy)
        }
        var testDescription: String { "\(new) for \(old)" }
    }

    static let refusals: [Refusal] = [
        Refusal("time-zone: Europe/Berlin", "time-zone: Berlin", "time-zone", "Berlin", "Europe/Berlin"),
        Refusal("time-zone: Europe/Berlin", "timezone: UTC", "timezone", "no key", "did you mean time-zone?"),
        Refusal("time-zone: Europe/Berlin\n", "", "", "time-zone is missing", "write the time zone"),
        Refusal("location: /srv/dozo", "location: srv/dozo", "repositories.main.location", "srv/dozo", "absolute path"),
        Refusal(
            "location: /srv/dozo", "location: s3://bucket", "repositories.main.location", "not available", "folder"),
        Refusal(
            "credential-file: /etc/dozo/writer", "passphrase: horse", "repositories.main.passphrase",
            "secrets do not stand", "credential-file"),
        Refusal(
            "connection: libvirt", "connection: virtualbox", "guests.web.connection", "virtualbox", "one of libvirt"),
        Refusal("connection: libvirt", "connection: qmp", "guests.web", "socket is missing", "monitor socket"),
        Refusal("names: [web01]", "tags: []", "guests.web", "nothing says which", "names:"),
        Refusal("names: [web01]", "names: {web01: 1}", "guests.web.names", "a section", "one value"),
        Refusal("largest-rpo: 1h", "largest-rpo: 1", "tiers.1.largest-rpo", "\"1\" is not a time", "15m"),
        Refusal("  1:\n", "  first:\n", "tiers.first", "no tier", "numbers from 1"),
        Refusal("guests: [web]", "guests: [wbe]", "policies.nightly.guests", "wbe", "did you mean web?"),
        Refusal("repository: main", "repository: mian", "policies.nightly.repository", "mian", "did you mean main?"),
        Refusal(
            "repository: main", "copies: 3", "policies.nightly.copies", "not available in this release", "take the"),
        Refusal("tier: 3", "tier: 2", "policies.nightly.tier", "no tier 2", "there are 1, 3"),
        Refusal("tier: 3", "rpo: 1h", "policies.nightly", "tier is missing", "number"),
        Refusal("schedule: \"30 22 * * *\"", "schedule: 30 25 * * *", "policies.nightly.schedule", "hour", "every 15m"),
        Refusal("schedule:", "shedule:", "policies.nightly.shedule", "no key", "did you mean schedule?"),
        Refusal("daily: 14", "daily: -1", "policies.nightly.retention.daily", "-1", "whole number"),
        Refusal("daily: 14", "dayly: 14", "policies.nightly.retention.dayly", "no key", "did you mean daily?"),
        Refusal("daily: 14", "daily: 0", "policies.nightly.retention", "nothing is kept", "write how many"),
        Refusal("daily: 14", "nice: 14", "policies.nightly.retention.nice", "no key", "policies.*.limits.nice"),
        Refusal("tier: 3", "tier: 3\n    tier: 3", "", "tier stands twice", "keep one"),
        Refusal("tier: 3", "tier: 3\n    memory: maybe", "policies.nightly.memory", "maybe", "yes or no"),
        Refusal("tier: 3", "tier: 3\n    quiesce: never\u{7}", "", "no YAML", "control characters"),
        Refusal(
            "tier: 3", "tier: 3\n    hooks: {before: {command: rm -r}}", "policies.nightly.hooks.before.command",
            "not an absolute path", "each argument"),
        Refusal(
            "tier: 3", "tier: 3\n    hooks: {before: {command: /bin/true}}", "policies.nightly.hooks.before",
            "time-limit is missing", "5m"),
        Refusal("tier: 3", "tier: 3\n    limits: {read: fast}", "policies.nightly.limits.read", "fast", "a rate"),
        Refusal(
            "tier: 3", "tier: 3\n    window: {from: \"22:00\"}", "policies.nightly.window", "to is missing",
            "write to"),
        Refusal(
            "tier: 3", "tier: 3\n    window: {from: \"22:00\", to: \"22:00\"}", "policies.nightly.window.to",
            "ends when it begins", "take the window away"),
        Refusal("policies:", "sites: {}\npolicies:", "sites", "not available in this release", "take the key away"),
        Refusal("policies:", "media: {}\npolicies:", "media", "not available in this release", "take the key away"),
        Refusal("names: [web01]", "names: *web", "", "alias", "quotes"),
        Refusal("names: [web01]", "names: &a [web01]", "", "anchor", "write the value out"),
        Refusal("names: [web01]", "names: !!set [web01]", "guests.web.names", "tags", "take it away"),
        Refusal("names: [web01]", "? [web01]\n    : x", "guests.web", "keys are words", "quotes"),
        Refusal("  web:\n", "  w.b:\n", "guests.w.b", "cannot be a name", "letters"),
        Refusal("names: [web01]", "names: [web01", "", "no YAML", "quotes"),
    ]

    @Test("what is wrong is refused with its line, key and remedy", arguments: refusals)
    func refused(refusal: Refusal) throws {
        let text = Self.changed(refusal.old, refusal.new)
        let reading = Self.read(text)
        #expect(reading.configuration == nil)
        let all = reading.errors.map { $0.text(file: "dozo.yaml") }
        let error = try #require(
            reading.errors.first {
                $0.key == refusal.key && $0.sentence.contains(refusal.words) && $0.remedy.contains(refusal.remedy)
            }, "\(all)")
        // The line is one of those that were changed, or the section's, for what is missing.
        let lines = text.components(separatedBy: "\n")
        #expect((1...lines.count).contains(error.line))
        if let name = refusal.key.split(separator: ".").last {
            #expect(lines[error.line - 1].contains(name) || error.sentence.contains("missing"), "\(all)")
        }
    }

    @Test("everything that is wrong is told at once, in the order of the lines")
    func allAtOnce() {
        let text = Self.small.replacingOccurrences(of: "Europe/Berlin", with: "Mars")
            .replacingOccurrences(of: "/srv/dozo", with: "srv").replacingOccurrences(of: "tier: 3", with: "teir: 3")
            .replacingOccurrences(of: "daily: 14", with: "daily: often")
            .replacingOccurrences(of: "schedule:", with: "rpo: 1h\n    schedule:")
        let errors = Self.read(text).errors
        #expect(errors.map(\.line) == errors.map(\.line).sorted())
        #expect(
            Set(errors.map(\.key)) == [
                "time-zone", "repositories.main.location", "policies.nightly.teir",
                "policies.nightly.retention.daily", "policies.nightly.schedule",
            ], "\(errors)")
    }

    @Test("two hundred errors are told, and that there were more")
    func many() {
        let text = Self.small + "\n" + (0..<300).map { "unknown\($0): 1\n" }.joined()
        let reading = Self.read(text)
        #expect(reading.errors.count == 200 && reading.leftOut == 100)
    }
}
