import Effects
import Foundation
import Hypervisors
import Jobs
import Notices

extension AgentService {
    /// Between two questions to a hypervisor which guests it has.
    private static let discoveryInterval = 300 * second
    /// Seconds that a hypervisor may take for its answer.
    private static let discoveryLimit = 120
    /// Seconds that tidying a repository may take.
    private static let tidyLimit = 7 * 86_400
    /// How long a guest may be without a policy before that is told: whoever makes one is not done at once.
    private static let uncoveredPatience = 3600 * second
    /// Seconds after which a guest that is gone, and has no newer run, is forgotten.
    private static let goneAfter = 30 * 86_400

    /// What is done from time to time beside the runs.
    func makeRounds(_ now: UInt64) throws {
        try discover(now)
        try tidy(now)
        try verify(now)
        try measure(now)
        try lookForApprovals(now)
        reportIfDue(now)
    }

    // MARK: Guests

    private func discover(_ now: UInt64) throws {
        for connection in configuration.connections {
            if let asked = discovery[connection]?.asked, asked <= now, now - asked < AgentService.discoveryInterval {
                continue
            }
            let name = AgentService.discoveryPrefix + connection.text
            guard !errands.contains(where: { $0.name == name }) else { continue }
            discovery[connection] = (now, discovery[connection]?.problem)
            switch connection {
            case .monitor:
                let names = configuration.guests.values.filter { $0.connection == connection }.flatMap(\.names)
                found(Dictionary(names.map { ($0, []) }, uniquingKeysWith: { first, _ in first }), at: connection, now)
            case .libvirt(let uri): try ask(name, ["guests", "--json", "--connect", uri], now)
            case .xen: try ask(name, ["guests", "--json", "--connect", XenHost.uri], now)
            }
        }
    }

    private static let discoveryPrefix = "guests of "

    private func ask(_ name: String, _ words: [String], _ now: UInt64) throws {
        errands.append(
            try Errand(
                name, [RunUnderWay.ownProgram] + words + ["--config", options.configFile],
                limit: AgentService.discoveryLimit, folder: folder, now: now))
    }

    /// A guest as `dozo guests --json` has it.
    private struct ListedGuest: Decodable {
        let name: String
        let tags: [String]?
    }

    private func discovered(_ connection: GuestConnection, _ result: Errand.Result, _ now: UInt64) {
        // A list that lacks some guests (status 3) says nothing about those that are not on it.
        guard result.status == 0,
            let list = try? JSONDecoder().decode([ListedGuest].self, from: Data(result.output))
        else {
            let why = result.isLate ? "no answer in \(AgentService.discoveryLimit) s" : result.lastWords
            if discovery[connection]?.problem != why {
                log.say(
                    .error, "discovery-failed", "which guests there are is not known: \(why)",
                    [("connection", connection.text)])
            }
            discovery[connection]?.problem = why
            return
        }
        found(
            Dictionary(list.map { ($0.name, Set($0.tags ?? [])) }, uniquingKeysWith: { $0.union($1) }),
            at: connection, now)
    }

    private func found(_ guests: [String: Set<String>], at connection: GuestConnection, _ now: UInt64) {
        discovery[connection]?.problem = nil
        isDirty = true
        let before = Set(agenda.jobs.keys)
        let seconds = AgentService.seconds(now)
        if !agenda.discovered(guests, at: connection, now: seconds) {
            log.say(.error, "too-many", "more than \(Agenda.mostJobs) jobs; the rest of the guests is not covered")
        }
        agenda.forget { _, job in
            max(job.lastStart ?? job.since, job.lastPoint ?? job.since) < seconds - AgentService.goneAfter
        }
        for key in Set(agenda.jobs.keys).subtracting(before).sorted() {
            log.say(
                .notice, "guest-covered", "the guest is covered from now on",
                [("guest", key.guest.name), ("policy", key.policy)])
        }
    }

    // MARK: Errands

