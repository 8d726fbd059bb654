import BackupModel
import Foundation

extension ConfigurationReader {
    /// Guests of a policy that are run at once, workers of a run: bounds of what a file may ask for.
    private static let mostWorkers = 64

    /// A policy. What it cannot do without and is missing or wrong is told, and kept in ``unread``, so that the rest
    /// of it is judged all the same.
    mutating func policy(_ section: ConfigurationSection<ConfigurationKeys.Policy>, zone usual: TimeZone)
        -> BackupPolicy
    {
        let guests = section.texts(.guests, &findings)
        let repository = section.text(.repository, &findings)
        if !section.has(.repository) { section.lacks(.repository, "name one of repositories", &findings) }
        let tier = section.number(.tier, 1...9, &findings)
        if !section.has(.tier) { section.lacks(.tier, "write the number of one of tiers", &findings) }
        let schedule = schedule(section)
        let retention = retention(section)
        let rpo = section.duration(.rpo, 60...(366 * 86_400), &findings)
        let hooks = section.section(.hooks, ConfigurationKeys.Hooks.self, &findings)
        let before = hooks.flatMap { hook($0, .before) }
        let after = hooks.flatMap { hook($0, .after) }
        if repository == nil { unread.insert(section.at(.repository)) }
        if tier == nil { unread.insert(section.at(.tier)) }
        if schedule == nil { unread.insert(section.at(.schedule)) }
        if retention == nil { unread.insert(section.at(.retention)) }
        return BackupPolicy(
            guests: guests, repository: repository ?? "", tier: tier ?? 0, rpo: rpo ?? 0,
            schedule: schedule ?? .every(seconds: 1), timeZone: zone(section, .timeZone) ?? usual,
            jitter: section.duration(.jitter, 0...86_400, &findings) ?? 0, window: window(section),
            retention: retention ?? RetentionRules(),
            lock: section.duration(.lock, 86_400...(3650 * 86_400), &findings) ?? 0,
            quiesce: section.choice(.quiesce, QuiesceWish.self, &findings) ?? .auto,
            takesMemory: section.flag(.memory, &findings) ?? false,
            samplePercent: section.number(.samplePercent, 0...100, &findings) ?? 2,
            fullReadEvery: section.number(.fullReadEvery, 0...10_000, &findings) ?? 30, limits: limits(section),
            before: before, after: after)
    }

    private mutating func schedule(_ section: ConfigurationSection<ConfigurationKeys.Policy>) -> Schedule? {
        guard let text = section.text(.schedule, &findings) else {
            if !section.has(.schedule) {
                section.lacks(
                    .schedule, "write when it is due, such as schedule: \"30 22 * * *\" or every 15m", &findings)
            }
            return nil
        }
        do { return try Schedule(text) } catch {
            findings.error(
                section.line(.schedule), section.at(.schedule), error.description,
                "write such as \"30 22 * * *\", @daily or every 15m")
            return nil
        }
    }

    private mutating func window(_ section: ConfigurationSection<ConfigurationKeys.Policy>) -> BackupWindow? {
        guard let window = section.section(.window, ConfigurationKeys.Window.self, &findings) else { return nil }
        let what = "a time of the day such as \"22:00\", between quotes"
        let from = window.value(.from, what, &findings, ConfigurationValue.minuteOfDay)
        let to = window.value(.to, what, &findings, ConfigurationValue.minuteOfDay)
        for key in ConfigurationKeys.Window.allCases where !window.has(key) {
            window.lacks(key, "write \(key.rawValue): and \(what)", &findings)
        }
        guard let from, let to else { return nil }
        guard from != to else {
            findings.error(
                window.line(.to), window.at(.to), "the window ends when it begins",
                "for the whole day take the window away")
            return nil
        }
        return BackupWindow(from: from, to: to)
    }

    private mutating func retention(_ section: ConfigurationSection<ConfigurationKeys.Policy>) -> RetentionRules? {
        guard section.has(.retention) else {
            section.lacks(.retention, "write what is kept, such as daily: 14 below retention:", &findings)
            return nil
        }
        guard let own = section.section(.retention, ConfigurationKeys.Retention.self, &findings) else { return nil }
        let errorCount = findings.errors.count
        var rules = RetentionRules()
        func count(_ key: ConfigurationKeys.Retention, _ findings: inout ConfigurationFindings) -> Int {
            own.number(key, 0...100_000, &findings) ?? 0
        }
        rules.last = count(.last, &findings)
        rules.verified = count(.verified, &findings)
        rules.periods = [
            .hour: count(.hourly, &findings), .day: count(.daily, &findings), .week: count(.weekly, &findings),
            .month: count(.monthly, &findings), .year: count(.yearly, &findings),
        ]
        rules.tags = Set(own.texts(.tags, &findings))
        // Where a number is wrong, nobody can say that nothing is kept.
        return findings.errors.count == errorCount ? rules : nil
    }

    private mutating func limits(_ section: ConfigurationSection<ConfigurationKeys.Policy>) -> RunLimits {
        var limits = RunLimits()
        guard let own = section.section(.limits, ConfigurationKeys.Limits.self, &findings) else { return limits }
        func rate(_ key: ConfigurationKeys.Limits, _ findings: inout ConfigurationFindings) -> UInt64? {
            own.value(key, ConfigurationReader.rateText, &findings, ConfigurationReader.rate)
        }
        limits.read = rate(.read, &findings)
        limits.store = rate(.store, &findings)
        limits.workers = own.number(.workers, 1...ConfigurationReader.mostWorkers, &findings)
        limits.nice = own.number(.nice, 0...19, &findings) ?? limits.nice
        limits.concurrency =
            own.number(.concurrency, 1...ConfigurationReader.mostWorkers, &findings) ?? limits.concurrency
        return limits
    }

    static let rateText = "a rate: bytes a second, or a number with K, M or G"

    /// A rate; `nil` for what is none.
    static func rate(_ text: String) -> UInt64? { SizeText.parse(text).flatMap { $0 > 0 ? $0 : nil } }

    private mutating func hook(
        _ section: ConfigurationSection<ConfigurationKeys.Hooks>, _ key: ConfigurationKeys.Hooks
    ) -> RunHook? {
        section.section(key, ConfigurationKeys.Hook.self, &findings).flatMap { own in
            command(own, .command, .timeLimit, usual: nil)
        }
    }

    /// A command and its time limit.
    ///
    /// - Parameter usual: seconds, when the file has none; `nil` when it must have one.
    mutating func command<Key>(
        _ section: ConfigurationSection<Key>, _ command: Key, _ timeLimit: Key, usual: Int?
    ) -> RunHook? {
        let words = section.texts(command, &findings)
        let seconds = section.duration(timeLimit, 1...86_400, &findings)
        guard let program = words.first, ConfigurationValue.isPath(program) else {
            if words.isEmpty {
                section.lacks(command, "write the program's absolute path and its arguments as a list", &findings)
            } else {
                findings.error(
                    section.line(command), section.at(command),
                    "\"\(ConfigurationKeys.short(words[0]))\" is not an absolute path",
                    "write the program's absolute path and each argument as an item of a list; no shell reads it")
            }
            return nil
        }
        if !section.has(timeLimit), usual == nil {
            section.lacks(timeLimit, "write after what time it is ended, such as time-limit: 5m", &findings)
        }
        return (seconds ?? usual).map { RunHook(command: words, timeLimit: $0) }
    }
}
