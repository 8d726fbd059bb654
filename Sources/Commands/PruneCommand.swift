import ArgumentParser
import BackupModel
import ChunkEncryption
import Effects
import Jobs
import Repository
import RepositoryFormat

/// `dozo prune`: forgets what no policy keeps, and sweeps.
struct PruneCommand: AsyncParsableCommand, LoadingCommand {
    static let configuration = CommandConfiguration(
        commandName: "prune", abstract: "Forget restore points that no policy keeps, and sweep.",
        discussion: """
            Examples:
              dozo prune -r /backup/dozo --config /etc/dozo/dozo.yaml --dry-run
              dozo prune -r /backup/dozo --dry-run --guest web01 --config ./dozo.yaml
              dozo prune -r /backup/dozo --config /etc/dozo/dozo.yaml --yes

            What is kept stands in the agent's file: the policies whose repository is this one, for the guests that \
            their sets choose by name or pattern. A point that any of them keeps stays; a guest that none covers keeps \
            everything. --dry-run says for every point which rule keeps it, or why none does.

            A forgotten point can be had back (`dozo forget --undo`) for the repository's undo-time, a week unless the \
            file says otherwise; then a sweep lets it go. Held points, points whose forget was taken back, and the \
            newest point of a guest are never forgotten. A guest that got many more points in a day than it does is \
            left alone for two weeks, or until somebody says --accept-many; the command ends with status 3.
            """)

    @OptionGroup var options: RepositoryOptions
    @OptionGroup var load: LoadOptions
    var usualNice: Int { LoadOptions.backgroundNice }
    @Option(
        help: ArgumentHelp("The agent's file; by default \(AgentCheckCommand.usualFile).", valueName: "file"),
        completion: .file())
    var config: String?
    @Option(help: ArgumentHelp("Only this guest, by name or id.", valueName: "name"))
    var guest: String?
    @Flag(help: "Only say what would be done, and why.")
    var dryRun = false
    @Flag(help: "Also forget points of guests that got many in a day.")
    var acceptMany = false
    @Flag(inversion: .prefixedNo, help: "Sweep behind it.")
    var sweep = true
    @Flag(help: "Do it; without this the command only says what it would do.")
    var yes = false

    func validate() throws {
        guard !dryRun || !yes else { throw ValidationError("--dry-run changes nothing, and --yes does: say one") }
    }

    /// Nanoseconds of a second.
    private static let second: UInt64 = 1_000_000_000

    func run() async throws {
        let rates = load.rates()
        let named = config ?? AgentCheckCommand.usualFile
        guard let file = try PolicyCoverage.read(config)?.configuration else {
            throw CommandFailure(
                .failed, "there is no \(named), so what is kept is not known: name the agent's file with --config")
        }
        let (repository, view) = try await options.openAndLook(rates: rates)
        guard view.showsPoints else {
            throw CommandFailure(
                .wrongKey, "this credential does not open restore points; use a maintainer's, or the passphrase")
        }
        let here = HostPaths.resolved(try options.path())
        let policies = file.prunePolicies(where: { HostPaths.resolved($0) == here })
        if policies.isEmpty {
            options.note(
                "note: no policy of \(Console.printable(named)) keeps its points here, so everything stays")
        }
        let now = SystemClock.system.wall()
        let revoked = repository.revokedWriters
        let times = repository.decisionTimes(view, now: now)
        let undoTime = file.undoTime(where: { HostPaths.resolved($0) == here })
        let rules = try rules(of: policies, undoTime: undoTime, view)
        let digest = repository.credential.signingKey.map { key in
            ForgetRecord.digest(
                ofRules: rules, repository: repository.chain.repository, signer: key.publicKey.fingerprint)
        }
        let candidates = PrunedPoints.candidates(
            in: view, revoked: revoked, now: now, times: times, rules: rules.isEmpty ? nil : digest)
        let plan = PrunePlan(
            candidates,
            policies: policies, now: now,
            lockTime: times.lock, wanted: try wanted(candidates),
            acceptsMany: acceptMany)
        if policies.contains(where: { $0.rules.verified > 0 }), !candidates.contains(where: \.point.isVerified) {
            options.note(
                "note: no verification of a point is recorded here, so that `verified` keeps none; "
                    + "`dozo verify --record` records its result, and the agent does where verify-every is set")
        }
        guard yes else {
            try show(plan, report: nil)
            if dryRun { return }
            throw CommandFailure(.refused, "nothing was changed; say --yes to do it")
        }
        try await carryOut(plan, at: now, undoTime: undoTime, rules: rules, repository, view)
        var report: Sweep.Report?
        let run = SweepRun(options: options, repository: repository)
        if sweep {
            do { report = try await run.run(Sweep.Settings(now: now)) } catch {
                // What was forgotten is, whatever becomes of the sweep.
                try show(plan, report: nil)
                throw error
            }
        }
        try show(plan, report: report)
        if let failure = report.flatMap(run.remainder) { throw failure }
        let left = plan.guests.filter { $0.verdicts.contains { $0.fate == .waits } }
        guard left.isEmpty else {
            throw CommandFailure(
                .partial,
                "\(Console.count(left.count, "guest")) got many points and keep them all for now; look at them, then "
                    + "say --accept-many")
        }
    }

