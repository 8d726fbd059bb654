import Foundation
import Notices

/// Judges a configuration as a whole: names that nothing has, policies against their tiers, schedules against RPOs and
/// windows, guests that two policies or none cover.
struct ConfigurationLint {
    /// Shortest window that is taken, in minutes: below it a run is cut off before it has its first regions.
    static let shortestWindow = 15
    /// Most names times patterns that are compared.
    static let mostComparisons = 500_000

    private let configuration: AgentConfiguration
    private let places: ConfigurationPlaces
    private let unread: Set<String>

    /// - Parameter unread: paths of keys of policies whose values mean nothing, which was told.
    init(_ configuration: AgentConfiguration, places: ConfigurationPlaces, unread: Set<String>) {
        self.configuration = configuration
        self.places = places
        self.unread = unread
    }

    /// Tells everything.
    func judge(_ findings: inout ConfigurationFindings) {
        for (name, policy) in configuration.policies.sorted(by: { $0.key < $1.key }) {
            names(name, policy, &findings)
            tier(name, policy, &findings)
            times(name, policy, &findings)
            if policy.lock > 0, let repository = configuration.repositories[policy.repository],
                repository.maintainerFile == nil
            {
                error(
                    "policies.\(name).lock",
                    "points are locked with a maintainer's credential, and \(policy.repository) has none",
                    "write its maintainer-credential-file, or take lock away", &findings)
            }
            if !policy.retention.keepsAnything, !unread.contains("policies.\(name).retention") {
                error(
                    "policies.\(name).retention", "nothing is kept but the newest point of each guest",
                    "write how many: last, hourly, daily, weekly, monthly, yearly, verified or tags", &findings)
            }
        }
        for rule in configuration.rules {
            for target in rule.rule.targets
            where configuration.targets[target] == nil && !places.has("notifications.targets.\(target)") {
                unknown(
                    "notifications.rules.\(rule.name).targets",
                    "\"\(ConfigurationKeys.short(target))\" is no target of this file", target,
                    Array(configuration.targets.keys), &findings)
            }
        }
        coverage(&findings)
        if configuration.policies.isEmpty, !places.has("policies") {
            note("policies", "there is no policy, so nothing is ever backed up", "write one", &findings)
        }
    }

    private func error(_ key: String, _ sentence: String, _ remedy: String, _ findings: inout ConfigurationFindings) {
        findings.error(places.line(key), key, sentence, remedy)
    }
    private func note(_ key: String, _ sentence: String, _ remedy: String, _ findings: inout ConfigurationFindings) {
        findings.note(places.line(key), key, sentence, remedy)
    }

    private func unknown(
        _ key: String, _ sentence: String, _ name: String, _ known: [String], _ findings: inout ConfigurationFindings
    ) {
        let remedy: String
        if let meant = NearMiss.of(name, among: known) {
            remedy = "did you mean \(meant)?"
        } else {
            remedy =
                known.isEmpty ? "there is none yet; write it" : "there are \(known.sorted().joined(separator: ", "))"
        }
        error(key, sentence, remedy, &findings)
    }

    /// Whatever a policy names must be there; what is there and wrong was told already.
    private func names(_ name: String, _ policy: BackupPolicy, _ findings: inout ConfigurationFindings) {
        let path = "policies.\(name)"
        if configuration.repositories[policy.repository] == nil, !unread.contains("\(path).repository"),
            !places.has("repositories.\(policy.repository)")
        {
            unknown(
                "\(path).repository", "\"\(ConfigurationKeys.short(policy.repository))\" is no repository of this file",
                policy.repository, Array(configuration.repositories.keys), &findings)
        }
        for guests in policy.guests where configuration.guests[guests] == nil && !places.has("guests.\(guests)") {
            unknown(
                "\(path).guests", "\"\(ConfigurationKeys.short(guests))\" is no set of guests of this file", guests,
                Array(configuration.guests.keys), &findings)
        }
        if policy.guests.isEmpty {
            note(
                path, "the policy has no guests, so it never does anything", "write guests: and names of sets",
                &findings)
        }
    }

    private func tier(_ name: String, _ policy: BackupPolicy, _ findings: inout ConfigurationFindings) {
        guard let tier = configuration.tiers[policy.tier] else {
            if !places.has("tiers.\(policy.tier)"), !unread.contains("policies.\(name).tier") {
                let known = configuration.tiers.keys.sorted().map { "\($0)" }.joined(separator: ", ")
                error(
                    "policies.\(name).tier", "there is no tier \(policy.tier)",
                    known.isEmpty ? "write tiers: and one for each number" : "there are \(known)", &findings)
            }
            return
        }
        if policy.rpo > tier.largestRPO {
            error(
                "policies.\(name).rpo",
                "the RPO is \(ConfigurationValue.spoken(policy.rpo)), and tier \(policy.tier) (\(tier.name)) may lose "
                    + "\(ConfigurationValue.spoken(tier.largestRPO)) at most",
                "lower the RPO and run more often, or move the guests to a tier that may lose as much", &findings)
        }
    }

