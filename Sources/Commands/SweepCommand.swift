import ArgumentParser
import BackupModel
import Effects
import Repository
import RepositoryFormat

/// `dozo sweep`: frees what no restore point needs.
struct SweepCommand: AsyncParsableCommand, LoadingCommand {
    static let configuration = CommandConfiguration(
        commandName: "sweep", abstract: "Let forgotten points go and free what no point needs.",
        discussion: """
            Examples:
              dozo sweep -r /backup/dozo --yes
              dozo sweep -r /backup/dozo --yes --undo-time 7     forgotten for 7 days before a point goes
              dozo sweep -r /backup/dozo --yes --rewrite 0       nothing is copied, less is freed

            It runs beside backups and other sweeps, may be interrupted at any moment and started again, and deletes \
            only once every session that might need something has ended. A session of which nothing was seen for \
            --patience hours is ended from outside: its backup fails and is run again. While one runs, what was \
            condemned waits, and the command ends with status 3. Packs at least half of which is dead are \
            rewritten: what is needed of them is copied as it is, unread, and the rest is freed. Index runs are \
            merged. Run as root it sets the immutable flag on the packs that locked points lean on, where the file \
            system has it, and takes it off again. It refuses (7) while anything of the repository is missing, \
            damaged or not understood. Only a maintainer's credential or the passphrase may sweep.
            """)

    @OptionGroup var options: RepositoryOptions
    @OptionGroup var load: LoadOptions
    var usualNice: Int { LoadOptions.backgroundNice }
    @Option(help: ArgumentHelp("Days for which a forgotten point can still be had back, 0 to 3650.", valueName: "days"))
    var undoTime = 0
    @Option(
        help: ArgumentHelp(
            "Hours without a sign of life after which a session is ended from outside, 0 to 8760; counted from the "
                + "sweep that saw it first.", valueName: "hours"))
    var patience = 12
    @Option(
        help: ArgumentHelp(
            "Read at most so much of packs that are mostly dead, to copy what is needed of them: bytes, or with K, M, "
                + "G; 0 copies nothing. Another sweep goes on.", valueName: "size"))
    var rewrite = "4G"
    @Flag(help: "Do it; without this the command only says which points would go.")
    var yes = false

    func validate() throws {
        guard (0...3650).contains(undoTime) else { throw ValidationError("--undo-time is 0 to 3650 days") }
        guard (0...8760).contains(patience) else { throw ValidationError("--patience is 0 to 8760 hours") }
        guard SizeText.parse(rewrite) != nil else {
            throw ValidationError("\(rewrite) is no size; write bytes, or a number with K, M or G")
        }
    }

    func run() async throws {
        let rates = load.rates()
        let (repository, view) = try await options.openAndLook(rates: rates)
        var settings = Sweep.Settings(now: SystemClock.system.wall())
        settings.patience = UInt64(patience) * 3600 * 1_000_000_000
        settings.undoTime = UInt64(undoTime) * 24 * 3600 * 1_000_000_000
        settings.rewriteByteLimit = SizeText.parse(rewrite) ?? settings.rewriteByteLimit
        guard yes else { return try explain(view, settings, repository.decisionTimes(view)) }
        let sweep = SweepRun(options: options, repository: repository)
        let times = repository.decisionTimes(view, now: settings.now)
        let waiting = view.points.filter { view.said.waits($0.record.identifier, at: times) }.count
        if waiting > 0 {
            options.note("note: \(Console.count(waiting, "forgotten point")) waited for approval (`dozo approve`)")
        }
        let report = try await sweep.run(settings)
        if options.json { try Console.json(SweepRun.Document(report)) } else { SweepRun.show(report, options) }
        if let failure = sweep.remainder(report) { throw failure }
    }

    private func explain(_ view: RepositoryView, _ settings: Sweep.Settings, _ times: DecisionTimes) throws {
        for point in view.points {
            guard let forget = view.said.forget(of: point.record.identifier) else { continue }
            let name = "\(point.record.identifier.hexadecimal.prefix(12)) of \(Console.printable(point.record.label))"
            let reason = forget.reason.isEmpty ? "" : " (\(Console.printable(forget.reason)))"
            let approved = view.said.approvedForget(of: point.record.identifier, at: times)
            let locked = view.said.lock(of: point.record, at: times).map { $0 > times.lock } ?? false
            let what =
                approved == nil
                ? "stay, it waits for approval"
                : locked ? "stay, it is locked" : approved.map(settings.isDue) ?? false ? "go" : "stay for now"
            Console.result("\(name) would \(what), forgotten \(TimeText.local(forget.at))\(reason)")
        }
        throw CommandFailure(.refused, "nothing was changed; say --yes to sweep")
    }
}