    /// Takes note of errands that are done.
    func advanceErrands(_ now: UInt64) throws {
        var rest: [Errand] = []
        for current in errands {
            var errand = current
            guard let result = errand.result(now: now) else {
                rest.append(errand)
                continue
            }
            if let connection = configuration.connections.first(where: {
                AgentService.discoveryPrefix + $0.text == errand.name
            }) {
                discovered(connection, result, now)
            } else if tookApprovals(errand.name, result, now) {
                continue
            } else if errand.name.hasPrefix(AgentService.tidyPrefix) {
                tidied(String(errand.name.dropFirst(AgentService.tidyPrefix.count)), result, now)
            } else if errand.name.hasPrefix(AgentService.verifyPrefix) {
                verified(String(errand.name.dropFirst(AgentService.verifyPrefix.count)), result, now)
            }
        }
        errands = rest
    }

    // MARK: Tidying

    private static let tidyPrefix = "tidying "

    private func tidy(_ now: UInt64) throws {
        // What can be had back for a week must not go because the clock says that the week is over.
        guard isClockSteady else { return }
        let busy = Set(runs.values.map(\.run.repository))
        for name in rounds.dueForTidying(configuration, busy: busy, now: AgentService.seconds(now)) {
            guard let repository = configuration.repositories[name], let key = repository.maintainerFile,
                !errands.contains(where: { $0.name == AgentService.tidyPrefix + name })
            else { continue }
            log.say(.information, "tidy-began", "what no rule keeps is removed", [("repository", name)])
            errands.append(
                try Errand(
                    AgentService.tidyPrefix + name,
                    [
                        RunUnderWay.ownProgram, "prune", "--repository", repository.location, "--key-file", key,
                        "--config", options.configFile, "--yes", "--json",
                    ], limit: AgentService.tidyLimit, folder: folder, now: now))
        }
    }

    private func tidied(_ name: String, _ result: Errand.Result, _ now: UInt64) {
        let seconds = AgentService.seconds(now)
        // Done in part is done: what waits for a backup that runs is freed by the next round.
        if result.status == 0 || result.status == 3 {
            rounds.tidied[name] = seconds
            isDirty = true
            log.say(.information, "tidy-done", "what no rule keeps is removed", [("repository", name)])
            return
        }
        rounds.tidied[name] = seconds - DailyRounds.tidyInterval + DailyRounds.tidyRetry
        log.say(
            .error, "tidy-failed", AgentService.complaint(result),
            [("repository", name), ("status", result.status.map { "\($0)" })])
    }

    // MARK: Verifying

    private static let verifyPrefix = "verifying "
    /// Seconds that reading all of a repository may take.
    private static let verifyLimit = 14 * 86_400

    private func verify(_ now: UInt64) throws {
        for name in rounds.dueForVerifying(configuration, now: AgentService.seconds(now)) {
            guard let repository = configuration.repositories[name],
                !errands.contains(where: { $0.name == AgentService.verifyPrefix + name })
            else { continue }
            rounds.verifyTried[name] = AgentService.seconds(now)
            log.say(.information, "verify-began", "everything is read and checked", [("repository", name)])
            var words = ["verify", "--repository", repository.location, "--json"]
            words += repository.maintainerFile.map { ["--key-file", $0, "--record"] } ?? ["--no-key"]
            if let rate = repository.verifyRate { words += ["--limit-read", "\(rate)"] }
            errands.append(
                try Errand(
                    AgentService.verifyPrefix + name, [RunUnderWay.ownProgram] + words,
                    limit: AgentService.verifyLimit, folder: folder, now: now))
        }
    }

    private func verified(_ name: String, _ result: Errand.Result, _ now: UInt64) {
        isDirty = true
        let complaint = AgentService.complaint(result)
        switch result.status.flatMap(ExitStatus.init(rawValue:)) {
        case .done, .partial:
            rounds.verified[name] = AgentService.seconds(now)
            log.say(.information, "verify-done", "everything is there and sound", [("repository", name)])
            post.post { desk, now in
                desk.end(at: now) { $0.kind == .damaged && $0.subject.repository == name }
            }
        case .damaged:
            log.say(.critical, "damaged", complaint, [("repository", name)])
            post.post { desk, now in
                desk.report([.damaged(repository: name, at: now, finding: complaint)], at: now)
            }
        default:
            log.say(
                .error, "verify-failed", complaint,
                [("repository", name), ("status", result.status.map { "\($0)" })])
        }
    }