    private func times(_ name: String, _ policy: BackupPolicy, _ findings: inout ConfigurationFindings) {
        let path = "policies.\(name)"
        if let window = policy.window { self.window(path, policy, window, &findings) }
        guard !unread.contains("\(path).schedule") else { return }
        let gap = ScheduleJudgement.gaps(policy.schedule, window: policy.window)
        guard let gap else {
            return error(
                "\(path).schedule", "it is due less than twice in two years",
                "write a schedule that can meet the RPO", &findings)
        }
        if policy.rpo > 0, gap.upperBound > policy.rpo {
            error(
                "\(path).schedule",
                "up to \(ConfigurationValue.spoken(gap.upperBound)) pass between two runs"
                    + (policy.window == nil ? "" : " in this window")
                    + ", and the RPO is \(ConfigurationValue.spoken(policy.rpo))",
                "run more often" + (policy.window == nil ? "" : ", widen or take away the window")
                    + ", or raise the RPO", &findings)
        }
        if policy.jitter >= gap.lowerBound {
            error(
                "\(path).jitter",
                "a guest may be delayed by \(ConfigurationValue.spoken(policy.jitter)), and after "
                    + "\(ConfigurationValue.spoken(gap.lowerBound)) it is due again",
                "write a jitter that is shorter than the time between two runs", &findings)
        }
    }

    private func window(
        _ path: String, _ policy: BackupPolicy, _ window: BackupWindow, _ findings: inout ConfigurationFindings
    ) {
        let length = ConfigurationValue.spoken(window.minutes * 60)
        if window.minutes < ConfigurationLint.shortestWindow {
            error(
                "\(path).window",
                "the window has \(window.minutes) min, and \(ConfigurationLint.shortestWindow) are the least",
                "widen it", &findings)
        }
        if policy.jitter >= window.minutes * 60 {
            error(
                "\(path).jitter",
                "a guest may be delayed by \(ConfigurationValue.spoken(policy.jitter)), and the window has \(length)",
                "write a jitter that is much shorter than the window", &findings)
        }
        for (key, hook) in [("before", policy.before), ("after", policy.after)] {
            guard let hook, hook.timeLimit >= window.minutes * 60 else { continue }
            error(
                "\(path).hooks.\(key).time-limit",
                "the command may take \(ConfigurationValue.spoken(hook.timeLimit)), and the window has \(length)",
                "shorten the limit or widen the window", &findings)
        }
        if !unread.contains("\(path).schedule"), !ScheduleJudgement.isEverDue(policy.schedule, in: window) {
            note(
                "\(path).window", "the schedule is never due inside the window, so runs begin when it opens",
                "let the schedule name a time of the window", &findings)
        }
    }

    /// Sets that no policy has, and guests that several policies have.
    private func coverage(_ findings: inout ConfigurationFindings) {
        var covering: [String: [String]] = [:]
        for (name, policy) in configuration.policies.sorted(by: { $0.key < $1.key }) {
            for guests in Set(policy.guests) { covering[guests, default: []].append(name) }
        }
        let sets = configuration.guests.sorted { $0.key < $1.key }
        for (name, _) in sets {
            let policies = covering[name] ?? []
            if policies.isEmpty {
                note("guests.\(name)", "no policy covers these guests", "name the set in a policy", &findings)
            } else if policies.count > 1 {
                note(
                    "guests.\(name)", "several policies cover these guests: \(policies.joined(separator: ", "))",
                    "that is right if each has a purpose of its own", &findings)
            }
        }
        let comparisons = sets.reduce(0) { $0 + $1.value.names.count } * sets.reduce(1) { $0 + $1.value.patterns.count }
        guard comparisons <= ConfigurationLint.mostComparisons else {
            return note(
                "guests", "these are too many names and patterns to look for guests of two policies",
                "name guests by patterns or tags", &findings)
        }
        for (name, set) in sets where covering[name] != nil {
            for guest in set.names {
                let own = Set(covering[name] ?? [])
                let others = Set(configuration.policies(covering: guest, set.connection)).subtracting(own)
                guard !own.isEmpty, !others.isEmpty else { continue }
                note(
                    "guests.\(name).names",
                    "\(ConfigurationKeys.short(guest)) is covered by \(own.sorted().joined(separator: ", ")), and "
                        + "through another set by \(others.sorted().joined(separator: ", "))",
                    "that is right if each has a purpose of its own", &findings)
            }
        }
    }
}
