import BackupModel
import Foundation
import Jobs
import TestKit
import Testing

/// The configuration judged as a whole: policies against tiers, schedules against RPOs and windows, who covers whom.
@Suite("the configuration as a whole (S19)")
struct ConfigurationLintTests {
    /// The small file with keys more in its policy, and another schedule.
    static func policy(
        _ keys: String, schedule: String = "\"30 22 * * *\"", tier: Int = 3
    ) -> ConfigurationReading {
        ConfigurationTests.read(
            ConfigurationTests.small.replacingOccurrences(of: "tier: 3", with: "tier: \(tier)\n    \(keys)")
                .replacingOccurrences(of: "\"30 22 * * *\"", with: schedule))
    }

    static func said(_ reading: ConfigurationReading) -> [String] {
        reading.errors.map { "\($0.key): \($0.sentence)" }
    }

    @Test(
        "a guest of the first tier with an RPO of 24 h is refused, and so is a schedule that cannot meet its tier (S19)"
    )
    func tierAgainstRPO() {
        let reading = Self.policy("rpo: 24h", tier: 1)
        #expect(
            Self.said(reading) == ["policies.nightly.rpo: the RPO is 1d, and tier 1 (trade) may lose 1h at most"])
        // Without an RPO of its own it has the tier's.
        #expect(
            Self.said(Self.policy("memory: no", tier: 1))
                == ["policies.nightly.schedule: up to 1d pass between two runs, and the RPO is 1h"])
        #expect(Self.said(Self.policy("rpo: 30m", schedule: "every 15m", tier: 1)).isEmpty)
    }

    @Test("a policy that locks needs a repository with a maintainer's credential")
    func lockWithoutMaintainer() {
        #expect(
            Self.said(Self.policy("lock: 14d")) == [
                "policies.nightly.lock: points are locked with a maintainer's credential, and main has none"
            ])
        #expect(Self.said(Self.policy("lock: 12h")).count == 1)
    }

    @Test(
        "a schedule is measured by its longest gap, by the clock on the wall",
        arguments: [
            // Every night, though one night in the year has 25 hours.
            ("\"30 22 * * *\"", "24h", nil), ("\"30 22 * * *\"", "23h", "1d"),
            ("\"0 6 * * mon-fri\"", "24h", "3d"), ("\"0 6 * * mon-fri\"", "3d", nil), ("every 15m", "15m", nil),
            ("every 15m", "10m", "15m"), ("\"*/20 * * * *\"", "20m", nil), ("\"* * * 1 *\"", "24h", "335d 1m"),
            ("\"0 0 31 * *\"", "60d", "61d"), ("\"0 0 31 * *\"", "61d", nil),
            ("\"0 0 29 2 *\"", "24h", "less than twice"),
            ("\"0 0,6 * * *\"", "12h", "18h"), ("every 30s", "60s", nil),
        ] as [(String, String, String?)])
    func gaps(schedule: String, rpo: String, words: String?) {
        let text = ConfigurationTests.small.replacingOccurrences(of: "largest-rpo: 24h", with: "largest-rpo: 366d")
            .replacingOccurrences(of: "tier: 3", with: "tier: 3\n    rpo: \(rpo)")
            .replacingOccurrences(of: "\"30 22 * * *\"", with: schedule)
        let said = Self.said(ConfigurationTests.read(text))
        if let words {
            #expect(said.count == 1 && said[0].contains(words), "\(said)")
        } else {
            #expect(said.isEmpty, "\(said)")
        }
    }

    @Test(
        "a window counts: between its end and its next beginning nothing runs",
        arguments: [
            ("every 15m", "24h", nil), ("every 15m", "12h", "16h 15m"), ("every 30s", "12h", "16h"),
            ("\"* * * * *\"", "12h", "16h"), ("\"0 12 * * *\"", "24h", nil), ("\"0 23,12 * * *\"", "24h", nil),
        ] as [(String, String, String?)])
    func windows(schedule: String, rpo: String, words: String?) {
        let reading = Self.policy(
            "rpo: \(rpo)\n    window: {from: \"22:00\", to: \"06:00\"}", schedule: schedule)
        let said = Self.said(reading)
        if let words {
            #expect(said.count == 1 && said[0].contains("in this window"), "\(said) \(words)")
        } else {
            #expect(said.isEmpty, "\(said)")
        }
        let neverDue = reading.notes.contains { $0.sentence.contains("never due inside the window") }
        #expect(neverDue == (schedule == "\"0 12 * * *\""))
    }

    @Test("a window that is too short for anything, for the jitter or for a command is refused")
    func shortWindows() {
        let short = Self.policy("window: {from: \"22:30\", to: \"22:44\"}")
        #expect(Self.said(short) == ["policies.nightly.window: the window has 14 min, and 15 are the least"])
        #expect(Self.said(Self.policy("window: {from: \"22:30\", to: \"22:45\"}")).isEmpty)
        let jitter = Self.policy("jitter: 2h\n    window: {from: \"22:00\", to: \"00:00\"}")
        #expect(Self.said(jitter) == ["policies.nightly.jitter: a guest may be delayed by 2h, and the window has 2h"])
        let hook = Self.policy(
            "hooks: {after: {command: /bin/true, time-limit: 3h}}\n    window: {from: \"22:00\", to: \"01:00\"}")
        #expect(
            Self.said(hook) == [
                "policies.nightly.hooks.after.time-limit: the command may take 3h, and the window has 3h"
            ])
        let often = Self.policy("jitter: 15m", schedule: "every 15m")
        #expect(
            Self.said(often) == [
                "policies.nightly.jitter: a guest may be delayed by 15m, and after 15m it is due again"
            ])
    }

    @Test("a policy without guests, guests without a policy and guests of two policies are told and refuse nothing")
    func coverage() {
        let lonely = ConfigurationTests.read(
            ConfigurationTests.small.replacingOccurrences(of: "    guests: [web]\n", with: ""))
        #expect(lonely.configuration != nil)
        #expect(
            lonely.notes.map { "\($0.key): \($0.sentence)" } == [
                "guests.web: no policy covers these guests",
                "policies.nightly: the policy has no guests, so it never does anything",
            ])
        let twice = ConfigurationTests.read(
            ConfigurationTests.small.replacingOccurrences(
                of: "tiers:", with: "  all:\n    connection: libvirt\n    patterns: [\"web*\"]\ntiers:")
                + "\n  hourly:\n    guests: [all]\n    repository: main\n    tier: 3\n    schedule: \"@hourly\"\n"
                + "    retention: {last: 3}\n")
        #expect(twice.errors.isEmpty, "\(twice.errors)")
        #expect(
            twice.notes.map { "\($0.key): \($0.sentence)" } == [
                "guests.web.names: web01 is covered by nightly, and through another set by hourly"
            ])
        let same = ConfigurationTests.read(
            ConfigurationTests.small + "\n  hourly:\n    guests: [web]\n    repository: main\n    tier: 3\n"
                + "    schedule: \"@hourly\"\n    retention: {last: 3}\n")
        #expect(
            same.notes.map { "\($0.key): \($0.sentence)" } == [
                "guests.web: several policies cover these guests: hourly, nightly"
            ])
    }

    @Test(
        "targets take their own keys, protect what they send, and hold no secret",
        arguments: [
            ("kind: mail", "mail"), ("server: x", "kind is missing"), ("kind: journal, facility: user", "does not go"),
            ("kind: email, server: mx, from: a@b", "to is missing"),
            ("kind: email, server: mx, from: a@b, to: a", "not an address"),
            ("kind: email, server: mx, from: \"a@b>,<c@d\", to: a@b", "not an address"),
            ("kind: email, server: mx, from: a@b, to: a@b, security: none", "in clear"),
            ("kind: email, server: mx, from: a@b, to: a@b, user: u", "go together"),
            ("kind: email, server: mx, from: a@b, to: a@b, password: u", "secrets do not stand"),
            ("kind: email, server: \"mx\\r\\nRCPT\", from: a@b, to: a@b", "control characters"),
            ("kind: email, server: mx/x, from: a@b, to: a@b", "not a host"),
            ("kind: webhook", "url is missing"), ("kind: webhook, url: ftp://x/", "not the address"),
            ("kind: webhook, url: \"https://u:p@x/\"", "user or password"),
            ("kind: webhook, url: \"http://example.org/\"", "in clear"), ("kind: command", "command is missing"),
            ("kind: command, command: [page]", "not an absolute path"),
            ("kind: command, command: [/bin/page], time-limit: 2d", "not a time"),
            ("kind: syslog, facility: kern", "one of daemon"),
        ])
    func targets(keys: String, words: String) {
        let reading = ConfigurationTests.read(
            ConfigurationTests.small + "\nnotifications:\n  targets:\n    ops: {\(keys)}\n")
        #expect(
            reading.errors.contains {
                $0.key.hasPrefix("notifications.targets.ops") && $0.text(file: "f").contains(words)
            },
            "\(Self.said(reading))")
    }

    @Test(
        "and their nearest neighbours are taken",
        arguments: [
            "kind: email, server: localhost, from: a@b, to: a@b, security: none",
            "kind: webhook, url: \"http://127.0.0.1:8080/x\"", "kind: webhook, url: \"http://[::1]:8080/x\"",
            "kind: journal", "kind: command, command: /bin/page", "kind: syslog",
        ])
    func goodTargets(keys: String) {
        let reading = ConfigurationTests.read(
            ConfigurationTests.small + "\nnotifications:\n  targets:\n    ops: {\(keys)}\n")
        #expect(reading.errors.isEmpty, "\(Self.said(reading))")
    }

    @Test("rules name events and targets that there are")
    func rules() {
        let reading = ConfigurationTests.read(
            ConfigurationTests.small + """

                notifications:
                  targets:
                    ops: {kind: journal}
                  rules:
                    one: {events: [misssed], targets: [opps]}
                    two: {severity: bad}
                """)
        #expect(
            Set(reading.errors.map { "\($0.key): \($0.sentence); \($0.remedy)" }) == [
                "notifications.rules.one.events: \"misssed\" is no event; did you mean missed?",
                "notifications.rules.one.targets: \"opps\" is no target of this file; did you mean ops?",
                "notifications.rules.two.severity: \"bad\" is not one of information, notice, warning, error, "
                    + "critical; write one of information, notice, warning, error, critical",
                "notifications.rules.two: the key targets is missing; write who is told: names below "
                    + "notifications.targets",
            ])
    }

    /// Letter by letter, with every way to read a star.
    static func plain(_ pattern: Substring, _ name: Substring) -> Bool {
        guard let first = pattern.first else { return name.isEmpty }
        if first == "*" {
            return plain(pattern.dropFirst(), name) || (!name.isEmpty && plain(pattern, name.dropFirst()))
        }
        guard let letter = name.first, first == "?" || first == letter else { return false }
        return plain(pattern.dropFirst(), name.dropFirst())
    }

    @Test("patterns match what a plain definition matches", arguments: 0..<20)
    func patterns(seed: UInt64) {
        var dice = Dice(seed: seed)
        for _ in 0..<200 {
            let pattern = String((0...Int(dice.roll(below: 6))).map { _ in Array("ab*?")[Int(dice.roll(below: 4))] })
            let name = String((0..<Int(dice.roll(below: 8))).map { _ in Array("ab")[Int(dice.roll(below: 2))] })
            #expect(NamePattern(pattern)?.matches(name) == Self.plain(pattern[...], name[...]), "\(pattern) \(name)")
        }
    }

    @Test("a pattern of many stars costs no more than its length times the name's")
    func manyStars() throws {
        let pattern = try #require(NamePattern(String(repeating: "a*", count: 40) + "b"))
        #expect(!pattern.matches(String(repeating: "a", count: 400)))
    }
}
