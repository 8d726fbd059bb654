/// Every key that the configuration file may have: the reader asks by these, the sample shows each.
package enum ConfigurationKeys {
    /// Keys of the whole file.
    enum Root: String, CaseIterable, Sendable {
        case timeZone = "time-zone"
        case repositories, guests, tiers, policies, notifications
    }
    /// Keys of a repository.
    enum Repository: String, CaseIterable, Sendable {
        case location
        case credential = "credential-file"
        case maintainer = "maintainer-credential-file"
        case undoTime = "undo-time"
        case verifyEvery = "verify-every"
        case verifyRate = "verify-rate"
    }
    /// Keys of a set of guests.
    enum Guests: String, CaseIterable, Sendable {
        case connection, uri, names, patterns, tags, socket
        case agentSocket = "agent-socket"
        case exclude = "exclude-disks"
    }
    /// Keys of a tier.
    enum Tier: String, CaseIterable, Sendable {
        case name
        case largestRPO = "largest-rpo"
    }
    /// Keys of a policy.
    enum Policy: String, CaseIterable, Sendable {
        case guests, repository, tier, rpo, schedule
        case timeZone = "time-zone"
        case jitter, window, retention, lock, quiesce, memory
        case samplePercent = "sample-percent"
        case fullReadEvery = "full-read-every"
        case limits, hooks
    }
    /// Keys of a window.
    enum Window: String, CaseIterable, Sendable { case from, to }
    /// Keys of what is kept.
    enum Retention: String, CaseIterable, Sendable { case last, hourly, daily, weekly, monthly, yearly, verified, tags }
    /// Keys of what a run may ask of its host.
    enum Limits: String, CaseIterable, Sendable { case read, store, workers, nice, concurrency }
    /// Keys of the commands around a run.
    enum Hooks: String, CaseIterable, Sendable { case before, after }
    /// Keys of a command.
    enum Hook: String, CaseIterable, Sendable {
        case command
        case timeLimit = "time-limit"
    }
    /// Keys of who is told what.
    enum Notifications: String, CaseIterable, Sendable {
        case reportAt = "report-at"
        case targets, rules
    }
    /// Keys of whoever is told, of all kinds.
    enum Target: String, CaseIterable, Sendable {
        case kind, server, port, security, user
        case passwordFile = "password-file"
        case from, to, url
        case secretFile = "secret-file"
        case facility, command
        case timeLimit = "time-limit"
    }
    /// Keys of a rule by which events find their targets.
    enum Rule: String, CaseIterable, Sendable {
        case events, severity, guests, targets, send
        case tellOver = "tell-over"
    }

    /// Paths of all keys, `*` standing for names of the user's own, in the order of the file.
    package static let all: [String] = {
        func below<Key: RawRepresentable & CaseIterable>(_ path: String, _: Key.Type) -> [String]
        where Key.RawValue == String { Key.allCases.map { path + $0.rawValue } }
        return below("", Root.self) + below("repositories.*.", Repository.self) + below("guests.*.", Guests.self)
            + below("tiers.*.", Tier.self) + below("policies.*.", Policy.self)
            + below("policies.*.window.", Window.self) + below("policies.*.retention.", Retention.self)
            + below("policies.*.limits.", Limits.self) + below("policies.*.hooks.", Hooks.self)
            + below("policies.*.hooks.before.", Hook.self) + below("policies.*.hooks.after.", Hook.self)
            + below("notifications.", Notifications.self) + below("notifications.targets.*.", Target.self)
            + below("notifications.rules.*.", Rule.self)
    }()

    /// Keys of later releases, wherever they stand.
    static let later: Set<String> = ["sites", "site", "media", "medium", "copies", "copy", "replicate", "replicas"]
    /// Keys under which people would write a secret.
    static let secrets: Set<String> = ["password", "passphrase", "secret", "token", "key", "credential", "api-key"]

    /// A foreign text, cut so that it fits a sentence, with what steers a terminal taken out.
    static func short(_ text: String) -> String {
        let clean = String(
            text.unicodeScalars.prefix(61).map {
                $0.properties.generalCategory == .control ? "\u{FFFD}" : Character($0)
            })
        return clean.count > 60 ? clean.prefix(60) + "…" : clean
    }
}