    /// Locks and forgets what the plan says.
    private func carryOut(
        _ plan: PrunePlan, at now: UInt64, undoTime: Int, rules: [UInt8], _ repository: OpenRepository,
        _ view: RepositoryView
    ) async throws {
        let session = try MaintenanceSession(repository, randomness: .system)
        if !plan.locks.isEmpty {
            try await session.lock(plan.locks, at: now, reason: PruneCommand.lockReason)
        }
        guard !plan.goes.isEmpty else { return }
        let head = try await session.forget(
            plan.goes, at: now, reason: PruneCommand.reason, undoTime: UInt64(undoTime) * PruneCommand.second,
            rules: rules)
        guard let words = try await ApprovalWords.waits(head, in: repository, asWas: view) else { return }
        options.note("note: \(words)" + (rules.isEmpty ? "" : ", with --rules for all that these rules forget"))
    }

    /// What the record of a forget says for people.
    private static let reason = "no policy keeps it"

    /// What the record of a lock says for people.
    private static let lockReason = "a policy locks it"

    /// The rules in the words that persons approve; empty where nobody asks for approvals, and for a prune that people
    /// have a hand in.
    private func rules(of policies: [PrunePlan.Policy], undoTime: Int, _ view: RepositoryView) throws -> [UInt8] {
        guard view.said.approvals.required != nil, !acceptMany else { return [] }
        let rules = try StatedRules.text(of: policies, undoTime: undoTime)
        guard rules.count <= ForgetRecord.ruleByteLimit else {
            options.note("note: the rules of the file are too long to be approved once: each forgetting waits")
            return []
        }
        return rules
    }

    /// The guest that was named, with all of its points, also those from when it was called something else.
    private func wanted(_ candidates: [PrunePlan.Candidate]) throws -> Set<GuestID>? {
        guard let guest else { return nil }
        let found = candidates.filter { $0.label == guest || $0.guest.hexadecimal == guest }
        let guests = Set(found.map(\.guest))
        guard !guests.isEmpty else {
            throw CommandFailure(
                .failed, "there is no guest \(Console.printable(guest)) in this repository; `dozo points` lists them")
        }
        return guests
    }

    private func show(_ plan: PrunePlan, report: Sweep.Report?) throws {
        let words = PruneReport(plan: plan, isDone: yes)
        if options.json {
            try Console.json(words.document(report))
        } else {
            words.show(inFull: !yes)
            if let report { SweepRun.show(report, options) }
        }
    }
}