    /// What an errand that did not do what it should said about it.
    static func complaint(_ result: Errand.Result) -> String {
        if result.isLate { return "it took too long and was ended" }
        return (try? JSONDecoder().decode(CommandComplaint.self, from: Data(result.lastWords.utf8)))?.error
            ?? result.lastWords
    }

    // MARK: How full it is

    private static let measureName = "counting what repositories hold"
    private static let measureInterval = 86_400
    private static let measureLimit = 6 * 3600
    /// How long before a repository is full that is told: two weeks.
    private static let roomWarning = 14 * 86_400 * second

    /// Lets a sample be kept once a day, of which it is foretold when there will be no room.
    private func measure(_ now: UInt64) throws {
        let seconds = AgentService.seconds(now)
        if let last = rounds.measured, last <= seconds, seconds - last < AgentService.measureInterval { return }
        guard !configuration.repositories.isEmpty else { return }
        rounds.measured = seconds
        isDirty = true
        errands.append(
            try Errand(
                AgentService.measureName,
                [
                    RunUnderWay.ownProgram, "report", "capacity", "--no-guests", "--json", "--config",
                    options.configFile,
                ], limit: AgentService.measureLimit, folder: folder, now: now))
    }

    /// How much room each repository's file system has, and when it will have none.
    private func rooms(_ now: UInt64) -> [RoomForecast] {
        let archive = HostArchives(path: folder.path).capacity
        return configuration.repositories.sorted { $0.key < $1.key }.compactMap { name, repository in
            let location = HostPaths.resolved(repository.location)
            guard let room = HostPaths.room(location) else { return nil }
            let samples = (try? archive.samples(of: location)) ?? []
            let forecast = GrowthForecast(samples.map(\.growth), used: room.used, free: room.free, at: now)
            return forecast.room(
                NoticeSubject(repository: name), free: room.free, warning: AgentService.roomWarning)
        }
    }

    // MARK: What did not happen

    /// Holds what is promised against what is.
    func lookForAbsence(_ now: UInt64) {
        var absence = Absence()
        absence.runs = agenda.promises(now: now)
        if !configuration.connections.isEmpty {
            absence.uncovered = agenda.uncovered.map { guest, since in
                UncoveredGuest(
                    name: guest.name, since: UInt64(since) * AgentService.second, place: guest.connection.text)
            }
            absence.uncoveredPatience = AgentService.uncoveredPatience
        }
        absence.verifications = configuration.repositories.compactMap { name, repository in
            guard let interval = repository.verifyEvery, let since = rounds.verified[name] else { return nil }
            let last = UInt64(since) * AgentService.second
            return VerificationPromise(
                subject: NoticeSubject(repository: name), since: last, lastVerified: last,
                limit: UInt64(interval) * AgentService.second + AgentService.verifyPatience)
        }
        absence.rooms = rooms(now)
        absence.windows = agenda.windowForecasts(now: AgentService.seconds(now))
        let found = absence
        post.post { desk, now in
            desk.observe(found, at: now)
            desk.remind(at: now)
        }
    }

    /// How long behind its time a verification may be found sound: it reads all night, or is tried again.
    private static let verifyPatience = 3 * 86_400 * second

    // MARK: The morning

    private func reportIfDue(_ now: UInt64) {
        guard let clock = ScheduleClock(daily: configuration.reportMinute, zone: configuration.timeZone),
            let due = rounds.report.take(now: AgentService.seconds(now), clock)
        else { return }
        isDirty = true
        let end = UInt64(due) * AgentService.second
        let night = (end - min(end, AgentService.nightLength))..<end
        do {
            let found = try archive.records(in: night)
            let report = NightReport(
                host: HostPaths.hostName, night: night, runs: found.records, promises: agenda.promises(now: now),
                problems: post.open, at: now)
            try folder.keepReport(report)
            log.say(.notice, "night", report.headline)
            let notice = report.notice
            post.post { desk, now in
                desk.report([notice], at: now)
                desk.closeDigests(at: now)
            }
        } catch { log.say(.error, "report-failed", CommandFailure(error).sentence) }
    }

    private static let nightLength = 86_400 * second
}
