import BackupModel
import Foundation
import Notices

/// What reading the file came to.
package struct ConfigurationReading: Sendable {
    /// The configuration; `nil` when something is wrong with the file.
    package let configuration: AgentConfiguration?
    /// What is wrong, in the order of the lines; empty exactly when there is a configuration.
    package let errors: [ConfigurationProblem]
    /// What is told and refuses nothing, in the order of the lines.
    package let notes: [ConfigurationProblem]
    /// How many more of either there were than are kept.
    package let leftOut: Int
}

extension AgentConfiguration {
    /// Largest file that is read, in bytes.
    package static var mostBytes: Int { ConfigurationText.mostBytes }

    /// Reads the file and judges it as a whole.
    package static func read(_ bytes: [UInt8]) -> ConfigurationReading {
        let tree: ConfigurationNode
        do { tree = try ConfigurationText.parse(bytes) } catch {
            return ConfigurationReading(configuration: nil, errors: [error], notes: [], leftOut: 0)
        }
        var reader = ConfigurationReader()
        var configuration = reader.read(tree)
        for name in configuration.policies.keys {
            configuration.revisions[name] = PolicyRevision(of: name, in: tree)
        }
        let lint = ConfigurationLint(configuration, places: ConfigurationPlaces(tree), unread: reader.unread)
        lint.judge(&reader.findings)
        func sorted(_ problems: [ConfigurationProblem]) -> [ConfigurationProblem] {
            problems.sorted { ($0.line, $0.key, $0.sentence) < ($1.line, $1.key, $1.sentence) }
        }
        let findings = reader.findings
        return ConfigurationReading(
            configuration: findings.errors.isEmpty ? configuration : nil, errors: sorted(findings.errors),
            notes: sorted(findings.notes), leftOut: findings.leftOut)
    }
}

/// Makes a configuration of a tree, and says what is wrong on the way.
struct ConfigurationReader {
    var findings = ConfigurationFindings()
    /// Paths of keys of policies that were told to be missing or wrong, and have a value that means nothing.
    var unread: Set<String> = []

    /// Everything that could be read; wrong parts are left out, and told.
    mutating func read(_ tree: ConfigurationNode) -> AgentConfiguration {
        var configuration = AgentConfiguration()
        guard let root = ConfigurationSection<ConfigurationKeys.Root>(tree, path: "", line: tree.line, &findings) else {
            return configuration
        }
        if let zone = zone(root, .timeZone) {
            configuration.timeZone = zone
        } else if !root.has(.timeZone) {
            root.lacks(.timeZone, "write the time zone of the place, such as time-zone: Europe/Berlin", &findings)
        }
        for (name, section) in root.named(.repositories, ConfigurationKeys.Repository.self, &findings) {
            configuration.repositories[name] = repository(section)
        }
        for (name, section) in root.named(.guests, ConfigurationKeys.Guests.self, &findings) {
            configuration.guests[name] = selection(section)
        }
        for (name, section) in root.named(.tiers, ConfigurationKeys.Tier.self, &findings) {
            guard let number = ConfigurationValue.number(name), (1...9).contains(number), name == "\(number)" else {
                findings.error(
                    section.line, section.path, "\"\(name)\" is no tier", "tiers are numbers from 1, the first, to 9")
                continue
            }
            configuration.tiers[number] = tier(section)
        }
        for (name, section) in root.named(.policies, ConfigurationKeys.Policy.self, &findings) {
            configuration.policies[name] = policy(section, zone: configuration.timeZone)
        }
        // A policy without an RPO has its tier's.
        for (name, policy) in configuration.policies where policy.rpo == 0 {
            configuration.policies[name]?.rpo = configuration.tiers[policy.tier]?.largestRPO ?? 0
        }
        if let section = root.section(.notifications, ConfigurationKeys.Notifications.self, &findings) {
            for (name, target) in section.named(.targets, ConfigurationKeys.Target.self, &findings) {
                configuration.targets[name] = self.target(target)
            }
            for (name, rule) in section.named(.rules, ConfigurationKeys.Rule.self, &findings) {
                configuration.rules.append(self.rule(rule, name: name))
            }
            let what = "a time of the day such as \"07:00\", between quotes"
            if let minute = section.value(.reportAt, what, &findings, ConfigurationValue.minuteOfDay) {
                configuration.reportMinute = minute
            }
        }
        return configuration
    }

    /// A time zone by its name in the tz database.
    mutating func zone<Key>(_ section: ConfigurationSection<Key>, _ key: Key) -> TimeZone? {
        section.value(key, "a time zone such as Europe/Berlin or UTC", &findings) { text in
            // Only what names of the tz database are made of is shown to Foundation.
            let isName =
                text.utf8.count <= 64
                && text.utf8.allSatisfy {
                    (48...57).contains($0) || (65...90).contains($0) || (97...122).contains($0)
                        || "/_+-".utf8.contains($0)
                }
            return isName ? TimeZone(identifier: text) : nil
        }
    }

    private mutating func repository(_ section: ConfigurationSection<ConfigurationKeys.Repository>)
        -> ConfiguredRepository?
    {
        var location: String?
        if let text = section.text(.location, &findings) {
            if text.contains("://") {
                findings.error(
                    section.line(.location), section.at(.location),
                    "repositories behind a URL are not available in this release", "give the path of a folder")
            } else {
                location = section.path(.location, &findings)
            }
        } else if !section.has(.location) {
            section.lacks(.location, "write the absolute path of the repository's folder", &findings)
        }
        let credential = section.path(.credential, &findings)
        if !section.has(.credential) {
            section.lacks(
                .credential, "write the path of a file made with `dozo key enroll --role writer --to FILE`", &findings)
        }
        let maintainer = section.path(.maintainer, &findings)
        let undoTime = section.duration(.undoTime, 0...(3650 * 86_400), &findings)
        let verifyEvery = section.duration(.verifyEvery, 3600...(3650 * 86_400), &findings)
        let verifyRate = section.value(.verifyRate, ConfigurationReader.rateText, &findings, ConfigurationReader.rate)
        guard let location, let credential else { return nil }
        return ConfiguredRepository(
            location: location, credentialFile: credential, maintainerFile: maintainer,
            undoTime: undoTime ?? ConfiguredRepository.usualUndoTime, verifyEvery: verifyEvery,
            verifyRate: verifyRate)
    }

    private enum ConnectionKind: String, CaseIterable { case libvirt, qmp, xl }

    private mutating func selection(_ section: ConfigurationSection<ConfigurationKeys.Guests>) -> GuestSelection? {
        let kind = section.choice(.connection, ConnectionKind.self, &findings)
        if !section.has(.connection) {
            section.lacks(.connection, "write connection: libvirt, qmp or xl", &findings)
        }
        let names = section.texts(.names, &findings)
        let patterns = patterns(section, .patterns)
        let tags = section.texts(.tags, &findings)
        guard let kind else { return nil }
        func refuse(_ keys: [ConfigurationKeys.Guests], _ findings: inout ConfigurationFindings) {
            for key in keys where section.has(key) {
                findings.error(
                    section.line(key), section.at(key), "\(key.rawValue) does not go with connection: \(kind.rawValue)",
                    "take it away")
            }
        }
        var connection: GuestConnection?
        switch kind {
        case .libvirt:
            refuse([.socket, .agentSocket], &findings)
            connection = .libvirt(uri: section.text(.uri, &findings) ?? "qemu:///system")
        case .xl:
            refuse([.socket, .agentSocket, .uri, .tags], &findings)
            connection = .xen
        case .qmp:
            refuse([.uri, .patterns, .tags], &findings)
            if !section.has(.socket) { section.lacks(.socket, "write the path of QEMU's monitor socket", &findings) }
            let agent = section.path(.agentSocket, &findings)
            connection = section.path(.socket, &findings).map { .monitor(socket: $0, agent: agent) }
            if names.count != 1 {
                findings.error(
                    section.line(.names), section.at(.names), "a monitor has one guest, and here are \(names.count)",
                    "write the one name; make a set for each QEMU")
            }
        }
        if names.isEmpty, patterns.isEmpty, tags.isEmpty, kind != .qmp {
            findings.error(
                section.line, section.path, "nothing says which guests these are",
                "write names:, patterns: or tags: (of libvirt)")
        }
        let disks = section.texts(.exclude, &findings)
        return connection.map {
            GuestSelection(
                connection: $0, names: names, patterns: patterns, tags: tags, excludedDisks: disks)
        }
    }

    private mutating func tier(_ section: ConfigurationSection<ConfigurationKeys.Tier>) -> ProtectionTier? {
        let name = section.text(.name, &findings)
        if !section.has(.name) { section.lacks(.name, "say in words what belongs to it", &findings) }
        let largest = section.duration(.largestRPO, 60...(366 * 86_400), &findings)
        if !section.has(.largestRPO) {
            section.lacks(.largestRPO, "write how much may be lost at most, such as largest-rpo: 24h", &findings)
        }
        guard let name, let largest else { return nil }
        return ProtectionTier(name: name, largestRPO: largest)
    }

    private mutating func rule(_ section: ConfigurationSection<ConfigurationKeys.Rule>, name: String)
        -> NotificationRule
    {
        let texts = section.texts(.events, &findings)
        var events: Set<NoticeKind> = []
        for text in texts {
            if let event = NoticeKind(rawValue: text) {
                events.insert(event)
            } else {
                let known = NoticeKind.allCases.map(\.rawValue)
                findings.error(
                    section.line(.events), section.at(.events), "\"\(ConfigurationKeys.short(text))\" is no event",
                    NearMiss.of(text, among: known).map { "did you mean \($0)?" }
                        ?? "events are \(known.joined(separator: ", "))")
            }
        }
        let targets = section.texts(.targets, &findings)
        if targets.isEmpty {
            section.lacks(.targets, "write who is told: names below notifications.targets", &findings)
        }
        let guests = patterns(section, .guests)
        let severity = section.choice(.severity, NoticeSeverity.self, &findings) ?? .information
        return NotificationRule(
            name: name,
            rule: NoticeRule(
                kinds: events.isEmpty ? nil : events, atLeast: severity, guests: guests.isEmpty ? nil : guests,
                targets: targets,
                isDigest: section.choice(.send, NoticeSending.self, &findings) == .digest,
                tellsOver: section.flag(.tellOver, &findings) ?? true))
    }

    /// When a rule's notices are sent.
    private enum NoticeSending: String, CaseIterable {
        case atOnce = "at-once"
        case digest
    }

    /// The patterns of names below a key.
    private mutating func patterns<Key>(_ section: ConfigurationSection<Key>, _ key: Key) -> [NamePattern] {
        section.texts(key, &findings).compactMap { text in
            if let pattern = NamePattern(text) { return pattern }
            findings.error(
                section.line(key), section.at(key), "a pattern is empty, or longer than \(NamePattern.longest) bytes",
                "write a name, with * for any text and ? for one character")
            return nil
        }
    }
}
